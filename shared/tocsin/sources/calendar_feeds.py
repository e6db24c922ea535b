"""The iCalendars of the directory's rotations, from files and https feeds. The last valid version stays active."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from tocsin.directory import MAX_CALENDAR_LENGTH, CalendarLocation, ICalendarError
from tocsin.runtime.errors import FileReadError
from tocsin.runtime.http.public_address import Network
from tocsin.runtime.process.regular_file import MAX_SECRET_BYTES, file_status, read_file, read_text
from tocsin.sources.calendar_reader import CalendarCopy, SlowCalendarError, read_calendar

log = structlog.get_logger(__name__)

Locations = Mapping[str, tuple[CalendarLocation, str]]
"""By rotation: where its calendar is, and the time zone of events that name none."""

Years = tuple[int, ...]
"""The years (UTC) whose events are expanded while reading."""

_REFRESH_SECONDS: Final = 300.0
_RETRY_SECONDS: Final = 30.0
_RETRY_SLOW_SECONDS: Final = 300.0
_CHILDREN: Final = 2
_Key = tuple[CalendarLocation, str]


class _UnusableCalendarError(Exception):
    """A calendar cannot be used. `str()` says why, without its URL."""


@dataclass(slots=True)
class _CalendarState:
    """The state of one calendar. `due_at` and `fetched_at` are times of the monotonic clock.

    `valid` is its last valid version, `problem` what is wrong now. A file is read when its `file_version` changes; if
    it has a `due_at`, it is read again then, too.
    """

    location: CalendarLocation
    zone: str
    valid: CalendarCopy | None = None
    problem: str | None = None
    file_version: tuple[int, ...] = ()
    due_at: float | None = None
    fetched_at: float | None = None

    def is_due(self) -> bool:
        return self.due_at is None or self.due_at <= time.monotonic()


class CalendarFeeds:
    """The calendars by location. Files are read when they change, feeds every five minutes.

    Expanding a year of events is slow, so it happens while reading, not when someone asks who is on call. `networks`
    are those beside the public internet that feeds may come from.
    """

    def __init__(self, folder: Path, networks: Sequence[Network]) -> None:
        self._folder = folder
        self._networks = networks
        self._states: dict[_Key, _CalendarState] = {}
        self._octets: dict[str, bytes] = {}
        """The last valid calendars, by path or URL."""
        self._began_at = time.monotonic()
        self._children = asyncio.Semaphore(_CHILDREN)
        self.generation = 0
        """Grows whenever a calendar changes."""

    def calendars(self, locations: Locations) -> dict[str, CalendarCopy]:
        """The last valid calendars by rotation; without those that were never valid."""
        return {name: state.valid for name, state in self._named(locations) if state.valid is not None}

    def is_pending(self, locations: Locations) -> bool:
        """True while a calendar was neither read nor failed: nobody knows yet who is on call."""
        return any(state.valid is None and state.problem is None for _, state in self._named(locations))

    def problems(self, locations: Locations) -> dict[str, str]:
        """What is wrong now, by rotation. The last valid calendar, if any, stays active."""
        problems = {}
        for name, state in self._named(locations):
            if state.problem is not None:
                problems[name] = state.problem
            elif state.valid is None:
                problems[name] = "its calendar has not been read yet"
        return problems

    def feed_ages(self, locations: Locations) -> dict[str, float]:
        """The seconds since each feed was last read, by rotation; since the start if it never was."""
        now = time.monotonic()
        feeds = {name: state for name, state in self._named(locations) if state.location.file is None}
        return {name: now - (state.fetched_at or self._began_at) for name, state in feeds.items()}

    async def fetch(self, locations: Locations, years: Years, *, at_once: bool = False) -> None:
        """Read the files that have changed, and the feeds that are due, or all with `at_once`.

        A feed that failed is due again after 30 seconds, a calendar that took too long to read after 5 minutes.
        """
        names = {key: name for name, key in locations.items()}  # rotations may share a calendar
        states = self._named({name: key for key, name in names.items()})
        await asyncio.gather(*(self._refresh(name, state, years, at_once) for name, state in states))

    def _named(self, locations: Locations) -> list[tuple[str, _CalendarState]]:
        return [(name, self._states.setdefault(key, _CalendarState(*key))) for name, key in locations.items()]

    async def _refresh(self, name: str, state: _CalendarState, years: Years, at_once: bool) -> None:
        is_due = at_once or state.is_due()
        try:
            if state.location.file is not None:
                await self._refresh_file(name, state, self._folder / state.location.file, years, is_due)
            elif is_due:
                await self._refresh_feed(name, state, years)
        except _UnusableCalendarError as error:
            _set_problem(name, state, str(error))
        except asyncio.CancelledError:
            state.due_at = time.monotonic() + _RETRY_SECONDS
            # A cancelled attempt counts too: otherwise a directory that waits for it would never take effect.
            _set_problem(name, state, "its calendar takes too long to read")
            raise

    async def _refresh_file(self, name: str, state: _CalendarState, path: Path, years: Years, is_due: bool) -> None:
        await self._reuse_octets(state, str(path), years)
        try:
            status = await asyncio.to_thread(file_status, path)
            version = (status.st_size, status.st_mtime_ns, status.st_ino, *years)
            if version == state.file_version and not (state.due_at is not None and is_due):
                return
            octets = await asyncio.to_thread(read_file, path, MAX_CALENDAR_LENGTH)
        except FileReadError as error:
            state.file_version = ()
            raise _UnusableCalendarError(f"{state.location.file} cannot be read: {error.reason}") from None
        # Stored even if reading fails: an invalid file is logged once, not at every call.
        state.file_version = version
        state.due_at = None
        try:
            calendar = await self._read(state, octets, years)
        except ICalendarError as error:
            if isinstance(error, SlowCalendarError):
                state.due_at = time.monotonic() + _RETRY_SLOW_SECONDS
            raise _UnusableCalendarError(f"{state.location.file} {error}") from None
        self._set_valid(name, state, calendar, str(path))

    async def _refresh_feed(self, name: str, state: _CalendarState, years: Years) -> None:
        # Here: it imports httpx, which takes 14 ms of a start, also where no calendar is a feed.
        from tocsin.sources.calendar_download import CalendarDownloadError, download_calendar

        state.due_at = time.monotonic() + _RETRY_SECONDS
        url = self._url(state.location)
        await self._reuse_octets(state, url, years)
        try:
            octets = await download_calendar(url, self._networks)
            calendar = await self._read(state, octets, years)
        except (CalendarDownloadError, ICalendarError) as error:
            wait = _RETRY_SLOW_SECONDS if isinstance(error, SlowCalendarError) else _RETRY_SECONDS
            state.due_at = time.monotonic() + wait
            raise _UnusableCalendarError(f"the feed of {urlsplit(url).hostname} {error}") from None
        state.fetched_at = time.monotonic()
        state.due_at = state.fetched_at + _REFRESH_SECONDS
        self._set_valid(name, state, calendar, url)

    def _url(self, location: CalendarLocation) -> str:
        if location.url_env is not None:
            url = os.environ.get(location.url_env, "")
            origin = f"the variable {location.url_env}"
            if not url:
                raise _UnusableCalendarError(f"{origin} is not set")
        elif location.url_file is not None:
            origin = f"the file {location.url_file}"
            try:
                url = read_text(self._folder / location.url_file, MAX_SECRET_BYTES).strip()
            except FileReadError as error:
                raise _UnusableCalendarError(f"{origin} cannot be read: {error.reason}") from None
        else:
            return location.url or ""
        try:
            return CalendarLocation(url=url).url or ""
        except ValueError:
            raise _UnusableCalendarError(f"{origin} does not contain an https URL") from None

    async def _read(self, state: _CalendarState, octets: bytes, years: Years) -> CalendarCopy:
        """The calendar with the years expanded; the same object as before if nothing has changed."""
        if state.valid is not None and state.valid.has(octets, years):
            return state.valid
        async with self._children:
            return await read_calendar(octets, state.zone, years)

    async def _reuse_octets(self, state: _CalendarState, place: str, years: Years) -> None:
        """Use what was last read from this file or URL, if the directory now names it in another way."""
        if state.valid is None and place in self._octets:
            octets = self._octets.pop(place)
            with suppress(ICalendarError):
                state.valid = await self._read(state, octets, years)
                self._octets[place] = octets
                self.generation += 1

    def _set_valid(self, name: str, state: _CalendarState, calendar: CalendarCopy, place: str) -> None:
        if state.problem is not None or state.valid is None:
            log.info("calendar_loaded", rotation=name)
        state.problem = None
        self._octets[place] = calendar.octets
        if calendar is not state.valid:
            state.valid = calendar
            self.generation += 1


def _set_problem(name: str, state: _CalendarState, problem: str) -> None:
    if problem != state.problem:
        active = "none" if state.valid is None else "the last valid version"
        log.error("calendar_broken", rotation=name, problem=problem, active=active)
    state.problem = problem
