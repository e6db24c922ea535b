"""Base model and field types of YAML documents: durations, opening hours, weekdays, zones, names.

A value keeps its text, so that a document that is stored and loaded again reads as it was written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from tocsin.business_time import DAY, HOUR, MINUTE, load_zone
from tocsin.characters import canonical_id, check_line
from tocsin.described_model import DescribedModel
from tocsin.yaml_document.errors import field_error


class YamlModel(DescribedModel):
    """A mapping of a document: frozen, strict, unknown fields are errors. A docstring below a field describes it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class TextValue:
    """A value that is written as one piece of text. Subclasses parse it in `__post_init__` and raise ValueError."""

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
_DURATION_ADVICE: Final = "write it like 30m, 1h 30m, 24h, 6 business hours or 5 business days"


@dataclass(frozen=True, slots=True)
class Duration(TextValue):
    """A duration such as `30m`, `24h`, `6 business hours` or `5 business days`: elapsed or business time, never both.

    `micros` is its fixed part in microseconds; `business_days` counts standard days, whose length depends on the
    calendar. `words` spells the duration out: "90 minutes".
    """

    business: bool = field(init=False, compare=False)
    micros: int = field(init=False, compare=False)
    business_days: int = field(init=False, compare=False)
    words: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not _DURATION.fullmatch(self.text):
            raise ValueError(f"`{self.text}` is not a duration; {_DURATION_ADVICE}")
        parts = [(int(number), kind, *_UNITS[unit[0]]) for number, kind, unit in _PART.findall(self.text)]
        business = bool(parts[0][1])
        if any(bool(kind) != business for _, kind, _, _ in parts):
            raise ValueError(f"`{self.text}` mixes elapsed and business time; use one of them")
        days = sum(number for number, _, unit, _ in parts if business and unit == "day")
        fixed = sum(number * length for number, _, unit, length in parts if not (business and unit == "day"))
        if not days and not fixed:
            raise ValueError(f"`{self.text}` is zero; {_DURATION_ADVICE}")
        if days > 366 or fixed > 366 * DAY:
            raise ValueError(f"`{self.text}` is longer than 366 days; {_DURATION_ADVICE}")
        words = " ".join(_pluralized(number, kind + unit) for number, kind, unit, _ in parts)
        for name, value in (("business", business), ("micros", fixed), ("business_days", days), ("words", words)):
            object.__setattr__(self, name, value)

    def length(self, business_day: int) -> int:
        """The duration in microseconds on its clock, given the calendar's standard day in microseconds."""
        return self.micros + self.business_days * business_day

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["1h", "30m", "5 business days"]}


def _pluralized(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_WINDOW: Final = re.compile(rf"({_TIME})\s*[-–]\s*({_TIME}|24:00)")
_WINDOWS: Final = re.compile(rf"{_WINDOW.pattern}(\s*,\s*{_WINDOW.pattern})*")


@dataclass(frozen=True, slots=True)
class OpeningHours(TextValue):
    """The windows of a day, such as `08:00-12:00, 13:00-17:00`.

    `spans` are their starts and ends in microseconds since midnight, sorted.
    """

    spans: tuple[tuple[int, int], ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not _WINDOWS.fullmatch(self.text.strip()):
            advice = "write them like 08:00-17:00 or 08:00-12:00, 13:00-24:00"
            raise ValueError(f"`{self.text}` are not opening hours; {advice}")
        spans = tuple(sorted((_micros(start), _micros(end)) for start, end in _WINDOW.findall(self.text)))
        if any(start >= end for start, end in spans):
            advice = "split hours over midnight into 22:00-24:00 and, on the next day, 00:00-06:00"
            raise ValueError(f"`{self.text}` closes before it opens; {advice}")
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


def _micros(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * HOUR + int(minutes) * MINUTE


_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def windows_by_weekday(hours: Mapping[str, OpeningHours], field: str) -> dict[int, tuple[tuple[int, int], ...]]:
    """Return the windows of each weekday (Monday is 0), sorted. Raises `field_error` at `field` if windows overlap."""
    days: dict[int, tuple[tuple[int, int], ...]] = {}
    for span, opening in hours.items():
        for day in _weekdays(span):
            days[day] = tuple(sorted((*days.get(day, ()), *opening.spans)))
            if any(end > start for (_, end), (start, _) in pairwise(days[day])):
                message = f"windows of {_WEEKDAYS[day]} overlap; join or separate them"
                raise field_error((field, span), str(opening), message)
    return days


def _weekdays(span: str) -> range:
    first, _, last = span.partition("-")
    last = last or first
    if first not in _WEEKDAYS or last not in _WEEKDAYS:
        raise ValueError(f"`{span}` is not a weekday or a range of them; write monday or monday-friday")
    days = range(_WEEKDAYS.index(first), _WEEKDAYS.index(last) + 1)
    if not days:
        raise ValueError(f"`{span}` is in reverse order; write {last}-{first}, or each day separately")
    return days


def _day_span(span: str) -> str:
    _weekdays(span)
    return span


def _zone(name: str) -> str:
    load_zone(name)
    return name


_DAY: Final = f"({'|'.join(_WEEKDAYS)})"
_NAME: Final = r"^\S(.{0,98}\S)?$"
_IDENTIFIER: Final = r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,99}$"
_PHONE: Final = r"^\+?[0-9(][0-9 ()./-]{1,30}[0-9](,? ?(ext\.?|x|#) ?[0-9]{1,8})?$"
PATTERN_MESSAGES: Final = {
    _PHONE: 'is not a phone number; write digits, such as "+1 212 555 0100", in quotes',
    _NAME: "is empty, too long, or has spaces around it; write 1 to 100 characters on one line",
    _IDENTIFIER: (
        "is not a valid id; write 1 to 100 letters A to Z, digits and _ . : @ -, starting with a letter or digit"
    ),
}
"""What is wrong with a value that does not match the pattern, and what to write instead."""

DaySpan = Annotated[str, AfterValidator(_day_span), Field(json_schema_extra={"pattern": f"^{_DAY}(-{_DAY})?$"})]
Zone = Annotated[str, AfterValidator(_zone), Field(examples=["America/New_York"])]
Name = Annotated[str, Field(pattern=_NAME), AfterValidator(lambda name: canonical_id(check_line(name)))]
"""A name on one line, or an id of a tool. An id has the spelling that intake stores (docs/rules.md#1-12)."""
Identifier = Annotated[str, Field(pattern=_IDENTIFIER)]
Phone = Annotated[str, Field(pattern=_PHONE, examples=["+1 212 555 0100", "+1 212 555 0100 ext. 7"])]
"""A phone number as people dial it; it is shown as written."""
