"""The occurrences of an event: of its series, and those that were changed (RFC 5545, 3.8.4.4)."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from tocsin.directory.ical.calendar_time import CalendarTime, midnight
from tocsin.directory.ical.event import EventPart
from tocsin.directory.ical.properties import EventProperties
from tocsin.instants import to_utc

_MARGIN: Final = timedelta(days=2)
"""More than any offset of a time zone."""

Occurrence = tuple[EventProperties, datetime, datetime]
"""An event with the instants at which it starts and ends."""


@dataclass(frozen=True, slots=True)
class ChangedOccurrence:
    """A VEVENT with a RECURRENCE-ID: `part` is what takes place instead, None if it is cancelled.

    If it is `for_future`, later occurrences change in the same way.
    """

    recurrence_id: CalendarTime
    part: EventPart | None
    for_future: bool


@dataclass(frozen=True, slots=True)
class EventSeries:
    """An event with one UID. Changed occurrences without their series are events of their own."""

    master: EventPart | None
    changes: Sequence[ChangedOccurrence]
    replaced: frozenset[datetime]
    replaced_days: frozenset[datetime]
    singles: Sequence[EventPart]
    future: Sequence[tuple[datetime, EventPart | None]]

    @classmethod
    def of(cls, master: EventPart | None, changes: Sequence[ChangedOccurrence]) -> Self:
        """The series. Of two changes of one occurrence the later in the sequence applies."""
        last: dict[datetime, ChangedOccurrence] = {}
        days: set[datetime] = set()
        for change in changes:
            written = change.recurrence_id
            if master is not None and master.excludes(master.occurrence_of(written)):
                continue  # it was changed, then deleted
            last[master.occurrence_of(written) if master else written.local] = change
            if written.is_day and master is not None and not master.is_day:
                days.add(written.local)
        singles = [change.part for change in last.values() if change.part is not None]
        future = sorted((at, change.part) for at, change in last.items() if change.for_future)
        return cls(master, changes, frozenset(last), frozenset(days), singles, future)

    def between(self, start: datetime, end: datetime) -> Iterator[Occurrence]:
        """Yield the occurrences that touch the time between two instants, in no order."""
        for properties, starts_at, ends_at in self._all(start, end):
            if starts_at < end and ends_at > start and starts_at < ends_at:
                yield properties, starts_at, ends_at

    def _all(self, start: datetime, end: datetime) -> Iterator[Occurrence]:
        yield from ((single.properties, single.starts_at, single.ends_at) for single in self.singles)
        master = self.master
        if master is None:
            return
        if not master.recurs:
            if master.start not in self.replaced and midnight(master.start) not in self.replaced_days:
                yield master.properties, master.starts_at, master.ends_at
            return
        before, after = self._reach(master)
        first, last = to_utc(start).replace(tzinfo=None), to_utc(end).replace(tzinfo=None)
        for local in master.occurrences(first - before, last + after):
            if local in self.replaced or midnight(local) in self.replaced_days:
                continue
            row = bisect_right(self.future, local, key=lambda change: change[0]) - 1
            if row < 0:
                yield master.properties, *master.span(local)
            elif (part := self.future[row][1]) is not None:
                yield part.properties, *master.span(local + _shift(master, self.future[row]), part.length)

    def _reach(self, master: EventPart) -> tuple[timedelta, timedelta]:
        """How far the series must be searched before and after a period to find all occurrences that touch it."""
        longest = max([master.longest, *(part.length.total for _, part in self.future if part)])
        shifts = [_shift(master, change) for change in self.future]
        return _MARGIN + longest + max([timedelta(), *shifts]), _MARGIN - min([timedelta(), *shifts])


def _shift(master: EventPart, change: tuple[datetime, EventPart | None]) -> timedelta:
    at, part = change
    if part is None:
        return timedelta()
    return part.starts_at.astimezone(master.home.zone).replace(tzinfo=None, fold=0) - at
