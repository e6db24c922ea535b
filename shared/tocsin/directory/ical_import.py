"""The events of an iCalendar (RFC 5545), year by year. Text in, events out; `tocsin.sources` fetches the text."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Final

import icalendar
import recurring_ical_events

from tocsin.business_time import load_zone, zone_names
from tocsin.directory.errors import ICalendarError
from tocsin.directory.local_time import FIRST, first_instant

PERSON_PROPERTY: Final = "X-TOCSIN-PERSON"
"""The property with the id of a person of the directory, in iCalendars that we export."""
_LENGTH_PROPERTY: Final = "X-TOCSIN-LENGTH"

MAX_CALENDAR_LENGTH: Final = 5_000_000
_MAX_EVENTS: Final = 10_000
_MAX_EVENTS_PER_YEAR: Final = 10_000
_MAX_EVENTS_PER_DAY: Final = 24
_FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_YEARS_CACHED: Final = 16


@dataclass(frozen=True, slots=True, order=True)
class CalendarEvent:
    """An event, or one occurrence of a recurring event.

    `person` is the id of our own property, `addresses` are those of the attendees who have not declined.
    """

    starts_at: datetime
    ends_at: datetime
    person: str
    addresses: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class LeftOutEvent:
    """An event that cannot be read and so puts nobody on call (docs/rules.md#5-32).

    `starts_at` is its start as the calendar has it; empty if there is none. `reason` reads "what is wrong; what to
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


class ICalendar:
    """The events of an iCalendar. `zone` applies to whole days and to times without a zone.

    `year(n)` returns the events that touch the year n (UTC), sorted. It expands a year once, which may take seconds.
    The constructor and `year` raise ICalendarError.
    """

    def __init__(self, text: str, zone: str) -> None:
        if len(text) > MAX_CALENDAR_LENGTH:
            raise ICalendarError(f"has {len(text)} characters; the limit is {MAX_CALENDAR_LENGTH}")
        self.text: Final = text
        self.left_out: Final[tuple[LeftOutEvent, ...]] = ()
        """The events that cannot be read, in their order."""
        self.notes: Final[tuple[str, ...]] = ()
        """What else cannot be read, such as a broken line: "what is wrong; what to change"."""
        self._zone: Final = load_zone(zone)
        self._query: Final = _parse(text)
        self.year: Final = lru_cache(maxsize=_YEARS_CACHED)(self._of_year)
        self.year(FIRST.year)  # any year reads every series: an invalid one is found now, not at night

    def _of_year(self, year: int) -> tuple[CalendarEvent, ...]:
        start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        try:
            # Series by series, to stop at the limit: `self._query.between` would expand all of them first.
            occurrences = chain.from_iterable(series.between(start, end) for series in self._query.series)
            found = [occurrence.as_component(False) for occurrence in islice(occurrences, _MAX_EVENTS_PER_YEAR + 1)]
            if len(found) > _MAX_EVENTS_PER_YEAR:
                message = f"has more than {_MAX_EVENTS_PER_YEAR} events in {year}; remove some, or end their series"
                raise ICalendarError(message)
            events = [self._event(component) for component in found if not _is_cancelled(component)]
        except ICalendarError:
            raise
        except Exception as error:  # the library raises many kinds for an invalid series
            raise ICalendarError(f"has an invalid event ({_summary(error)}); correct or remove it") from None
        return tuple(sorted(event for event in events if event.starts_at < event.ends_at))

    def _event(self, component: Any) -> CalendarEvent:
        attendees = component.get("ATTENDEE", ())
        invited = attendees if isinstance(attendees, list) else [attendees] if attendees else []
        addresses = [one for one in invited if str(one.params.get("PARTSTAT", "")).upper() != "DECLINED"]
        ends_at = self._instant(component.end)
        if _LENGTH_PROPERTY in component:
            days, seconds = map(int, component[_LENGTH_PROPERTY].split())
            ends_at = self._instant(component.start + timedelta(days=days)) + timedelta(seconds=seconds)
        return CalendarEvent(
            starts_at=self._instant(component.start),
            ends_at=ends_at,
            person=str(component.get(PERSON_PROPERTY, "")),
            addresses=tuple(str(address).casefold().removeprefix("mailto:").strip() for address in addresses),
            summary=_one_line(component.get("SUMMARY", ""))[:200],
        )

    def _instant(self, at: date) -> datetime:
        if not isinstance(at, datetime):
            return first_instant(datetime.combine(at, time()), self._zone)
        if at.tzinfo is None:
            return first_instant(at, self._zone)
        name = getattr(at.tzinfo, "key", None)
        # All processes use the same time zone database (docs/decisions/0011-time-zones-are-pinned.md).
        return (at.replace(tzinfo=load_zone(name)) if name in zone_names() else at).astimezone(UTC)


def _parse(text: str) -> recurring_ical_events.CalendarQuery:
    try:
        calendar = icalendar.Calendar.from_ical(text)
        events = calendar.walk("VEVENT")
        zones = {str(zone.get("TZID")) for zone in calendar.walk("VTIMEZONE")}
        if len(events) > _MAX_EVENTS:
            raise ICalendarError(f"has {len(events)} events; the limit is {_MAX_EVENTS}")
        for event in events:
            _check(event, zones)
            _keep_duration(event)
        _rename_copies(events)
        return recurring_ical_events.of(calendar)
    except ICalendarError:
        raise
    except Exception as error:  # the library raises many kinds
        message = f"is not a valid iCalendar ({_summary(error)}); it must start with BEGIN:VCALENDAR"
        raise ICalendarError(message) from None


def _check(event: Any, zones: set[str]) -> None:
    subject = f"the event `{_one_line(event.get('SUMMARY', ''))[:60]}`"
    start = event.get("DTSTART")
    if start is None or not isinstance(getattr(start, "dt", None), date):
        raise ICalendarError(f"{subject} has no DTSTART; add one")
    zone = start.params.get("TZID")
    if zone is not None and start.dt.tzinfo is None and zone not in zones:
        raise ICalendarError(f"{subject} has the unknown time zone `{zone}`; add its VTIMEZONE")
    if start.dt.year < FIRST.year:
        raise ICalendarError(f"{subject} starts before {FIRST.year}; let it start later")
    rules = event.get("RRULE", ())
    for rule in rules if isinstance(rules, list) else [rules] if rules else []:
        hours, minutes, seconds = (len(rule.get(part, ())) or 1 for part in ("BYHOUR", "BYMINUTE", "BYSECOND"))
        if (rule.get("FREQ") or ["?"])[0] not in _FREQUENCIES or hours * minutes * seconds > _MAX_EVENTS_PER_DAY:
            raise ICalendarError(f"{subject} recurs too often; let it recur daily or less often")
        if min(rule.get("INTERVAL") or [1]) < 1:
            raise ICalendarError(f"{subject} has the INTERVAL {rule['INTERVAL'][0]}; write 1 or more")


def _keep_duration(event: Any) -> None:
    """Copy the duration into a property of our own.

    The library turns a duration into an end by the wall clock, but its hours are exact and only its days are local
    (RFC 5545 3.3.6). It keeps properties that it does not know.
    """
    event.pop(_LENGTH_PROPERTY, None)
    if "DURATION" in event and isinstance(event["DTSTART"].dt, datetime):
        length: timedelta = event["DURATION"].dt
        event[_LENGTH_PROPERTY] = icalendar.vText(f"{length.days} {length.seconds}")


def _rename_copies(events: Iterable[Any]) -> None:
    """Give each copy of an event a unique UID: otherwise the library drops all but one.

    Events of one UID with different SEQUENCE are versions of one event, and those with a RECURRENCE-ID its exceptions.
    """
    seen: Counter[tuple[str, int]] = Counter()
    for event in events:
        if "RECURRENCE-ID" not in event:
            version = (str(event.get("UID", "")), int(event.get("SEQUENCE", 0)))
            seen[version] += 1
            if seen[version] > 1:
                event["UID"] = icalendar.vText(f"{version[0]} copy {seen[version]}")


def _is_cancelled(component: Any) -> bool:
    return str(component.get("STATUS", "")).upper() == "CANCELLED"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _summary(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:100]}"
