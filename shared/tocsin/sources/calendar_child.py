"""`python -m tocsin.sources.calendar_child ZONE YEAR...`: reads the iCalendar on standard input, writes JSON.

It is a separate process, because reading may take seconds and much memory, and a crafted calendar may never end.
"""

import codecs
import re
import resource
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter

from tocsin.directory import CalendarEvent, ICalendar, ICalendarError, UnreadableEvent

READ_SECONDS: Final = 10
"""The time that the parent allows. The child also ends itself a little later, in case the parent is gone."""
_MEMORY_BYTES: Final = 1_000_000_000
_MAX_RESULT_BYTES: Final = 30_000_000
_TOO_LARGE: Final = "needs too much memory to read; remove old events, or attendees of events that recur"

_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_FOLD: Final = re.compile(rb"\r?\n[ \t]")


@dataclass(frozen=True, slots=True)
class CalendarContent:
    """The events of an iCalendar by year (UTC), sorted, and the parts that cannot be read.

    `problem` says why the whole calendar cannot be read; None if it can.
    """

    years: Mapping[int, tuple[CalendarEvent, ...]] = field(default_factory=dict)
    left_out: tuple[UnreadableEvent, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None


CONTENT: TypeAdapter[CalendarContent] = TypeAdapter(CalendarContent)


def main() -> None:
    """Read, and write the result."""
    _limit()
    zone, *years = sys.argv[1:]
    try:
        result = CONTENT.dump_json(read_content(sys.stdin.buffer.read(), zone, map(int, years)))
    except (MemoryError, RecursionError):
        result = b""
    if not result or len(result) > _MAX_RESULT_BYTES:
        result = CONTENT.dump_json(CalendarContent(problem=_TOO_LARGE))
    sys.stdout.buffer.write(result)


def read_content(octets: bytes, zone: str, years: Iterable[int]) -> CalendarContent:
    """The content of an iCalendar with the events of the years, or with the problem that it has."""
    try:
        calendar = ICalendar(decode_calendar(octets), zone)
        return CalendarContent({year: calendar.year(year) for year in years}, calendar.left_out, calendar.notes)
    except ICalendarError as error:
        return CalendarContent(problem=str(error))


def decode_calendar(octets: bytes) -> str:
    """The text: by its byte order mark, else as UTF-8, and lines that are not UTF-8 as Windows-1252.

    RFC 5545 says UTF-8. Some writers fold lines inside a character, and some mix in the character set of their machine.
    """
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if octets.startswith(mark):
            return octets.decode(encoding, errors="replace")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(map(_decode_line, _FOLD.sub(b"", octets).splitlines(keepends=True)))


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("windows-1252", errors="replace")


def _limit() -> None:
    with suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    signal.alarm(READ_SECONDS + 5)


if __name__ == "__main__":
    main()
