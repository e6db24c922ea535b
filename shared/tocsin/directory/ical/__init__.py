"""Reads an iCalendar (RFC 5545): text in, events by year out. No I/O; `tocsin.sources` fetches the text.

Each event is read on its own, so that a broken one changes no other
(docs/decisions/0037-calendars-are-read-event-by-event.md). Read the modules in this order:

- `calendar`: `ICalendar`, what the rest of tocsin uses. It brings together all of the below.
- `text`: splits the text into events and time zones, and a line into its name, parameters and value.
- `properties`: those lines of an event that matter for who is on call.
- `calendar_time`: dates, times and durations as written, and the zone by whose clocks an event recurs.
- `zones`: the time zone that a TZID means.
- `event`: one VEVENT with its times and rules, or the reason why it cannot be read.
- `recurrence_rule`: the local times of an RRULE.
- `series`: the occurrences of all VEVENTs with one UID.
"""

from tocsin.directory.ical.calendar import MAX_CALENDAR_LENGTH, CalendarEvent, ICalendar, UnreadableEvent
from tocsin.directory.ical.text import PERSON_PROPERTY

__all__ = ["MAX_CALENDAR_LENGTH", "PERSON_PROPERTY", "CalendarEvent", "ICalendar", "UnreadableEvent"]
