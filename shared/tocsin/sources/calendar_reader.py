"""Reads iCalendars in child processes, so that neither the event loop nor other threads wait for a slow one."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Final

from pydantic import ValidationError

from tocsin.directory import CalendarEvent, ICalendarError, UnreadableEvent
from tocsin.sources.calendar_child import CONTENT, READ_SECONDS, CalendarContent

_MAX_FURTHER_EVENTS: Final = 100_000
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")
"""The variables that the child inherits. The others may be secrets."""


class SlowCalendarError(ICalendarError):
    """Reading an iCalendar took too long and was stopped."""


class CalendarCopy:
    """A copy of an iCalendar in memory, with its events of some years. Further years are read on request."""

    def __init__(self, octets: bytes, zone: str, content: CalendarContent) -> None:
        self.octets: Final = octets
        self.left_out: Final[tuple[UnreadableEvent, ...]] = content.left_out
        self.notes: Final[tuple[str, ...]] = content.notes
        self._zone = zone
        self._years = content.years
        self._further: dict[int, CalendarContent] = {}
        self._lock = threading.Lock()

    def has(self, octets: bytes, years: Iterable[int]) -> bool:
        """Whether it is the calendar of these bytes, with the events of the years."""
        return octets == self.octets and all(year in self._years for year in years)

    def year(self, year: int) -> tuple[CalendarEvent, ...]:
        """The events that touch the year (UTC), sorted. Reading a further year may take seconds.

        Raises ICalendarError.
        """
        if year in self._years:
            return self._years[year]
        with self._lock:  # one further child at a time
            if year not in self._further:
                while sum(map(_count_events, self._further.values())) > _MAX_FURTHER_EVENTS:
                    del self._further[next(iter(self._further))]
                self._further[year] = self._read_year(year)
            content = self._further[year]
        if content.problem is not None:
            raise ICalendarError(content.problem)
        return content.years[year]

    def _read_year(self, year: int) -> CalendarContent:
        try:
            return _Child(self._zone, [year]).read(self.octets)
        except ICalendarError as error:
            return CalendarContent(problem=str(error))


def _count_events(content: CalendarContent) -> int:
    return sum(map(len, content.years.values()))


async def read_calendar(octets: bytes, zone: str, years: Iterable[int]) -> CalendarCopy:
    """The iCalendar with the events of the years. Raises ICalendarError, SlowCalendarError above READ_SECONDS.

    If it is cancelled, its child is killed.
    """
    child = _Child(zone, years)
    try:
        return CalendarCopy(octets, zone, await asyncio.to_thread(child.read, octets))
    finally:
        child.kill()


class _Child:
    """A child process that reads one iCalendar, and is killed when that takes too long or from another thread."""

    def __init__(self, zone: str, years: Iterable[int]) -> None:
        self._command = [sys.executable, "-P", "-m", "tocsin.sources.calendar_child", zone, *map(str, years)]
        self._process: subprocess.Popen[bytes] | None = None
        self._is_killed = False

    def read(self, octets: bytes) -> CalendarContent:
        """The content of the calendar. Raises ICalendarError, SlowCalendarError above READ_SECONDS."""
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment
        ) as self._process:
            if self._is_killed:  # before it began
                self._process.kill()
            try:
                output, _ = self._process.communicate(octets, READ_SECONDS)
            except subprocess.TimeoutExpired:
                raise SlowCalendarError(
                    f"takes longer than {READ_SECONDS} seconds to read; remove old events, and series that have ended"
                ) from None
            finally:
                self._process.kill()
        try:
            content = CONTENT.validate_json(output)
        except ValidationError:
            raise ICalendarError("cannot be read, because its reader ended early; remove old events") from None
        if content.problem is not None:
            raise ICalendarError(content.problem)
        return content

    def kill(self) -> None:
        """Kill the process, if it still runs."""
        self._is_killed = True
        if self._process is not None:
            self._process.kill()
