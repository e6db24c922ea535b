"""The iCalendars of the directory's rotations, from files and https feeds. The last valid version stays active."""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from tocsin.directory import CalendarLocation, ICalendar, ICalendarError
from tocsin.runtime.process.reloaded_file import describe_read_error
from tocsin.sources.calendar_download import CalendarDownloadError, download_calendar

log = structlog.get_logger(__name__)

Locations = Mapping[str, tuple[CalendarLocation, str]]
"""By rotation: where its calendar is, and the time zone of events that name none."""

Years = tuple[int, ...]
"""The years (UTC) whose events are expanded while reading."""

_REFRESH_SECONDS: Final = 300.0
_RETRY_SECONDS: Final = 30.0
_Key = tuple[CalendarLocation, str]


class _UnusableCalendarError(Exception):
    """A calendar cannot be used. `str()` says why, without its URL."""


class CalendarFeeds:
    """The calendars by location. Files are read when they change, feeds every five minutes.

    Expanding a year of events is slow, so it happens while reading, not when someone asks who is on call.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._valid: dict[_Key, ICalendar] = {}
        self._texts: dict[str, str] = {}
        self._problems: dict[_Key, str] = {}
        self._file_versions: dict[_Key, tuple[int, ...]] = {}
        self._due_at: dict[_Key, float] = {}
        self._fetched_at: dict[_Key, float] = {}
        self._began_at = time.monotonic()
        self.generation = 0
        """Grows whenever a calendar changes."""

    def calendars(self, locations: Locations) -> dict[str, ICalendar]:
        """The last valid calendars by rotation; without those that were never valid."""
        return {name: self._valid[key] for name, key in locations.items() if key in self._valid}

    def is_pending(self, locations: Locations) -> bool:
        """True while a calendar was neither read nor failed: nobody knows yet who is on call."""
        return any(key not in self._valid and key not in self._problems for key in locations.values())

    def problems(self, locations: Locations) -> dict[str, str]:
        """What is wrong now, by rotation. The last valid calendar, if any, stays active."""
        unread = {name: "its calendar was not fetched yet" for name, key in locations.items() if key not in self._valid}
        return unread | {name: self._problems[key] for name, key in locations.items() if key in self._problems}

    def feed_ages(self, locations: Locations) -> dict[str, float]:
        """The seconds since each feed was last read, by rotation; since the start if it never was."""
        now = time.monotonic()
        feeds = {name: key for name, key in locations.items() if key[0].file is None}
        return {name: now - self._fetched_at.get(key, self._began_at) for name, key in feeds.items()}

    def read_files(self, locations: Locations, years: Years) -> None:
        """Read the files that have changed. This may take seconds."""
        for name, key in locations.items():
            if key[0].file is not None:
                self._read_file(name, key, self._folder / key[0].file, years)

    async def fetch(self, locations: Locations, years: Years, *, at_once: bool = False) -> None:
        """Read the files that have changed, and the feeds that are due, or all with `at_once`.

        A feed that failed is due again after 30 seconds.
        """
        await asyncio.to_thread(self.read_files, locations, years)
        due = [
            (name, key)
            for name, key in locations.items()
            if key[0].file is None and (at_once or self._due_at.get(key, 0.0) <= time.monotonic())
        ]
        await asyncio.gather(*(self._fetch_feed(name, key, years) for name, key in due))

    def _read_file(self, name: str, key: _Key, path: Path, years: Years) -> None:
        self._reuse_text(key, str(path), years)
        try:
            status = path.stat()
            version = (status.st_size, status.st_mtime_ns, status.st_ino, *years)
            if version == self._file_versions.get(key):
                return
            # Stored even if reading fails: an invalid file is logged once, not at every call.
            self._file_versions[key] = version
            self._set_valid(name, key, self._parse(key, path.read_text(encoding="utf-8"), years), str(path))
        except (OSError, UnicodeDecodeError) as error:
            self._file_versions.pop(key, None)
            self._set_problem(name, key, f"{path.name} cannot be read: {describe_read_error(error)}")
        except ICalendarError as error:
            self._set_problem(name, key, f"{path.name} {error}")

    async def _fetch_feed(self, name: str, key: _Key, years: Years) -> None:
        try:
            url = self._url(key[0])
            await asyncio.to_thread(self._reuse_text, key, url, years)
            try:
                text = await download_calendar(url)
                # In a thread: parsing a large calendar would block the event loop.
                calendar = await asyncio.to_thread(self._parse, key, text, years)
            except (CalendarDownloadError, ICalendarError) as error:
                raise _UnusableCalendarError(f"the feed of {urlsplit(url).hostname} {error}") from None
        except (_UnusableCalendarError, asyncio.CancelledError) as error:
            self._due_at[key] = time.monotonic() + _RETRY_SECONDS
            # A cancelled attempt counts too: otherwise a directory that waits for this feed would never take effect.
            self._set_problem(name, key, str(error) or "its feed takes too long to read")
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
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
                url = (self._folder / location.url_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise _UnusableCalendarError(f"{origin} cannot be read: {describe_read_error(error)}") from None
        else:
            return location.url or ""
        try:
            return CalendarLocation(url=url).url or ""
        except ValueError:
            raise _UnusableCalendarError(f"{origin} does not contain an https URL") from None

    def _parse(self, key: _Key, text: str, years: Years) -> ICalendar:
        """The calendar with the years expanded; the same object as before if the text has not changed."""
        valid = self._valid.get(key)
        calendar = valid if valid is not None and valid.text == text else ICalendar(text, key[1])
        for year in years:
            calendar.year(year)
        return calendar

    def _reuse_text(self, key: _Key, place: str, years: Years) -> None:
        """Use the text last read from this file or URL, if the directory now names it in another way."""
        if key not in self._valid and place in self._texts:
            with suppress(ICalendarError):
                self._valid[key] = self._parse(key, self._texts[place], years)
                self.generation += 1

    def _set_valid(self, name: str, key: _Key, calendar: ICalendar, place: str) -> None:
        if key in self._problems or key not in self._valid:
            log.info("calendar_loaded", rotation=name)
        self._problems.pop(key, None)
        self._texts[place] = calendar.text
        if calendar is not self._valid.get(key):
            self._valid[key] = calendar
            self.generation += 1

    def _set_problem(self, name: str, key: _Key, problem: str) -> None:
        if problem != self._problems.get(key):
            active = "the last valid version" if key in self._valid else "none"
            log.error("calendar_broken", rotation=name, problem=problem, active=active)
        self._problems[key] = problem
