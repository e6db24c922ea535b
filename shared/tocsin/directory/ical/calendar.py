"""The events of an iCalendar, year by year, and its unreadable parts."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from tocsin.business_time import load_zone
from tocsin.directory.errors import ICalendarError, UnreadableEventError
from tocsin.directory.ical.event import EventPart, EventZones, read_event, read_property_time
from tocsin.directory.ical.properties import EventProperties
from tocsin.directory.ical.series import ChangedOccurrence, EventSeries
from tocsin.directory.ical.text import CalendarText, parse_line, shown, split_calendars
from tocsin.directory.ical.zones import CalendarZones

MAX_CALENDAR_LENGTH: Final = 5_000_000
_MAX_EVENTS_PER_YEAR: Final = 40_000
_MAX_RECURRING_PER_YEAR: Final = 20_000
_MAX_NOTES: Final = 20
_MAX_HEADER_LINES: Final = 100


@dataclass(frozen=True, slots=True, order=True)
class CalendarEvent:
    """An event, or one occurrence of a recurring event.

    `person` is the id of our own property; `addresses` and `names` are those of the attendees who have not declined.
    """

    starts_at: datetime
    ends_at: datetime
    person: str
    addresses: tuple[str, ...]
    summary: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadableEvent:
    """An event that cannot be read and so puts nobody on call (docs/rules.md#5-32).

    `starts_at` is its start as written in the calendar; empty if missing. `reason` reads "what is wrong; what to
    change". `person`, `addresses`, `names` (of attendees) and `summary` say whom it would have put on call. From
    `over_at` on it could not have put anyone on call; None if that is unknown.
    """

    summary: str
    starts_at: str
    reason: str
    person: str = ""
    addresses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    over_at: datetime | None = None

    def message(self, people: str) -> str:
        """A sentence that says why the event cannot be read; `people` are the names of those it would put on call."""
        event = f"the event `{self.summary}`" + (f" at {self.starts_at}" if self.starts_at else "")
        if people:
            return f"{event} would put {people} on call, but cannot be read: it {self.reason}"
        return f"{event} is left out: it {self.reason}"


class ICalendar:
    """The events of an iCalendar. `zone` applies to whole days and to times without a zone.

    `left_out` are the events that cannot be read, in their order; `notes` say what else cannot be read, such as a
    broken line. The constructor raises ICalendarError if the text is not a calendar or is too long.
    """

    def __init__(self, text: str, zone: str) -> None:
        if len(text) > MAX_CALENDAR_LENGTH:
            raise ICalendarError(f"has {len(text)} characters; the limit is {MAX_CALENDAR_LENGTH}; remove old events")
        calendars = split_calendars(text)
        if not calendars:
            raise ICalendarError("has no line BEGIN:VCALENDAR, so it is not an iCalendar; check its address")
        reader = _Reader(load_zone(zone))
        for calendar in calendars:
            reader.add(calendar)
        self._series: Final = reader.series()
        self.left_out: Final = tuple(event for _, event in sorted(reader.left_out.items()))
        self.notes: Final = _first_notes(reader.notes)

    def year(self, year: int) -> tuple[CalendarEvent, ...]:
        """The events that touch the year (UTC), sorted. Raises ICalendarError if there are too many."""
        start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        # Series by series, to stop at the limit.
        occurrences = chain.from_iterable(series.between(start, end) for series in self._series)
        found = list(islice(occurrences, _MAX_EVENTS_PER_YEAR + 1))
        if len(found) > _MAX_EVENTS_PER_YEAR:
            message = f"has more than {_MAX_EVENTS_PER_YEAR} events in {year}; remove some, or end their series"
            raise ICalendarError(message)
        return tuple(
            sorted(
                CalendarEvent(starts_at, ends_at, who.person, who.addresses, who.summary, who.names)
                for who, starts_at, ends_at in found
            )
        )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A VEVENT before its times are read."""

    properties: EventProperties
    zones: EventZones


@dataclass(slots=True)
class _Reader:
    """Reads the events of VCALENDARs. Collects what is left out by its place in the text, and notes on the rest."""

    rotation_zone: ZoneInfo
    left_out: dict[int, UnreadableEvent] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _drafts: dict[str, list[_Draft]] = field(default_factory=lambda: defaultdict(list))
    _count: int = 0

    def add(self, calendar: CalendarText) -> None:
        self.notes += _notes(calendar)
        zones = CalendarZones(calendar.zones)
        self.notes += zones.notes
        header = {line.name: line.value for line in map(parse_line, calendar.lines) if line}
        name = header.get("X-WR-TIMEZONE")
        default = zones.find(name) if name else None
        if name and default is None:
            self.notes.append(f"X-WR-TIMEZONE is ignored: it {zones.describe_unknown(name)}")
        event_zones = EventZones(zones, self.rotation_zone, default)
        for event in calendar.events:
            self._count += 1
            properties = EventProperties.read(self._count, event.lines, event.problem)
            title = shown(properties.summary)
            self.notes += [
                f"the line `{shown(line)}` of the event `{title}` is not valid and is ignored; correct it"
                for line in properties.ignored
            ]
            # Events without a UID belong to no series.
            uid = properties.text("UID") or f"\0{self._count}"
            self._drafts[uid].append(_Draft(properties, event_zones))

    def series(self) -> list[EventSeries]:
        """Return the series of the events that can be read. If there are too many, the most frequent are left out."""
        every = list(self._all_series())
        kept = [one for one in every if one.master is None or not one.master.recurs]
        recurring = [(one.master, one) for one in every if one.master is not None and one.master.recurs]
        counts: Counter[int] = Counter()
        for master, one in sorted(recurring, key=lambda found: found[0].most_per_year):
            most, years = master.most_per_year, master.years
            if max(counts[year] for year in years) + most <= _MAX_RECURRING_PER_YEAR:
                counts.update(dict.fromkeys(years, most))
                kept.append(one)
            else:
                message = "recurs, but the calendar has too many recurring events; use a calendar for on-call only"
                self._leave_out(master.properties, message)
                kept.append(EventSeries.of(None, one.changes))
        return kept

    def _all_series(self) -> Iterator[EventSeries]:
        for drafts in self._drafts.values():
            masters = [draft for draft in drafts if draft.properties.first("RECURRENCE-ID") is None]
            # Of the versions of an event the last one counts. Copies with one SEQUENCE all count.
            latest = max((draft.properties.sequence for draft in masters), default=0)
            found = [part for draft in masters if draft.properties.sequence == latest and (part := self._part(draft))]
            changed = [draft for draft in drafts if draft.properties.first("RECURRENCE-ID") is not None]
            changed.sort(key=lambda draft: draft.properties.sequence)
            changes = [change for draft in changed if (change := self._change(draft))]
            yield EventSeries.of(found[0] if found else None, changes)
            for copy in found[1:]:
                yield EventSeries.of(copy, ())

    def _part(self, draft: _Draft) -> EventPart | None:
        """The event, or None if it is cancelled or cannot be read."""
        try:
            return _read_part(draft)
        except UnreadableEventError as error:
            self._leave_out(draft.properties, str(error))
            return None

    def _change(self, draft: _Draft) -> ChangedOccurrence | None:
        """The change of an occurrence; None if it cannot be read, so that the original occurrence applies."""
        line = draft.properties.all("RECURRENCE-ID")[0]
        for_future = line.parameters.get("RANGE", "").upper() == "THISANDFUTURE"
        try:
            return ChangedOccurrence(read_property_time(line, draft.zones), _read_part(draft), for_future)
        except UnreadableEventError as error:
            self._leave_out(draft.properties, str(error))
            return None

    def _leave_out(self, who: EventProperties, reason: str) -> None:
        self.left_out[who.number] = UnreadableEvent(
            summary=who.summary,
            starts_at=who.written_start,
            reason=reason,
            person=who.person,
            addresses=who.addresses,
            names=who.names,
            over_at=who.over_at,
        )


def _read_part(draft: _Draft) -> EventPart | None:
    draft.properties.check()
    return None if draft.properties.is_cancelled else read_event(draft.properties, draft.zones)


def _first_notes(notes: Sequence[str]) -> tuple[str, ...]:
    more = len(notes) - _MAX_NOTES
    last = (f"{more} more lines cannot be read; export the calendar again",) if more > 0 else ()
    return (*notes[:_MAX_NOTES], *last)


def _notes(calendar: CalendarText) -> Iterator[str]:
    """Yield what is wrong between the events of a VCALENDAR."""
    if not calendar.is_complete:
        yield "END:VCALENDAR is missing, so events may be missing, too; export the calendar again"
    for line in calendar.lines[:_MAX_HEADER_LINES]:
        if not _is_valid_header(line):
            yield f"the line `{shown(line)}` is not valid and is ignored; correct or remove it"
    for line in calendar.loose_ends:
        yield f"the line `{shown(line)}` has no matching BEGIN and is ignored; remove it"


def _is_valid_header(text: str) -> bool:
    line = parse_line(text)
    if line is None:
        return False
    try:
        from icalendar import Component  # here: most processes start without a calendar, and it takes 15 ms

        kind: Any = Component.types_factory.for_property(line.name, line.parameters.get("VALUE"))
        kind.from_ical(line.value)
    except Exception:  # the library raises many kinds
        return False
    return True
