"""The iCalendars that the directory's rotations name: read from files and https feeds, the last good copy kept."""

import asyncio
import os
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx
import structlog

from tocsin.directory import MAX_CALENDAR_LENGTH, CalendarLocation, ICalendar, ICalendarError
from tocsin.runtime.process.reloaded_file import describe_read_error

log = structlog.get_logger(__name__)

Wanted = Mapping[str, tuple[CalendarLocation, str]]
"""The sources by their rotations' names, each with the zone of events that name none."""

Years = tuple[int, ...]
"""The years (UTC) that will be asked about."""

_AGAIN_SECONDS: Final = 300.0
_RETRY_SECONDS: Final = 30.0
_FETCH_SECONDS: Final = 15.0
_REDIRECTS: Final = 3
_Key = tuple[CalendarLocation, str]


class _UnreadableError(Exception):
    """A calendar that could not be had; says why, without its address."""


class CalendarFeeds:
    """The calendars by source. `fetch` looks at the files every time, and fetches the feeds when it is time.

    The years that it is given are expanded with the reading: not when somebody must know at once who is on call.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._good: dict[_Key, ICalendar] = {}
        self._texts: dict[str, str] = {}
        self._problems: dict[_Key, str] = {}
        self._versions: dict[_Key, tuple[int, ...]] = {}
        self._due: dict[_Key, float] = {}
        self.generation = 0
        """Grows whenever a calendar became another."""

    def calendars(self, wanted: Wanted) -> dict[str, ICalendar]:
        """The last good calendars, by rotation; one that never was good is not there."""
        return {name: self._good[key] for name, key in wanted.items() if key in self._good}

    def awaited(self, wanted: Wanted) -> bool:
        """True while a calendar was neither had nor failed: nobody can say yet whose turn it is."""
        return any(key not in self._good and key not in self._problems for key in wanted.values())

    def problems(self, wanted: Wanted) -> dict[str, str]:
        """What is wrong now, by rotation. The last good calendar, if any, is in force meanwhile."""
        unread = {name: "its calendar was not fetched yet" for name, key in wanted.items() if key not in self._good}
        return unread | {name: self._problems[key] for name, key in wanted.items() if key in self._problems}

    def look(self, wanted: Wanted, years: Years) -> None:
        """Read the files that have changed. It may take seconds."""
        for name, key in wanted.items():
            if key[0].file is not None:
                self._look(name, key, self._folder / key[0].file, years)

    async def fetch(self, wanted: Wanted, years: Years, *, at_once: bool = False) -> None:
        """Read the files that have changed, and the feeds whose time has come, or all of them; what fails is tried
        again sooner.
        """
        await asyncio.to_thread(self.look, wanted, years)
        due = [
            (name, key)
            for name, key in wanted.items()
            if key[0].file is None and (at_once or self._due.get(key, 0.0) <= time.monotonic())
        ]
        await asyncio.gather(*(self._fetch(name, key, years) for name, key in due))

    def _look(self, name: str, key: _Key, path: Path, years: Years) -> None:
        self._adopt(key, str(path), years)
        try:
            status = path.stat()
            version = (status.st_size, status.st_mtime_ns, status.st_ino, *years)
            if version == self._versions.get(key):
                return
            # Kept even if reading fails: a broken file is complained about once, not at every look.
            self._versions[key] = version
            self._found(name, key, self._understood(key, path.read_text(encoding="utf-8"), years), str(path))
        except (OSError, UnicodeDecodeError) as error:
            self._versions.pop(key, None)
            self._failed(name, key, f"{path.name} cannot be read: {describe_read_error(error)}")
        except ICalendarError as error:
            self._failed(name, key, f"{path.name} {error}")

    async def _fetch(self, name: str, key: _Key, years: Years) -> None:
        try:
            url = self._address(key[0])
            await asyncio.to_thread(self._adopt, key, url, years)
            host = urlsplit(url).hostname
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    text = await _downloaded(url)
                # Parsing a large one would hold up the event loop.
                calendar = await asyncio.to_thread(self._understood, key, text, years)
            except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
                raise _UnreadableError(f"the feed of {host} cannot be fetched: {_why(error)}") from None
            except (ICalendarError, _UnreadableError, UnicodeDecodeError) as error:
                raise _UnreadableError(f"the feed of {host} {error}") from None
        except (_UnreadableError, asyncio.CancelledError) as error:
            self._due[key] = time.monotonic() + _RETRY_SECONDS
            # Cut off: it counts as tried, or a directory that waits for this feed would never be in force.
            self._failed(name, key, str(error) or "its feed takes too long to be read")
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            self._due[key] = time.monotonic() + _AGAIN_SECONDS
            self._found(name, key, calendar, url)

    def _address(self, source: CalendarLocation) -> str:
        if source.url_env is not None:
            url = os.environ.get(source.url_env, "")
            where = f"the variable {source.url_env}"
            if not url:
                raise _UnreadableError(f"{where} is not set")
        elif source.url_file is not None:
            where = f"the file {source.url_file}"
            try:
                url = (self._folder / source.url_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise _UnreadableError(f"{where} cannot be read: {describe_read_error(error)}") from None
        else:
            return source.url or ""
        try:
            return CalendarLocation(url=url).url or ""
        except ValueError:
            raise _UnreadableError(f"{where} holds no https address") from None

    def _understood(self, key: _Key, text: str, years: Years) -> ICalendar:
        """The calendar of a text, those years of it expanded; the same as before if the text is."""
        good = self._good.get(key)
        calendar = good if good is not None and good.text == text else ICalendar(text, key[1])
        for year in years:
            calendar.year(year)
        return calendar

    def _adopt(self, key: _Key, place: str, years: Years) -> None:
        """What was read last at that place serves whoever names it in another way, or with another zone."""
        if key not in self._good and place in self._texts:
            with suppress(ICalendarError):
                self._good[key] = self._understood(key, self._texts[place], years)
                self.generation += 1

    def _found(self, name: str, key: _Key, calendar: ICalendar, place: str) -> None:
        if key in self._problems or key not in self._good:
            log.info("calendar_loaded", rotation=name)
        self._problems.pop(key, None)
        self._texts[place] = calendar.text
        if calendar is not self._good.get(key):
            self._good[key] = calendar
            self.generation += 1

    def _failed(self, name: str, key: _Key, problem: str) -> None:
        if problem != self._problems.get(key):
            in_force = "the last good one" if key in self._good else "none"
            log.error("calendar_broken", rotation=name, problem=problem, in_force=in_force)
        self._problems[key] = problem


def _why(error: BaseException) -> str:
    """What kind of failure it was; the library hides a certificate's below its own."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({below.verify_message}); SSL_CERT_FILE names the authorities that are"
            )
        below = below.__cause__ or below.__context__
    return type(error).__name__


async def _downloaded(url: str) -> str:
    """The text at an https address; a redirect is followed on the same host only."""
    host = urlsplit(url).netloc
    async with httpx.AsyncClient(follow_redirects=False, timeout=_FETCH_SECONDS) as client:
        for _ in range(_REDIRECTS + 1):
            async with client.stream("GET", url, headers={"Accept": "text/calendar"}) as answer:
                if answer.is_redirect:
                    url = urljoin(url, answer.headers.get("Location", ""))
                    parts = urlsplit(url)
                    if (parts.scheme, parts.netloc) != ("https", host):
                        raise _UnreadableError("redirects to another host; name that one")
                    continue
                if answer.status_code != httpx.codes.OK:
                    raise _UnreadableError(f"answers {answer.status_code}")
                return await _text(answer)
    raise _UnreadableError("redirects in a circle")


async def _text(answer: httpx.Response) -> str:
    content = bytearray()
    async for piece in answer.aiter_bytes():
        content += piece
        if len(content) > MAX_CALENDAR_LENGTH:
            raise _UnreadableError(f"is larger than {MAX_CALENDAR_LENGTH} bytes")
    return content.decode("utf-8")
