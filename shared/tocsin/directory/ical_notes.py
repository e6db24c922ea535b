"""What of an iCalendar besides events cannot be read: "what is wrong; what to change"."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from icalendar import Component

from tocsin.directory.ical_text import CalendarText, parse_line, shown

_MAX_NOTES: Final = 20
_MAX_HEADER_LINES: Final = 100


def calendar_notes(
    calendars: Sequence[CalendarText], of_zones: Sequence[str], ignored: Sequence[tuple[str, str]]
) -> Iterator[str]:
    """Yield at most 20 notes, and the number of further ones. `ignored` are lines of events, each with its title."""
    yield from islice(_notes(calendars, of_zones, ignored), _MAX_NOTES)
    if more := sum(1 for _ in islice(_notes(calendars, of_zones, ignored), _MAX_NOTES, None)):
        yield f"{more} more lines cannot be read; export the calendar again"


def _notes(
    calendars: Sequence[CalendarText], of_zones: Sequence[str], ignored: Sequence[tuple[str, str]]
) -> Iterator[str]:
    for calendar in calendars:
        if not calendar.is_complete:
            yield "END:VCALENDAR is missing, so events may be missing, too; export the calendar again"
        for line in calendar.lines[:_MAX_HEADER_LINES]:
            if not _is_valid(line):
                yield f"the line `{shown(line)}` is not valid and is ignored; correct or remove it"
        for line in calendar.loose_ends:
            yield f"the line `{shown(line)}` ends nothing and is ignored; remove it"
    yield from of_zones
    for title, line in ignored:
        yield f"the line `{shown(line)}` of the event `{shown(title)}` is not valid and is ignored; correct it"


def _is_valid(text: str) -> bool:
    line = parse_line(text)
    if line is None:
        return False
    try:
        kind: Any = Component.types_factory.for_property(line.name, line.parameters.get("VALUE"))
        kind.from_ical(line.value)
    except Exception:
        return False
    return True
