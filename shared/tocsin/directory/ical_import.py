"""An iCalendar as the source of a rotation: text in, turns out. Pure; where the text comes from is others' affair."""

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
from tocsin.directory.local_time import FIRST, first_instant

_LENGTH: Final = "X-TOCSIN-LENGTH"
PERSON: Final = "X-TOCSIN-PERSON"
"""The property by which a calendar of ours names a person of the directory."""

MAX_CALENDAR_LENGTH: Final = 5_000_000
_MOST_EVENTS: Final = 10_000
_MOST_A_YEAR: Final = 10_000
_SLOW_ENOUGH: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_MOST_A_DAY: Final = 24
_YEARS_KEPT: Final = 16


class ICalendarError(ValueError):
    """An iCalendar is refused; says what is wrong and what would be right."""


@dataclass(frozen=True, slots=True, order=True)
class CalendarEvent:
    """One event, or one occurrence of a recurring one. Whoever it names: `person` (of ours), `addresses`, `summary`."""

    starts_at: datetime
    ends_at: datetime
    person: str
    addresses: tuple[str, ...]
    summary: str


class ICalendar:
    """The events of an iCalendar, year by year as they are asked for. Immutable but for what it remembers.

    `year` expands the events of a year once, which may take seconds, and raises CalendarError where they are too many.
    Raises CalendarError where the text is no calendar that can be understood.
    """

    def __init__(self, text: str, zone: str) -> None:
        if len(text) > MAX_CALENDAR_LENGTH:
            raise ICalendarError(f"has {len(text)} characters; keep it below {MAX_CALENDAR_LENGTH}")
        self.text: Final = text
        self._zone: Final = load_zone(zone)
        self._query: Final = _queried(text)
        self.year: Final = lru_cache(maxsize=_YEARS_KEPT)(self._of_year)
        self.year(FIRST.year)  # every series is looked at in any year: now, not at 3 a.m.

    def _of_year(self, year: int) -> tuple[CalendarEvent, ...]:
        """The events that touch that year (UTC), by their start. Those without a length do not count."""
        start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        try:
            # Series by series, to stop where there are too many: `between` would expand them all first.
            every = chain.from_iterable(series.between(start, end) for series in self._query.series)
            occurring = [found.as_component(False) for found in islice(every, _MOST_A_YEAR + 1)]
            if len(occurring) > _MOST_A_YEAR:
                raise ICalendarError(f"has more than {_MOST_A_YEAR} events in {year}; remove some, or end their series")
            found = [self._event(component) for component in occurring if not _is_cancelled(component)]
        except ICalendarError:
            raise
        except Exception as error:  # whatever the library makes of a broken series
            raise ICalendarError(
                f"has an event that cannot be understood ({_said(error)}); mend or remove it"
            ) from None
        return tuple(sorted(event for event in found if event.starts_at < event.ends_at))

    def _event(self, component: Any) -> CalendarEvent:
        attendees = component.get("ATTENDEE", ())
        invited = attendees if isinstance(attendees, list) else [attendees] if attendees else []
        addresses = [one for one in invited if str(one.params.get("PARTSTAT", "")).upper() != "DECLINED"]
        ends_at = self._instant(component.end)
        if _LENGTH in component:
            days, seconds = map(int, component[_LENGTH].split())
            ends_at = self._instant(component.start + timedelta(days=days)) + timedelta(seconds=seconds)
        return CalendarEvent(
            self._instant(component.start),
            ends_at,
            str(component.get(PERSON, "")),
            tuple(str(address).casefold().removeprefix("mailto:").strip() for address in addresses),
            " ".join(str(component.get("SUMMARY", "")).split())[:200],
        )

    def _instant(self, at: date) -> datetime:
        if not isinstance(at, datetime):
            return first_instant(datetime.combine(at, time()), self._zone)
        if at.tzinfo is None:
            return first_instant(at, self._zone)
        name = getattr(at.tzinfo, "key", None)
        # Every replica reckons with the same database of zones, not with its machine's (0011).
        return (at.replace(tzinfo=load_zone(name)) if name in zone_names() else at).astimezone(UTC)


def _queried(text: str) -> recurring_ical_events.CalendarQuery:
    try:
        calendar = icalendar.Calendar.from_ical(text)
        events = calendar.walk("VEVENT")
        zones = {str(zone.get("TZID")) for zone in calendar.walk("VTIMEZONE")}
        if len(events) > _MOST_EVENTS:
            raise ICalendarError(f"has {len(events)} events; keep them below {_MOST_EVENTS}")
        for event in events:
            _check(event, zones)
            _keep_duration(event)
        _tell_copies_apart(events)
        return recurring_ical_events.of(calendar)
    except ICalendarError:
        raise
    except Exception as error:  # the library raises many kinds
        message = f"is no iCalendar that can be understood ({_said(error)}); it must begin with BEGIN:VCALENDAR"
        raise ICalendarError(message) from None


def _keep_duration(event: Any) -> None:
    """The library makes an end of it by the clock on the wall; hours are exact, days alone are not (RFC 5545 3.3.6).

    It keeps properties that it does not know.
    """
    event.pop(_LENGTH, None)
    if "DURATION" in event and isinstance(event["DTSTART"].dt, datetime):
        length: timedelta = event["DURATION"].dt
        event[_LENGTH] = icalendar.vText(f"{length.days} {length.seconds}")


def _tell_copies_apart(events: Iterable[Any]) -> None:
    """A block that somebody copied with its UID is an event of its own: the library would drop all but one.

    Of different SEQUENCE they are versions of one event, and with a RECURRENCE-ID its exceptions.
    """
    seen: Counter[tuple[str, int]] = Counter()
    for event in events:
        if "RECURRENCE-ID" not in event:
            version = (str(event.get("UID", "")), int(event.get("SEQUENCE", 0)))
            seen[version] += 1
            if seen[version] > 1:
                event["UID"] = icalendar.vText(f"{version[0]} copy {seen[version]}")


def _check(event: Any, zones: set[str]) -> None:
    summary = " ".join(str(event.get("SUMMARY", "")).split())[:60]
    start = event.get("DTSTART")
    if start is None or not isinstance(getattr(start, "dt", None), date):
        raise ICalendarError(f"the event `{summary}` has no DTSTART; state when it begins")
    name = start.params.get("TZID")
    if name is not None and start.dt.tzinfo is None and name not in zones:
        raise ICalendarError(f"the event `{summary}` is in the zone `{name}`, which is not known; add its VTIMEZONE")
    if start.dt.year < FIRST.year:
        raise ICalendarError(f"the event `{summary}` begins before {FIRST.year}; let it begin later")
    rules = event.get("RRULE", ())
    for rule in rules if isinstance(rules, list) else [rules] if rules else []:
        times = [len(rule.get(part, ())) or 1 for part in ("BYHOUR", "BYMINUTE", "BYSECOND")]
        if (rule.get("FREQ") or ["?"])[0] not in _SLOW_ENOUGH or times[0] * times[1] * times[2] > _MOST_A_DAY:
            raise ICalendarError(f"the event `{summary}` recurs too often; let it recur daily or more rarely")
        if min(rule.get("INTERVAL") or [1]) < 1:
            raise ICalendarError(
                f"the event `{summary}` recurs every {rule['INTERVAL'][0]}; state an INTERVAL of 1 or more"
            )


def _said(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:100]}"


def _is_cancelled(component: Any) -> bool:
    return str(component.get("STATUS", "")).upper() == "CANCELLED"
