"""Reads a VEVENT. One that cannot be read raises UnreadableEventError with what to change (docs/rules.md#5-32)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.business_time import LAST_YEAR
from tocsin.directory.errors import UnreadableEventError
from tocsin.directory.ical_properties import EventProperties
from tocsin.directory.ical_rule import RecurrenceRule, read_rule
from tocsin.directory.ical_text import ContentLine, shown
from tocsin.directory.ical_time import LAST_TIME, Length, WrittenTime, read_duration, read_time
from tocsin.directory.ical_zones import CalendarZones
from tocsin.directory.local_time import FIRST, LAST, first_instant

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

    `start`, `dates` and what is excluded are local times in `zone`. `starts_at` and `ends_at` are the instants of the
    VEVENT itself, without its recurrence.
    """

    properties: EventProperties
    zone: ZoneInfo
    is_day: bool
    is_floating: bool
    start: datetime
    length: Length
    starts_at: datetime
    ends_at: datetime
    rules: Sequence[RecurrenceRule]
    dates: Mapping[datetime, Length]
    excluded_rules: Sequence[RecurrenceRule]
    excluded_dates: frozenset[datetime]
    excluded_days: frozenset[datetime]

    @property
    def recurs(self) -> bool:
        """Whether it may have other occurrences than its start."""
        return bool(self.rules or self.dates or self.excluded_dates or self.excluded_days)

    @property
    def most_per_year(self) -> int:
        """More occurrences than this do not begin within a year."""
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

    def span(self, local: datetime, length: Length | None = None) -> tuple[datetime, datetime]:
        """The instants at which the occurrence of that local time starts and ends."""
        if local == self.start and length is None:
            return self.starts_at, self.ends_at
        starts_at = instant(local, self.zone, is_floating=self.is_floating)
        return starts_at, _end(local, length or self.dates.get(local, self.length), self.zone, self.is_floating)

    def occurrence_of(self, written: WrittenTime) -> datetime:
        """The local time of the occurrence that a RECURRENCE-ID means."""
        return written.day(self.zone) if self.is_day else written.in_zone(self.zone)


def read_event(properties: EventProperties, zones: EventZones) -> EventPart:
    """Return what a VEVENT says, once it is checked. Raises UnreadableEventError."""
    line = properties.first("DTSTART")
    if line is None:
        raise UnreadableEventError("has no DTSTART; add one")
    written = read_written(line, zones)
    if written.local.year < FIRST.year:
        raise UnreadableEventError(f"starts before {FIRST.year}; let it start later")
    if written.local >= LAST_TIME:
        raise UnreadableEventError(f"starts after {LAST_TIME.year - 1}; let it start earlier")
    zone = _home_zone(line, written, zones)
    is_floating = written.zone is None
    start = written.in_zone(zone)
    starts_at = instant(written.local, written.zone or zone, is_floating=is_floating)
    length, ends_at = _read_end(properties, zones, written, start, starts_at, zone)
    reader = _RecurrenceReader(start, zone, zones, is_day=written.is_day)
    part = EventPart(
        properties=properties,
        zone=zone,
        is_day=written.is_day,
        is_floating=is_floating,
        start=start,
        length=length,
        starts_at=starts_at,
        ends_at=ends_at,
        rules=reader.rules(properties.all("RRULE")),
        dates=dict(reader.dates(properties.all("RDATE"), length)),
        excluded_rules=reader.rules(properties.all("EXRULE")),
        **reader.excluded(properties.all("EXDATE")),
    )
    if part.recurs and max(one.days + one.exact for one in (length, *part.dates.values())) > _LONGEST_OF_A_SERIES:
        raise UnreadableEventError("recurs and lasts longer than a year; make it a single event, or shorten it")
    return part


def read_written(line: ContentLine, zones: EventZones) -> WrittenTime:
    """Return the date or time of a property. Raises UnreadableEventError."""
    return _read_one(line, line.value, zones)


def _read_one(line: ContentLine, text: str, zones: EventZones) -> WrittenTime:
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
    return WrittenTime(written.local, zone, is_day=False)


def _home_zone(line: ContentLine, written: WrittenTime, zones: EventZones) -> ZoneInfo:
    """The zone by whose clocks an event recurs."""
    if written.zone is None:
        return zones.rotation
    named = zones.named.find(line.parameters["TZID"]) if "TZID" in line.parameters else zones.default
    return named or written.zone


