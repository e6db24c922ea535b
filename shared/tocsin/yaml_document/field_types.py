"""How an operations manager writes things, read into values: durations, opening windows, days, shares.

Each value keeps its text, so that a policy written out again reads as it was written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from tocsin.business_time import DAY, HOUR, MINUTE, load_zone
from tocsin.yaml_document.errors import field_error

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class YamlModel(BaseModel):
    """A part of a written document: frozen, strict, and without fields that nobody knows."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class TextValue:
    """A value that is one piece of text. Subclasses read it in `__post_init__`, which raises ValueError."""

    text: str

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema(max_length=200))
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), text]),
            serialization=core_schema.to_string_ser_schema(),
        )

    def __str__(self) -> str:
        return self.text


_UNITS: Final = {"m": ("minute", MINUTE), "h": ("hour", HOUR), "d": ("day", DAY)}
_PART: Final = re.compile(r"([0-9]{1,5}) ?(business )?(minutes?|mins?|hours?|days?|[mhd])")
_DURATION: Final = re.compile(rf"{_PART.pattern}( ?{_PART.pattern})*")
_DURATION_HINT: Final = "write it like 30m, 1h 30m, 24h, 6 business hours or 5 business days"


@dataclass(frozen=True, slots=True)
class Duration(TextValue):
    """A length of time, `30m`, `24h`, `6 business hours`, `5 business days`: one kind, elapsed or business.

    `micros` are the fixed microseconds, `business_days` the standard days of whatever calendar it is used with.
    """

    business: bool = field(init=False, compare=False)
    micros: int = field(init=False, compare=False)
    business_days: int = field(init=False, compare=False)
    words: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not _DURATION.fullmatch(self.text):
            raise ValueError(f"`{self.text}` is no length of time; {_DURATION_HINT}")
        parts = [(int(number), kind, *_UNITS[unit[0]]) for number, kind, unit in _PART.findall(self.text)]
        business = bool(parts[0][1])
        if any(bool(kind) != business for _, kind, _, _ in parts):
            raise ValueError(f"`{self.text}` mixes elapsed and business time; use one of them")
        days = sum(number for number, _, unit, _ in parts if business and unit == "day")
        fixed = sum(number * length for number, _, unit, length in parts if not (business and unit == "day"))
        if not days and not fixed:
            raise ValueError(f"`{self.text}` is no time at all; {_DURATION_HINT}")
        if days > 366 or fixed > 366 * DAY:
            raise ValueError(f"`{self.text}` is longer than a year; {_DURATION_HINT}")
        words = " ".join(_said(number, kind + unit) for number, kind, unit, _ in parts)
        for name, value in (("business", business), ("micros", fixed), ("business_days", days), ("words", words)):
            object.__setattr__(self, name, value)

    def length(self, business_day: int) -> int:
        """In microseconds on its clock, given the calendar's standard day."""
        return self.micros + self.business_days * business_day

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["1h", "30m", "5 business days"]}


def _said(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_WINDOW: Final = re.compile(rf"({_TIME})\s*[-–]\s*({_TIME}|24:00)")
_WINDOWS: Final = re.compile(rf"{_WINDOW.pattern}(\s*,\s*{_WINDOW.pattern})*")


@dataclass(frozen=True, slots=True)
class OpeningHours(TextValue):
    """The opening windows of a day, `08:00-12:00, 13:00-17:00`; `spans` in microseconds since midnight, sorted."""

    spans: tuple[tuple[int, int], ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not _WINDOWS.fullmatch(self.text.strip()):
            raise ValueError(
                f"`{self.text}` are no opening hours; write them like 08:00-17:00 or 08:00-12:00, 13:00-24:00"
            )
        spans = tuple(sorted((_clock(start), _clock(end)) for start, end in _WINDOW.findall(self.text)))
        for start, end in spans:
            if start >= end:
                raise ValueError(
                    f"`{self.text}` closes before it opens; split a night, 22:00-24:00 and the next day 00:00-06:00"
                )
        object.__setattr__(self, "spans", spans)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            "type": "string",
            "pattern": f"^{_WINDOWS.pattern}$",
            "examples": ["08:00-17:00", "08:00-12:00, 13:00-24:00"],
        }


def _clock(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * HOUR + int(minutes) * MINUTE


def weekdays(span: str) -> range:
    """`monday` or `monday-friday` as weekday numbers, Monday being 0. Anything else raises ValueError."""
    first, _, last = span.partition("-")
    last = last or first
    if first not in WEEKDAYS or last not in WEEKDAYS:
        raise ValueError(f"`{span}` is no day; write days like monday or monday-friday")
    days = range(WEEKDAYS.index(first), WEEKDAYS.index(last) + 1)
    if not days:
        raise ValueError(f"`{span}` runs backwards; write {last}-{first}, or the days one by one")
    return days


def windows_by_weekday(windows: Mapping[str, OpeningHours], name: str) -> dict[int, tuple[tuple[int, int], ...]]:
    """Windows by weekday (Monday is 0), each day's sorted. Overlapping ones of the field `name` are refused."""
    days: dict[int, tuple[tuple[int, int], ...]] = {}
    for span, given in windows.items():
        for day in weekdays(span):
            days[day] = tuple(sorted((*days.get(day, ()), *given.spans)))
            if any(end > start for (_, end), (start, _) in pairwise(days[day])):
                raise field_error((name, span), str(given), f"windows of {WEEKDAYS[day]} overlap; join or part them")
    return days


def _weekday_span(span: str) -> str:
    weekdays(span)
    return span


def _zone(name: str) -> str:
    load_zone(name)
    return name


_DAY: Final = f"({'|'.join(WEEKDAYS)})"
DaySpan = Annotated[str, AfterValidator(_weekday_span), Field(json_schema_extra={"pattern": f"^{_DAY}(-{_DAY})?$"})]
Zone = Annotated[str, AfterValidator(_zone), Field(examples=["America/New_York"])]
_NAME: Final = r"^\S(.{0,98}\S)?$"
_IDENTIFIER: Final = r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,99}$"
PATTERNS: Final = {
    _NAME: "is empty, too long, or has spaces around it; write 1 to 100 characters on one line",
    _IDENTIFIER: "is no id; write letters A to Z, digits and _ . : @ - only, a letter or digit first, 100 at most",
}
"""What is wrong with a value that does not match one of these, and what would be right."""
Name = Annotated[str, Field(pattern=_NAME)]
Identifier = Annotated[str, Field(pattern=_IDENTIFIER)]
