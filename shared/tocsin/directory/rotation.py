"""Rotations as they are written; each tells what is wrong with it alone."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from tocsin.business_time import HOUR, load_zone
from tocsin.directory.local_time import LocalTime
from tocsin.directory.schedule import FixedSchedule, HandoverSchedule, Schedule, WeeklyHours
from tocsin.yaml_document import (
    DaySpan,
    Duration,
    Identifier,
    OpeningHours,
    TextValue,
    YamlModel,
    Zone,
    field_error,
    windows_by_weekday,
)


def _https(url: str) -> str:
    # What is wrong with it is not repeated: a feed's address often holds a token.
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise ValueError("is no https address; write it like https://calendar.example.com/on-call.ics")
    return url


class CalendarLocation(YamlModel):
    """Where an iCalendar comes from: a file (beside directory.yaml), an https address, or what holds that address."""

    file: Annotated[str | None, Field(min_length=1, examples=["on-call.ics"])] = None
    url: Annotated[str | None, AfterValidator(_https)] = None
    url_env: Annotated[str | None, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", examples=["ON_CALL_FEED"])] = None
    url_file: Annotated[str | None, Field(min_length=1, examples=["/run/secrets/on-call-feed"])] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [field for field, value in self if value is not None]
        if len(given) != 1:
            raise field_error(
                (), None, "must name one of file, url, url_env and url_file; write it like file: on-call.ics"
            )
        return self


@dataclass(frozen=True, slots=True)
class TurnLength(TextValue):
    """`weekly`, `daily`, or a length by the wall's clock such as `12h` or `3 days`; `kind` is what its turns are called
    in a rule.
    """

    length: timedelta = field(init=False, compare=False)
    kind: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        named = {"weekly": (timedelta(7), "week"), "daily": (timedelta(1), "day")}
        length, kind = named.get(self.text) or (self._measured(), "turn")
        object.__setattr__(self, "length", length)
        object.__setattr__(self, "kind", kind)

    def _measured(self) -> timedelta:
        try:
            duration = Duration(self.text)
        except ValueError:
            duration = None
        if duration is None or duration.business or duration.micros < HOUR:
            raise ValueError(f"`{self.text}` is no length of a turn; write weekly, daily, or from 1h on, like 12h")
        return timedelta(microseconds=duration.micros)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "examples": ["weekly", "daily", "12h", "14 days"]}


class Rotation(YamlModel):
    """People who take turns, all by the clock on the wall of `zone`: in equal `turns` from `start`, or at `handovers`,
    or as an iCalendar says. `only` are the hours in which it answers; outside them the role's next rule does.
    """

    zone: Zone
    members: tuple[Identifier, ...] = ()
    turns: TurnLength | None = None
    start: LocalTime | None = None
    handovers: tuple[LocalTime, ...] = ()
    calendar: CalendarLocation | None = None
    only: Annotated[dict[DaySpan, OpeningHours] | None, Field(examples=[{"monday-friday": "08:00-17:00"}])] = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        kinds = [kind for kind in ("turns", "handovers", "calendar") if getattr(self, kind)]
        if len(kinds) != 1:
            said = " and ".join(f"`{kind}`" for kind in kinds)
            wrong = (
                f"{said} stand side by side; keep one of them" if kinds else "is missing; state it, for example weekly"
            )
            raise field_error((kinds[1],) if kinds else ("turns",), None, wrong)
        if (self.start is None) == (self.turns is not None):
            message = "is missing; state it" if self.turns else f"has no meaning beside `{kinds[0]}`; leave it out"
            raise field_error(("start",), self.start and str(self.start), message)
        if bool(self.members) == (self.calendar is not None):
            message = (
                "has no meaning beside `calendar`; leave it out"
                if self.calendar
                else "is missing; name who takes turns"
            )
            raise field_error(("members",), None, message)
        for index in range(1, len(self.handovers)):
            if self.handovers[index - 1].at >= self.handovers[index].at:
                place = ("handovers", index)
                raise field_error(
                    place, str(self.handovers[index]), f"is not after {self.handovers[index - 1]}; sort them"
                )
        if self.only is not None and not self.only:
            raise field_error(("only",), None, "is never; give it hours, for example monday-friday: 08:00-17:00")
        _ = self.week  # overlapping windows are refused there
        return self

    @property
    def schedule(self) -> Schedule | None:
        """Whose turn it is when; None: as the calendar says."""
        zone = load_zone(self.zone)
        if self.handovers:
            return HandoverSchedule(zone, tuple(handover.at for handover in self.handovers), self.members)
        if self.turns is None or self.start is None:
            return None
        return FixedSchedule(zone, self.start.at, self.turns.length, self.members, self.turns.kind)

    @property
    def week(self) -> WeeklyHours | None:
        """The hours in which it answers; None: always."""
        if self.only is None:
            return None
        return WeeklyHours(self.zone, windows_by_weekday(self.only, "only"))
