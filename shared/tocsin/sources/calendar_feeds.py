"""The iCalendars of the directory's rotations, from files and https feeds. The last valid version stays active."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from tocsin.directory import MAX_CALENDAR_LENGTH, CalendarLocation, ICalendarError
from tocsin.runtime.errors import FileReadError
from tocsin.runtime.http.public_address import Network
from tocsin.runtime.process.regular_file import MAX_SECRET_BYTES, file_status, read_file, read_text
from tocsin.sources.calendar_download import CalendarDownloadError, download_calendar
from tocsin.sources.calendar_reader import ReadCalendar, SlowCalendarError, read_calendar

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


class CalendarFeeds:
    """The calendars by location. Files are read when they change, feeds every five minutes.

    Expanding a year of events is slow, so it happens while reading, not when someone asks who is on call. `networks`
    are those beside the public internet that feeds may come from.
    """

    def __init__(self, folder: Path, networks: Sequence[Network]) -> None:
        self._folder = folder
        self._networks = networks
        self._valid: dict[_Key, ReadCalendar] = {}
        self._octets: dict[str, bytes] = {}
        self._problems: dict[_Key, str] = {}
        self._file_versions: dict[_Key, tuple[int, ...]] = {}
        self._due_at: dict[_Key, float] = {}
        self._fetched_at: dict[_Key, float] = {}
        self._began_at = time.monotonic()
        self._children = asyncio.Semaphore(_CHILDREN)
        self.generation = 0
        """Grows whenever a calendar changes."""

    def calendars(self, locations: Locations) -> dict[str, ReadCalendar]:
        """The last valid calendars by rotation; without those that were never valid."""
        return {name: self._valid[key] for name, key in locations.items() if key in self._valid}

    def is_pending(self, locations: Locations) -> bool:
        """True while a calendar was neither read nor failed: nobody knows yet who is on call."""
        return any(key not in self._valid and key not in self._problems for key in locations.values())

    def problems(self, locations: Locations) -> dict[str, str]:
        """What is wrong now, by rotation. The last valid calendar, if any, stays active."""
        unread = {name: "its calendar was not read yet" for name, key in locations.items() if key not in self._valid}
        return unread | {name: self._problems[key] for name, key in locations.items() if key in self._problems}

    def feed_ages(self, locations: Locations) -> dict[str, float]:
        """The seconds since each feed was last read, by rotation; since the start if it never was."""
        now = time.monotonic()
        feeds = {name: key for name, key in locations.items() if key[0].file is None}
        return {name: now - self._fetched_at.get(key, self._began_at) for name, key in feeds.items()}

    async def fetch(self, locations: Locations, years: Years, *, at_once: bool = False) -> None:
        """Read the files that have changed, and the feeds that are due, or all with `at_once`.

        A feed that failed is due again after 30 seconds, a calendar that took too long to read after 5 minutes.
        """
        names = {key: name for name, key in locations.items()}  # rotations may share a calendar
        await asyncio.gather(*(self._refresh(name, key, years, at_once) for key, name in names.items()))

    async def _refresh(self, name: str, key: _Key, years: Years, at_once: bool) -> None:
        is_due = at_once or self._due_at.get(key, 0.0) <= time.monotonic()
        try:
            if key[0].file is not None:
                await self._refresh_file(name, key, self._folder / key[0].file, years, is_due)
            elif is_due:
                await self._refresh_feed(name, key, years)
        except _UnusableCalendarError as error:
            self._set_problem(name, key, str(error))
        except asyncio.CancelledError:
            self._due_at[key] = time.monotonic() + _RETRY_SECONDS
            # A cancelled attempt counts too: otherwise a directory that waits for it would never take effect.
            self._set_problem(name, key, "its calendar takes too long to read")
            raise

    async def _refresh_file(self, name: str, key: _Key, path: Path, years: Years, is_due: bool) -> None:
        await self._reuse_octets(key, str(path), years)
        try:
            status = await asyncio.to_thread(file_status, path)
            version = (status.st_size, status.st_mtime_ns, status.st_ino, *years)
            if version == self._file_versions.get(key) and not (key in self._due_at and is_due):
                return
            octets = await asyncio.to_thread(read_file, path, MAX_CALENDAR_LENGTH)
        except FileReadError as error:
            self._file_versions.pop(key, None)
            raise _UnusableCalendarError(str(error)) from None
        # Stored even if reading fails: an invalid file is logged once, not at every call.
        self._file_versions[key] = version
        self._due_at.pop(key, None)
        try:
            calendar = await self._read(key, octets, years)
        except ICalendarError as error:
            if isinstance(error, SlowCalendarError):
                self._due_at[key] = time.monotonic() + _RETRY_SLOW_SECONDS
            raise _UnusableCalendarError(f"{path.name} {error}") from None
        self._set_valid(name, key, calendar, str(path))

    async def _refresh_feed(self, name: str, key: _Key, years: Years) -> None:
        self._due_at[key] = time.monotonic() + _RETRY_SECONDS
        url = self._url(key[0])
        await self._reuse_octets(key, url, years)
        try:
            octets = await download_calendar(url, self._networks)
            calendar = await self._read(key, octets, years)
        except (CalendarDownloadError, ICalendarError) as error:
            wait = _RETRY_SLOW_SECONDS if isinstance(error, SlowCalendarError) else _RETRY_SECONDS
            self._due_at[key] = time.monotonic() + wait
            raise _UnusableCalendarError(f"the feed of {urlsplit(url).hostname} {error}") from None
        self._fetched_at[key] = time.monotonic()
        self._due_at[key] = self._fetched_at[key] + _REFRESH_SECONDS
        self._set_valid(name, key, calendar, url)

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

    async def _read(self, key: _Key, octets: bytes, years: Years) -> ReadCalendar:
        """The calendar with the years expanded; the same object as before if nothing has changed."""
        valid = self._valid.get(key)
        if valid is not None and valid.has(octets, years):
            return valid
        async with self._children:
            return await read_calendar(octets, key[1], years)

    async def _reuse_octets(self, key: _Key, place: str, years: Years) -> None:
        """Use what was last read from this file or URL, if the directory now names it in another way."""
        if key not in self._valid and place in self._octets:
            octets = self._octets.pop(place)
            with suppress(ICalendarError):
                self._valid[key] = await self._read(key, octets, years)
                self._octets[place] = octets
                self.generation += 1

    def _set_valid(self, name: str, key: _Key, calendar: ReadCalendar, place: str) -> None:
        if key in self._problems or key not in self._valid:
            log.info("calendar_loaded", rotation=name)
        self._problems.pop(key, None)
        self._octets[place] = calendar.octets
        if calendar is not self._valid.get(key):
            self._valid[key] = calendar
            self.generation += 1

    def _set_problem(self, name: str, key: _Key, problem: str) -> None:
        if problem != self._problems.get(key):
            active = "the last valid version" if key in self._valid else "none"
            log.error("calendar_broken", rotation=name, problem=problem, active=active)
        self._problems[key] = problem
