"""`python -m tocsin.sources.calendar_child ZONE YEAR...`: reads the iCalendar on standard input, writes JSON.

A process of its own: reading may take seconds and much memory, and a crafted calendar may never end.
"""

import resource
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from tocsin.directory import ICalendar, ICalendarError
from tocsin.sources.calendar_content import CONTENT, CalendarContent

READ_SECONDS: Final = 10
"""The time that the parent allows. The child also ends by itself soon after, should the parent be gone."""
_MEMORY_BYTES: Final = 1_000_000_000
_MAX_RESULT_BYTES: Final = 30_000_000
_TOO_LARGE: Final = "needs too much memory to read; remove old events, or attendees of events that recur"


def main() -> None:
    """Read, and write the result."""
    _limit()
    zone, *years = sys.argv[1:]
    try:
        result = CONTENT.dump_json(read_content(sys.stdin.buffer.read().decode(), zone, map(int, years)))
    except (MemoryError, RecursionError):
        result = b""
    if not result or len(result) > _MAX_RESULT_BYTES:
        result = CONTENT.dump_json(CalendarContent(problem=_TOO_LARGE))
    sys.stdout.buffer.write(result)


def read_content(text: str, zone: str, years: Iterable[int]) -> CalendarContent:
    """The content of an iCalendar with the events of the years, or with the problem that it has."""
    try:
        calendar = ICalendar(text, zone)
        expanded = {year: calendar.year(year) for year in years}
        # After the years: a series may turn out to be unreadable only when it is expanded.
        return CalendarContent(expanded, calendar.left_out, calendar.notes)
    except ICalendarError as error:
        return CalendarContent(problem=str(error))


def _limit() -> None:
    with suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    signal.alarm(READ_SECONDS + 5)


if __name__ == "__main__":
    main()
