"""Reads a VEVENT. One that cannot be read raises UnreadableEventError with what to change (docs/rules.md#5-32)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.business_time import LAST_YEAR
from tocsin.directory.errors import UnreadableEventError
from tocsin.directory.ical.calendar_time import (
    LAST_TIME,
    CalendarTime,
    EventLength,
    HomeZone,
    midnight,
    read_duration,
    read_time,
)
from tocsin.directory.ical.properties import EventProperties
from tocsin.directory.ical.recurrence_rule import RecurrenceRule, read_rule
from tocsin.directory.ical.text import ContentLine, shown
from tocsin.directory.ical.zones import CalendarZones
from tocsin.directory.local_time import FIRST

_MAX_DATES: Final = 10_000
_MAX_RULES: Final = 10
_LONGEST_OF_A_SERIES: Final = timedelta(days=366)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class EventZones:
    """How the times of a VCALENDAR are read: `named` are the zones of TZIDs.

    Whole days are those of the `rotation`. Times without a zone are too, unless X-WR-TIMEZONE names a `default`; then
    times in UTC also recur by the clocks of that zone.
    """

    named: CalendarZones
    rotation: ZoneInfo
    default: ZoneInfo | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPart:
    """A VEVENT that can be read: an event, a series, or a change of one occurrence of a series.

    `start`, `dates` and what is excluded are local times in `home`. `starts_at` and `ends_at` are the instants of the
    VEVENT itself, without its recurrence.
    """

    properties: EventProperties
    home: HomeZone
    is_day: bool
    start: datetime
    length: EventLength
    starts_at: datetime
    ends_at: datetime
    rules: Sequence[RecurrenceRule]
    dates: Mapping[datetime, EventLength]
    excluded_rules: Sequence[RecurrenceRule]
    excluded_dates: frozenset[datetime]
    excluded_days: frozenset[datetime]

    @property
    def longest(self) -> timedelta:
        """The length of its longest occurrence."""
        return max(length.total for length in (self.length, *self.dates.values()))

    @property
    def recurs(self) -> bool:
        """Whether it may have other occurrences than its start."""
        return bool(self.rules or self.dates or self.excluded_dates or self.excluded_days)

    @property
    def most_per_year(self) -> int:
        """An upper bound for the occurrences that begin within a year."""
        return 1 + len(self.dates) + sum(rule.most_per_year for rule in self.rules)

    @property
    def years(self) -> range:
        """The years in which its rules may begin an occurrence, up to 2100."""
        ends = [rule.until.year for rule in self.rules if rule.until is not None]
        last = min(max(ends), LAST_YEAR) if len(ends) == len(self.rules) > 0 else LAST_YEAR
        return range(self.start.year, max(self.start.year, last) + 1)

    def occurrences(self, first: datetime, last: datetime) -> set[datetime]:
        """The local times from `first` to `last` at which the series begins an occurrence."""
        found = {at for at in self.dates if first <= at <= last}
        for rule in self.rules:
            found.update(rule.between(first, last))
        if first <= self.start <= last and (not self.rules or any(rule.includes_start for rule in self.rules)):
            found.add(self.start)
        for rule in self.excluded_rules:
            found.difference_update(rule.between(first, last))
        return {at for at in found if not self.excludes(at)}

    def excludes(self, local: datetime) -> bool:
        """Whether an EXDATE names the occurrence of that local time."""
        return local in self.excluded_dates or (bool(self.excluded_days) and midnight(local) in self.excluded_days)

    def span(self, local: datetime, length: EventLength | None = None) -> tuple[datetime, datetime]:
        """The instants at which the occurrence of that local time starts and ends."""
        if local == self.start and length is None:
            return self.starts_at, self.ends_at
        return self.home.instant(local), self.home.end(local, length or self.dates.get(local, self.length))

    def occurrence_of(self, written: CalendarTime) -> datetime:
        """The local time of the occurrence that a RECURRENCE-ID means."""
        return written.day(self.home.zone) if self.is_day else written.in_zone(self.home.zone)


def read_event(properties: EventProperties, zones: EventZones) -> EventPart:
    """Return what a VEVENT says, once it is checked. Raises UnreadableEventError."""
    part = _EventReader(properties, zones).read()
    if part.recurs and part.longest > _LONGEST_OF_A_SERIES:
        raise UnreadableEventError("recurs and lasts longer than a year; make it a single event, or shorten it")
    return part


def read_property_time(line: ContentLine, zones: EventZones) -> CalendarTime:
    """Return the date or time of a property. Raises UnreadableEventError."""
    return _read_one(line, line.value, zones)


def _read_one(line: ContentLine, text: str, zones: EventZones) -> CalendarTime:
    is_day = line.parameters.get("VALUE", "").upper() == "DATE"
    written = read_time(text, zones.default, is_day=is_day)
    if written is None:
        raise UnreadableEventError(
            f"has an invalid {line.name} (`{shown(text)}`); write it like 20270105T140000Z or 20270105"
        )
    name = line.parameters.get("TZID")
    if name is None or written.is_day or text.strip()[-1:] in "Zz":
        return written
    zone = zones.named.find(name)
    if zone is None:
        raise UnreadableEventError(zones.named.describe_unknown(name))
    return CalendarTime(written.local, zone, is_day=False)


class _EventReader:
    """Reads the properties of a VEVENT: DTSTART first, because the others are read in its zone."""

    def __init__(self, properties: EventProperties, zones: EventZones) -> None:
        line = properties.first("DTSTART")
        if line is None:
            raise UnreadableEventError("has no DTSTART; add one")
        written = read_property_time(line, zones)
        if written.local.year < FIRST.year:
            raise UnreadableEventError(f"starts before {FIRST.year}; choose a later start")
        if written.local >= LAST_TIME:
            raise UnreadableEventError(f"starts after {LAST_TIME.year - 1}; choose an earlier start")
        self._properties = properties
        self._zones = zones
        self._written = written
        self._is_day = written.is_day
        self._home = _home_zone(line, written, zones)
        self._start = written.in_zone(self._home.zone)

    def read(self) -> EventPart:
        starts_at = self._home.instant_of(self._written)
        length, ends_at = self._end(starts_at)
        if ends_at < starts_at:
            raise UnreadableEventError("ends before it starts; correct its DTEND")
        if not length.days and not length.exact:
            raise UnreadableEventError("has no length; set an end after its start")
        excluded_dates, excluded_days = self._excluded()
        return EventPart(
            properties=self._properties,
            home=self._home,
            is_day=self._is_day,
            start=self._start,
            length=length,
            starts_at=starts_at,
            ends_at=ends_at,
            rules=self._rules("RRULE"),
            dates=dict(self._dates(length)),
            excluded_rules=self._rules("EXRULE"),
            excluded_dates=excluded_dates,
            excluded_days=excluded_days,
        )

    def _end(self, starts_at: datetime) -> tuple[EventLength, datetime]:
        if (line := self._properties.first("DTEND")) is not None:
            end = read_property_time(line, self._zones)
            if not (end.is_day and self._is_day and end.local == self._written.local):
                local, ends_at = end.in_zone(self._home.zone), self._home.instant_of(end)
                by_clock = local > self._start
                return EventLength(local - self._start) if by_clock else EventLength(
                    timedelta(), ends_at - starts_at
                ), ends_at
            length = EventLength(_DAY)  # some tools end a whole day on itself
        elif (line := self._properties.first("DURATION")) is not None:
            duration = read_duration(line.value)
            if duration is None:
                message = f"has an invalid DURATION (`{shown(line.value)}`); write it like PT8H or P7D"
                raise UnreadableEventError(message)
            length = duration
        else:
            length = EventLength(_DAY if self._is_day else timedelta())
        return length, self._home.end(self._start, length)

    def _rules(self, name: str) -> tuple[RecurrenceRule, ...]:
        lines = self._properties.all(name)
        if len(lines) > _MAX_RULES:
            raise UnreadableEventError(f"has {len(lines)} rules of recurrence; the limit is {_MAX_RULES}")
        return tuple(read_rule(line.value, self._start, self._until, is_day=self._is_day) for line in lines)

    def _until(self, text: str) -> datetime | None:
        """The last local time that an UNTIL allows: a date allows its whole day."""
        written = read_time(text, None)
        if written is None or self._is_day:
            return self._local(written) if written else None
        return written.local + _DAY - timedelta(microseconds=1) if written.is_day else self._local(written)

    def _dates(self, length: EventLength) -> Iterator[tuple[datetime, EventLength]]:
        for line, text in self._values("RDATE"):
            begin, slash, end = text.partition("/")
            written = _read_one(line, begin, self._zones)
            yield self._local(written), self._period(line, written, end) if slash else length

    def _period(self, line: ContentLine, start: CalendarTime, text: str) -> EventLength:
        if (duration := read_duration(text)) is not None:
            return duration
        zone = self._home.zone
        length = _read_one(line, text, self._zones).in_zone(zone) - start.in_zone(zone)
        if length <= timedelta():
            raise UnreadableEventError(f"has an invalid RDATE (`{shown(text)}`); set an end after its start")
        return EventLength(length)

    def _excluded(self) -> tuple[frozenset[datetime], frozenset[datetime]]:
        """The local times that EXDATE names, and the days of which it names all occurrences."""
        dates, days = set(), set()
        for line, text in self._values("EXDATE"):
            written = _read_one(line, text, self._zones)
            if written.is_day and not self._is_day:
                days.add(written.local)
            else:
                dates.add(self._local(written))
        return frozenset(dates), frozenset(days)

    def _values(self, name: str) -> Iterator[tuple[ContentLine, str]]:
        lines = self._properties.all(name)
        values = [(line, text.strip()) for line in lines for text in line.value.split(",") if text.strip()]
        if len(values) > _MAX_DATES:
            raise UnreadableEventError(f"has {len(values)} single dates; the limit is {_MAX_DATES}")
        return iter(values)

    def _local(self, written: CalendarTime) -> datetime:
        return written.day(self._home.zone) if self._is_day else written.in_zone(self._home.zone)


def _home_zone(line: ContentLine, written: CalendarTime, zones: EventZones) -> HomeZone:
    if written.zone is None:
        return HomeZone(zones.rotation, is_floating=True)
    named = zones.named.find(line.parameters["TZID"]) if "TZID" in line.parameters else zones.default
    return HomeZone(named or written.zone, is_floating=False)
