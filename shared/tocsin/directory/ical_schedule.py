"""Whose turn an iCalendar says it is: its events, with the people of the directory put to them. Pure."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.directory.entries import Person
from tocsin.directory.ical_import import CalendarEvent, ICalendar, ICalendarError
from tocsin.directory.local_time import FIRST, LAST
from tocsin.directory.schedule import Turn, when
from tocsin.instants import to_utc

_YEARS_KEPT: Final = 16


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stretch of time and whose event counts in it."""

    starts_at: datetime
    ends_at: datetime
    person: str
    event: CalendarEvent


class CalendarSchedule:
    """A `Schedule` by a calendar. Where events overlap, the one that began last counts, as an exception does, of
    those that began together the shortest.
    """

    def __init__(self, calendar: ICalendar, people: Mapping[str, Person], zone: ZoneInfo) -> None:
        self._calendar = calendar
        self._zone = zone
        self._people = people
        self._names = _names(people)
        self._summarised = lru_cache(maxsize=1024)(self._named)
        self._stretches = lru_cache(maxsize=_YEARS_KEPT)(self._of_year)

    def turn(self, at: datetime) -> Turn | None:
        if not FIRST <= at < LAST:
            return None
        stretches = self._stretches(to_utc(at).year)
        index = bisect_right(stretches, at, key=lambda stretch: stretch.starts_at) - 1
        if index < 0 or at >= stretches[index].ends_at:
            return None
        found = stretches[index]
        return Turn(found.person, f"event of {when(found.event.starts_at, self._zone)}")

    def edges(self, start: datetime, end: datetime) -> Iterator[datetime]:
        start, end = to_utc(max(start, FIRST)), to_utc(min(end, LAST))
        for year in range(start.year, end.year + 1) if start < end else ():
            for stretch in self._stretches(year):
                yield from (at for at in (stretch.starts_at, stretch.ends_at) if start <= at < end)

    def nameless(self, start: datetime, end: datetime) -> list[CalendarEvent]:
        """The events between two instants that name nobody of the directory: they fill nothing."""
        return [event for event in self._events(start, end) if self._person(event) is None]

    def overlapping(self, start: datetime, end: datetime) -> list[tuple[CalendarEvent, CalendarEvent]]:
        """Pairs of neighbouring events between two instants that put different people on call at once."""
        found = []
        last: CalendarEvent | None = None
        for event in self._events(start, end):
            if self._person(event) is None:
                continue
            if last is not None and event.starts_at < last.ends_at and self._person(event) != self._person(last):
                found.append((last, event))
            if last is None or event.ends_at > last.ends_at:
                last = event
        return [pair for pair in found if _span(pair[0]) != _span(pair[1])]

    def alike(self, start: datetime, end: datetime) -> list[tuple[CalendarEvent, CalendarEvent]]:
        """Pairs of events between two instants that put different people on call at once from and to the same instants:
        no rule says which of them counts.
        """
        naming = [event for event in self._events(start, end) if self._person(event) is not None]
        return [
            (first, second)
            for first, second in pairwise(naming)
            if _span(first) == _span(second) and self._person(first) != self._person(second)
        ]

    def _events(self, start: datetime, end: datetime) -> list[CalendarEvent]:
        years = range(start.year, end.year + 1)
        events = {event for year in years for event in self._year(year)}
        return sorted(event for event in events if event.starts_at < end and event.ends_at > start)

    def _year(self, year: int) -> tuple[CalendarEvent, ...]:
        try:
            return self._calendar.year(year)
        except ICalendarError:  # what cannot be understood answers nothing, as a calendar that cannot be had
            return ()

    def _of_year(self, year: int) -> tuple[_Stretch, ...]:
        events = [(event, person) for event in self._year(year) if (person := self._person(event))]
        edges = sorted({at for event, _ in events for at in (event.starts_at, event.ends_at)})
        stretches: list[_Stretch] = []
        standing: list[tuple[CalendarEvent, str]] = []
        begun = 0
        for starts_at, ends_at in pairwise(edges):
            while begun < len(events) and events[begun][0].starts_at <= starts_at:
                standing.append(events[begun])
                begun += 1
            standing = [(event, person) for event, person in standing if event.ends_at > starts_at]
            if standing:
                event, person = max(standing, key=lambda found: (found[0].starts_at, -found[0].ends_at.timestamp()))
                stretches.append(_Stretch(starts_at, ends_at, person, event))
        return tuple(stretches)

    def _person(self, event: CalendarEvent) -> str | None:
        """Whom an event names: our own property, then an attendee's address, then the summary."""
        if event.person in self._people:
            return event.person
        for address in event.addresses:
            if (person := self._names.get(address)) is not None:
                return person
        return self._summarised(event.summary.casefold())

    def _named(self, summary: str) -> str | None:
        if (person := self._names.get(summary)) is not None:
            return person
        named = {
            person
            for name, person in self._names.items()
            if name in summary and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", summary)
        }
        return named.pop() if len(named) == 1 else None


def _span(event: CalendarEvent) -> tuple[datetime, datetime]:
    return event.starts_at, event.ends_at


def _names(people: Mapping[str, Person]) -> dict[str, str]:
    """Whom an id, an address or a name means, in this order, in small letters; what means two people means nobody."""
    meant: dict[str, str] = {}
    kinds = (
        [(person, person) for person in people],
        [(address, person) for person, found in people.items() for address in (found.email, *found.fallbacks)],
        [(found.name, person) for person, found in people.items()],
    )
    for kind in kinds:
        persons: dict[str, set[str]] = defaultdict(set)
        for name, person in kind:
            persons[name.casefold()].add(person)
        meant = {name: found.pop() for name, found in persons.items() if len(found) == 1} | meant
    return meant