def _read_end(
    properties: EventProperties,
    zones: EventZones,
    written: WrittenTime,
    start: datetime,
    starts_at: datetime,
    zone: ZoneInfo,
) -> tuple[Length, datetime]:
    is_floating = written.zone is None
    if (line := properties.first("DTEND")) is not None:
        end = read_written(line, zones)
        if end.is_day and written.is_day and end.local == written.local:
            length = Length(_DAY)  # some tools end a whole day on itself
            return length, _end(start, length, zone, is_floating)
        local_end = end.in_zone(zone)
        if end.is_day or end.zone is None:
            ends_at = instant(local_end, zone, is_floating=is_floating)
        else:
            ends_at = instant(end.local, end.zone, is_floating=False)
        length = Length(local_end - start) if local_end > start else Length(timedelta(), ends_at - starts_at)
    elif (line := properties.first("DURATION")) is not None:
        duration = read_duration(line.value)
        if duration is None:
            raise UnreadableEventError(f"has an invalid DURATION (`{shown(line.value)}`); write it like PT8H or P7D")
        length, ends_at = duration, _end(start, duration, zone, is_floating)
    else:
        length = Length(_DAY if written.is_day else timedelta())
        ends_at = _end(start, length, zone, is_floating)
    if ends_at < starts_at:
        raise UnreadableEventError("ends before it starts; correct its DTEND")
    if not length.days and not length.exact:
        raise UnreadableEventError("has no length; let it end after it starts")
    return length, ends_at


class _RecurrenceReader:
    """Reads the properties of a series that begins at the local time `start`."""

    def __init__(self, start: datetime, zone: ZoneInfo, zones: EventZones, *, is_day: bool) -> None:
        self._start, self._zone, self._zones, self._is_day = start, zone, zones, is_day

    def rules(self, lines: Sequence[ContentLine]) -> tuple[RecurrenceRule, ...]:
        if len(lines) > _MAX_RULES:
            raise UnreadableEventError(f"has {len(lines)} rules of recurrence; the limit is {_MAX_RULES}")
        return tuple(read_rule(line.value, self._start, self._until, is_day=self._is_day) for line in lines)

    def dates(self, lines: Sequence[ContentLine], length: Length) -> Iterator[tuple[datetime, Length]]:
        for line, text in _values(lines):
            begin, slash, end = text.partition("/")
            written = _read_one(line, begin, self._zones)
            local = written.day(self._zone) if self._is_day else written.in_zone(self._zone)
            yield local, self._period(line, written, end) if slash else length

    def excluded(self, lines: Sequence[ContentLine]) -> Mapping[str, frozenset[datetime]]:
        dates, days = set(), set()
        for line, text in _values(lines):
            written = _read_one(line, text, self._zones)
            if self._is_day:
                dates.add(written.day(self._zone))
            elif written.is_day:
                days.add(written.local)
            else:
                dates.add(written.in_zone(self._zone))
        return {"excluded_dates": frozenset(dates), "excluded_days": frozenset(days)}

    def _until(self, text: str) -> datetime | None:
        """The last local time that an UNTIL allows: a date allows its whole day."""
        written = read_time(text, None)
        if written is None:
            return None
        if self._is_day:
            return written.day(self._zone)
        if written.is_day:
            return written.local + _DAY - timedelta(microseconds=1)
        return written.in_zone(self._zone)

    def _period(self, line: ContentLine, start: WrittenTime, text: str) -> Length:
        if (duration := read_duration(text)) is not None:
            return duration
        length = _read_one(line, text, self._zones).in_zone(self._zone) - start.in_zone(self._zone)
        if length <= timedelta():
            raise UnreadableEventError(f"has an invalid RDATE (`{shown(text)}`); let it end after it starts")
        return Length(length)


def instant(local: datetime, zone: ZoneInfo, *, is_floating: bool) -> datetime:
    """Return the instant of a local time (docs/decisions/0015-role-holder-precedence.md).

    Where clocks skip it, a floating time is the change, as a handover is; any other has the offset before the change.
    """
    return first_instant(local, zone) if is_floating else local.replace(tzinfo=zone).astimezone(UTC)


def _end(start: datetime, length: Length, zone: ZoneInfo, is_floating: bool) -> datetime:
    local = start + length.days if length.days < LAST_TIME - start else LAST_TIME
    at = instant(local, zone, is_floating=is_floating)
    return at + length.exact if length.exact < LAST - at else LAST


def _values(lines: Sequence[ContentLine]) -> Iterator[tuple[ContentLine, str]]:
    values = [(line, text.strip()) for line in lines for text in line.value.split(",") if text.strip()]
    if len(values) > _MAX_DATES:
        raise UnreadableEventError(f"has {len(values)} single dates; the limit is {_MAX_DATES}")
    return iter(values)


def midnight(at: datetime) -> datetime:
    """Return the midnight before a local time."""
    return at.replace(hour=0, minute=0, second=0)
