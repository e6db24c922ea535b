"""The schedule of a rotation that an iCalendar defines: its events, matched to the people of the directory."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from heapq import heappop, heappush
from itertools import pairwise
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from tocsin.directory.entries import Person
from tocsin.directory.errors import ICalendarError
from tocsin.directory.ical import CalendarEvent, UnreadableEvent
from tocsin.directory.local_time import FIRST, LAST
from tocsin.directory.person_names import PersonNames
from tocsin.directory.schedule import Turn, local_words
from tocsin.instants import to_utc

_YEARS_CACHED: Final = 16


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stretch of time in which one event decides whose turn it is."""

    starts_at: datetime
    ends_at: datetime
    person: str
    event: CalendarEvent


class YearlyCalendar(Protocol):
    """An iCalendar with its events by year and its unreadable parts, such as `ICalendar`."""

    @property
    def left_out(self) -> tuple[UnreadableEvent, ...]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def year(self, year: int, /) -> tuple[CalendarEvent, ...]: ...


class CalendarSchedule:
    """A `Schedule` from an iCalendar. Events that name no person of the directory have no effect.

    Where events overlap, the one that starts last decides, and of those that start together the shortest.
    """

    def __init__(self, calendar: YearlyCalendar, people: Mapping[str, Person], zone: ZoneInfo) -> None:
        self._calendar = calendar
        self._zone = zone
        self._people = people
        self._names = PersonNames(people)
        self._within = lru_cache(maxsize=4096)(self._names.within)
        self._stretches = lru_cache(maxsize=_YEARS_CACHED)(self._stretches_of)

    def turn(self, at: datetime) -> Turn | None:
        if not FIRST <= at < LAST:
            return None
        stretches = self._stretches(to_utc(at).year)
        index = bisect_right(stretches, at, key=lambda stretch: stretch.starts_at) - 1
        if index < 0 or at >= stretches[index].ends_at:
            return None
        found = stretches[index]
        return Turn(found.person, f"event of {local_words(found.event.starts_at, self._zone)}")

    def changes(self, start: datetime, end: datetime) -> Iterator[datetime]:
        start, end = to_utc(max(start, FIRST)), to_utc(min(end, LAST))
        for year in range(start.year, end.year + 1) if start < end else ():
            for stretch in self._stretches(year):
                yield from (at for at in (stretch.starts_at, stretch.ends_at) if start <= at < end)

    def named(self, event: CalendarEvent | UnreadableEvent) -> frozenset[str]:
        """The people whom an event names: by our own property, else by an attendee, else by its title.

        The first attendee who is a person of the directory counts, by address before name. Several people are named
        only by a title; then it puts nobody on call.
        """
        if event.person in self._people:
            return frozenset({event.person})
        for written in (*event.addresses, *event.names):
            if len(found := self._names.exactly(written)) == 1:
                return found
        return self._within(event.summary)

    def shown_names(self, persons: frozenset[str]) -> str:
        """The names of people, such as `Ana Silva or Ben Okafor`."""
        return self._names.shown(persons)

    def unmatched(self, start: datetime, end: datetime) -> list[CalendarEvent]:
        """The events between two instants that do not name exactly one person of the directory."""
        return [event for event in self._events(start, end) if self._person(event) is None]

    def left_out(self, at: datetime) -> list[tuple[UnreadableEvent, str]]:
        """The events that cannot be read, each with the names of the people whom it would put on call from `at` on.

        The names are empty if it is over by then, or names no person of the directory.
        """
        return [
            (event, "" if _is_over(event, at) else self.shown_names(self.named(event)))
            for event in self._calendar.left_out
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """Other unreadable parts of the calendar, such as a broken line: "what is wrong; what to change"."""
        return self._calendar.notes

    def overlaps(self, start: datetime, end: datetime) -> list[tuple[CalendarEvent, CalendarEvent]]:
        """Pairs of events between two instants that overlap and name different people. Ties are left out."""
        pairs = []
        last: CalendarEvent | None = None
        for event in self._matched(start, end):
            if last is not None and event.starts_at < last.ends_at and self._person(event) != self._person(last):
                pairs.append((last, event))
            if last is None or event.ends_at > last.ends_at:
                last = event
        return [(first, second) for first, second in pairs if _span(first) != _span(second)]

    def ties(self, start: datetime, end: datetime) -> list[tuple[CalendarEvent, CalendarEvent]]:
        """Pairs of events between two instants with the same start and end and different people: no rule decides."""
        return [
            (first, second)
            for first, second in pairwise(self._matched(start, end))
            if _span(first) == _span(second) and self._person(first) != self._person(second)
        ]

    def _matched(self, start: datetime, end: datetime) -> list[CalendarEvent]:
        return [event for event in self._events(start, end) if self._person(event) is not None]

    def _events(self, start: datetime, end: datetime) -> list[CalendarEvent]:
        events = {event for year in range(start.year, end.year + 1) for event in self._year(year)}
        return sorted(event for event in events if event.starts_at < end and event.ends_at > start)

    def _year(self, year: int) -> tuple[CalendarEvent, ...]:
        try:
            return self._calendar.year(year)
        except ICalendarError:  # as for a calendar that cannot be fetched: the next entry of the role applies
            return ()

    def _stretches_of(self, year: int) -> tuple[_Stretch, ...]:
        events = [(event, person) for event in self._year(year) if (person := self._person(event))]
        edges = sorted({at for event, _ in events for at in (event.starts_at, event.ends_at)})
        stretches: list[_Stretch] = []
        begun = 0
        current: list[tuple[float, datetime, int]] = []
        """A heap: the event that decides comes first. Events that have ended may stay behind it."""
        for starts_at, ends_at in pairwise(edges):
            while begun < len(events) and events[begun][0].starts_at <= starts_at:
                event = events[begun][0]
                heappush(current, (-event.starts_at.timestamp(), event.ends_at, begun))
                begun += 1
            while current and current[0][1] <= starts_at:
                heappop(current)
            if current:
                event, person = events[current[0][2]]
                stretches.append(_Stretch(starts_at, ends_at, person, event))
        return tuple(stretches)

    def _person(self, event: CalendarEvent) -> str | None:
        """The only person that the event names, or None."""
        named = self.named(event)
        return min(named) if len(named) == 1 else None


def _span(event: CalendarEvent) -> tuple[datetime, datetime]:
    return event.starts_at, event.ends_at


def _is_over(event: UnreadableEvent, at: datetime) -> bool:
    return event.over_at is not None and event.over_at <= at
