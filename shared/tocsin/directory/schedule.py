"""Schedules of rotations: whose turn it is at an instant, and when the turn may change."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from itertools import count
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from tocsin.business_time import FIRST_YEAR, LAST_YEAR, Business, Holidays, load_zone, micros, to_datetime
from tocsin.directory.local_time import FIRST, LAST, first_instant, wall_time

_FIRST_BUSINESS_DAY: Final = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
_LAST_BUSINESS_DAY: Final = datetime(LAST_YEAR, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Turn:
    """A person's turn. `words` names it in a holder's rule, such as `week of 2026-06-08`."""

    person: str
    words: str


class Schedule(Protocol):
    """Whose turn it is when."""

    def turn(self, at: datetime) -> Turn | None:
        """The turn at the instant, or None if it is nobody's."""

    def changes(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Every instant in [start, end) at which a turn begins or ends."""


def local_words(at: datetime, zone: ZoneInfo) -> str:
    """Return an instant as rules show it, in local time: `2026-06-08 09:00 EDT`."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"


@dataclass(frozen=True, slots=True)
class FixedSchedule:
    """Turns of one length by the wall clock, from the local time `start` on. `kind` is `week`, `day` or `turn`."""

    zone: ZoneInfo
    start: datetime
    length: timedelta
    members: Sequence[str]
    kind: str

    def turn(self, at: datetime) -> Turn | None:
        if not max(self._begins(0), FIRST) <= at < LAST:
            return None
        number = self._number(at)
        begins = local_words(self._begins(number), self.zone)
        shown = begins if self.kind == "turn" else begins.partition(" ")[0]
        return Turn(self.members[number % len(self.members)], f"{self.kind} of {shown}")

    def changes(self, start: datetime, end: datetime) -> Iterator[datetime]:
        start, end = max(start, self._begins(0), FIRST), min(end, LAST)
        if start < end:
            for number in count(self._number(start)):
                begins = self._begins(number)
                if begins >= end:
                    return
                if begins >= start:
                    yield begins

    def _number(self, at: datetime) -> int:
        """The last turn that began at or before `at`. Turns begin in order, also across clock changes."""
        number = max(0, (wall_time(at, self.zone) - self.start) // self.length)
        while self._begins(number + 1) <= at:
            number += 1
        while self._begins(number) > at:
            number -= 1
        return number

    def _begins(self, number: int) -> datetime:
        return first_instant(self.start + number * self.length, self.zone)


@dataclass(frozen=True)
class HandoverSchedule:
    """Turns that begin at the local `handovers`. The members take turns in order; the last turn does not end."""

    zone: ZoneInfo
    handovers: Sequence[datetime]
    members: Sequence[str]

    def turn(self, at: datetime) -> Turn | None:
        number = bisect_right(self._begins, at) - 1
        if number < 0 or not FIRST <= at < LAST:
            return None
        begins = local_words(self._begins[number], self.zone)
        return Turn(self.members[number % len(self.members)], f"turn of {begins}")

    def changes(self, start: datetime, end: datetime) -> Iterator[datetime]:
        return (begins for begins in self._begins if start <= begins < end)

    @cached_property
    def _begins(self) -> list[datetime]:
        return [first_instant(handover, self.zone) for handover in self.handovers]


@dataclass(frozen=True)
class WeeklyHours:
    """The hours of the week in which a rotation applies, by the wall clock of `zone`.

    `windows` are in microseconds since midnight, by weekday
    (docs/decisions/0010-business-time-follows-the-wall-clock.md).
    """

    zone: str
    windows: Mapping[int, Sequence[tuple[int, int]]]

    def includes(self, at: datetime) -> bool:
        """Whether the wall clock shows a time inside a window."""
        if not FIRST <= at < LAST:
            return False
        shown = wall_time(at, load_zone(self.zone))
        since_midnight = (shown - datetime.combine(shown, time())) // timedelta(microseconds=1)
        return any(opens <= since_midnight < closes for opens, closes in self.windows.get(shown.weekday(), ()))

    def changes(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Every instant in [start, end) at which a window opens or closes, in the years of business calendars."""
        first, last = max(start, _FIRST_BUSINESS_DAY), min(end, _LAST_BUSINESS_DAY)
        if first < last:
            for opens, closes in self._clock.stretches(micros(first), micros(last)):
                yield from (to_datetime(opens), to_datetime(closes))

    @cached_property
    def _clock(self) -> Business:
        return Business("only", self.zone, self.windows, Holidays())
