"""Dates, times and durations of an iCalendar (RFC 5545, 3.3), and their instants."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.business_time import load_zone
from tocsin.directory.local_time import LAST, first_instant

_FIRST_TIME: Final = datetime(1000, 1, 1)  # noqa: DTZ001 (a wall clock shows no zone)
LAST_TIME: Final = datetime(8999, 12, 30)  # noqa: DTZ001 (a wall clock shows no zone)
"""Times beyond these limits are clamped, because time zones overflow near the limits of a datetime."""

_DATE: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z)?)?", re.IGNORECASE)
_DURATION: Final = re.compile(
    r"\+?P(?:([0-9]{1,6})W)?(?:([0-9]{1,6})D)?(?:T(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9})S)?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class CalendarTime:
    """A date or time of a calendar: `local` is the wall-clock time in `zone`; `zone` is None for a floating time."""

    local: datetime
    zone: ZoneInfo | None
    is_day: bool

    def in_zone(self, zone: ZoneInfo) -> datetime:
        """The wall-clock time in `zone` at that time. Days and floating times stay unchanged."""
        if self.zone is None or self.zone is zone:
            return self.local
        return self.local.replace(tzinfo=self.zone).astimezone(zone).replace(tzinfo=None, fold=0)

    def day(self, zone: ZoneInfo) -> datetime:
        """The day that it means, as its midnight: that of a midnight in `zone`, else the day as written."""
        in_zone = self.in_zone(zone)
        return in_zone if in_zone.time() == time() else datetime.combine(self.local, time())


@dataclass(frozen=True, slots=True)
class EventLength:
    """How long an event lasts: `days` by the wall clock, then `exact` (RFC 5545, 3.3.6)."""

    days: timedelta
    exact: timedelta = timedelta()

    @property
    def total(self) -> timedelta:
        """The sum of both, if the difference between wall-clock and exact time does not matter."""
        return self.days + self.exact


@dataclass(frozen=True, slots=True)
class HomeZone:
    """The zone by whose clocks an event recurs; `is_floating` if the event states no zone."""

    zone: ZoneInfo
    is_floating: bool

    def instant(self, local: datetime) -> datetime:
        """The instant of a local time (docs/decisions/0015-role-holder-precedence.md).

        Where clocks skip it, a floating time is the change, as a handover is; any other has the offset before the
        change.
        """
        return first_instant(local, self.zone) if self.is_floating else _instant(local, self.zone)

    def instant_of(self, written: CalendarTime) -> datetime:
        """The instant of a time as written. This zone applies to days and floating times."""
        return self.instant(written.local) if written.zone is None else _instant(written.local, written.zone)

    def end(self, start: datetime, length: EventLength) -> datetime:
        """The instant at which an event ends that starts at the local time `start`."""
        local = start + length.days if length.days < LAST_TIME - start else LAST_TIME
        at = self.instant(local)
        return at + length.exact if length.exact < LAST - at else LAST


def read_time(text: str, zone: ZoneInfo | None, *, is_day: bool = False) -> CalendarTime | None:
    """Return the date or time, or None if it is invalid. `is_day` reads a time as its day, as VALUE=DATE says."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, *clock = (int(part) if part else 0 for part in found.groups()[:6])
    try:
        local = datetime(year, month, day, clock[0], clock[1], min(clock[2], 59))  # noqa: DTZ001 (60 is a leap second)
    except ValueError:
        return None
    if clock[2] > 60:
        return None
    local = min(max(local, _FIRST_TIME), LAST_TIME)
    if is_day or found[4] is None:
        return CalendarTime(datetime.combine(local, time()), None, is_day=True)
    return CalendarTime(local, load_zone("UTC") if found[7] else zone, is_day=False)


def read_duration(text: str) -> EventLength | None:
    """Return the duration, or None if it is invalid or negative. A week or a day is local, an hour is exact."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return EventLength(timedelta(weeks=weeks, days=days), timedelta(hours=hours, minutes=minutes, seconds=seconds))


def midnight(at: datetime) -> datetime:
    """Return the midnight before a local time."""
    return at.replace(hour=0, minute=0, second=0)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)
