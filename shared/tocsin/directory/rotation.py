"""Rotations of directory.yaml, each valid on its own."""

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
    # The message does not repeat the address: that of a feed often holds a token.
    try:
        parts = urlsplit(url)
        valid = parts.scheme == "https" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("is not an https address; write it like https://calendar.example.com/on-call.ics")
    return url


class CalendarLocation(YamlModel):
    """Where an iCalendar is. Exactly one of the fields is required."""

    file: Annotated[str | None, Field(min_length=1, examples=["on-call.ics"])] = None
    """The path of a file, relative to directory.yaml."""
    url: Annotated[str | None, AfterValidator(_https)] = None
    """An https address. Anyone who can read directory.yaml can read a token in it."""
    url_env: Annotated[str | None, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", examples=["ON_CALL_FEED"])] = None
    """The environment variable that holds the https address."""
    url_file: Annotated[str | None, Field(min_length=1, examples=["/run/secrets/on-call-feed"])] = None
    """The path of a file that holds the https address, relative to directory.yaml."""

    @model_validator(mode="after")
    def _is_one_location(self) -> Self:
        if sum(value is not None for _, value in self) != 1:
            message = "must have exactly one of file, url, url_env and url_file; write it like file: on-call.ics"
            raise field_error((), None, message)
        return self


@dataclass(frozen=True, slots=True)
class TurnLength(TextValue):
    """The length of a turn by the wall clock: `weekly`, `daily`, or a duration such as `12h` or `3 days`.

    `kind` is what a holder's rule calls such a turn: `week`, `day` or `turn`.
    """

    length: timedelta = field(init=False, compare=False)
    kind: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        named = {"weekly": (timedelta(7), "week"), "daily": (timedelta(1), "day")}
        length, kind = named.get(self.text) or (self._duration(), "turn")
        object.__setattr__(self, "length", length)
        object.__setattr__(self, "kind", kind)

    def _duration(self) -> timedelta:
        try:
            duration = Duration(self.text)
        except ValueError:
            duration = None
        if duration is None or duration.business or duration.micros < HOUR:
            advice = "write weekly, daily, or at least 1h, such as 12h"
            raise ValueError(f"`{self.text}` is not the length of a turn; {advice}")
        return timedelta(microseconds=duration.micros)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "examples": ["weekly", "daily", "12h", "14 days"]}


class Rotation(YamlModel):
    """People who take turns. Exactly one of `turns`, `handovers` and `calendar` is required."""

    zone: Zone
    """The IANA time zone of all local times of the rotation."""
    members: tuple[Identifier, ...] = ()
    """The people, by id, in the order of their turns. Required unless a calendar names them."""
    turns: TurnLength | None = None
    """The length of a turn, by the wall clock."""
    start: LocalTime | None = None
    """The local time at which the first turn begins. Required with `turns`."""
    handovers: tuple[LocalTime, ...] = ()
    """The local times at which turns begin, in order. The last turn does not end."""
    calendar: CalendarLocation | None = None
    """The iCalendar whose events say whose turn it is."""
    only: Annotated[dict[DaySpan, OpeningHours] | None, Field(examples=[{"monday-friday": "08:00-17:00"}])] = None
    """The hours in which the rotation applies. Outside them, the role's next entry does. Defaults to always."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        kinds = [kind for kind in ("turns", "handovers", "calendar") if getattr(self, kind)]
        if not kinds:
            message = "is missing; add it, for example turns: weekly, or use handovers or a calendar"
            raise field_error(("turns",), None, message)
        if len(kinds) > 1:
            raise field_error((kinds[1],), None, f"cannot be combined with `{kinds[0]}`; keep one of them")
        self._check_fields_of(kinds[0])
        for index in range(1, len(self.handovers)):
            before, handover = self.handovers[index - 1 : index + 1]
            if before.at >= handover.at:
                message = f"is not after {before}; sort the handovers"
                raise field_error(("handovers", index), str(handover), message)
        if self.only is not None and not self.only:
            message = "has no hours; add some, for example monday-friday: 08:00-17:00"
            raise field_error(("only",), None, message)
        _ = self.hours  # raises an error if windows overlap
        return self

    def _check_fields_of(self, kind: str) -> None:
        if kind == "turns" and self.start is None:
            raise field_error(("start",), None, "is missing; add it, for example start: 2026-06-08T09:00")
        if kind != "turns" and self.start is not None:
            raise field_error(("start",), str(self.start), f"cannot be combined with `{kind}`; remove it")
        if kind == "calendar" and self.members:
            raise field_error(("members",), None, "cannot be combined with `calendar`; remove it")
        if kind != "calendar" and not self.members:
            raise field_error(("members",), None, "is missing; list the people who take turns")

    @property
    def schedule(self) -> Schedule | None:
        """Whose turn it is when. None if a calendar says so."""
        zone = load_zone(self.zone)
        if self.handovers:
            return HandoverSchedule(zone, tuple(handover.at for handover in self.handovers), self.members)
        if self.turns is None or self.start is None:
            return None
        return FixedSchedule(zone, self.start.at, self.turns.length, self.members, self.turns.kind)

    @property
    def hours(self) -> WeeklyHours | None:
        """The hours in which the rotation applies. None means always."""
        return WeeklyHours(self.zone, windows_by_weekday(self.only, "only")) if self.only is not None else None
