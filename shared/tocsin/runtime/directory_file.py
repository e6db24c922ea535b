"""directory.yaml as it is now, with its calendars: read again when they change; the last good ones stay in force."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from tocsin.directory import Directory, DirectoryError, load_directory
from tocsin.runtime.calendar_sources import CalendarSources, Wanted, Years
from tocsin.runtime.metrics import DIRECTORY_BROKEN, DIRECTORY_CALENDARS_BROKEN

log = structlog.get_logger(__name__)


class DirectoryFile:
    """The directory of one file. `current` looks at the file's time in each call, so a change counts at once. One that
    names a new calendar counts when `refresh` has tried it: until then a role would seem vacant. `refresh` reads the
    calendars beside the file too, and the feeds; the year of `now` and the next are expanded then.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._now = now
        self._version: tuple[int, int, int] | None = None
        self._written: Directory | None = None
        self._directory: Directory | None = None
        self._calendars = CalendarSources(path.parent)
        self._composed: tuple[Directory | None, int] = (None, 0)
        self.problem: str | None = None
        self._read()
        self._calendars.look(self._sources, self._years)
        self._look()

    def current(self) -> Directory | None:
        """The last good directory; None while there never was one, which says nothing about who holds a role."""
        self._look()
        return self._directory

    async def refresh(self, *, at_once: bool = False) -> None:
        """Read the calendars that have changed, and the feeds whose time has come (or all, `at_once`), for the
        scheduler to call every few seconds.
        """
        self._look()
        await self._calendars.fetch(self._sources, self._years, at_once=at_once)
        self._look()

    async def note(self) -> str | None:
        """For /readyz: None, or what is wrong with the file and its calendars. No reason to be not ready: the last good
        ones serve.
        """
        self._look()
        calendars = [f"rotation {name}: {problem}" for name, problem in sorted(self.calendar_problems().items())]
        return "\n".join([*([self.problem] if self.problem else []), *calendars]) or None

    def calendar_problems(self) -> dict[str, str]:
        """What is wrong with the calendars, by the rotations' names."""
        return self._calendars.problems(self._sources)

    @property
    def _sources(self) -> Wanted:
        return self._written.sources if self._written else {}

    @property
    def _years(self) -> Years:
        year = self._now().year
        return year, year + 1

    def _look(self) -> None:
        self._read()
        if self._written is None:
            return
        sources = self._written.sources
        written, generation = self._composed
        changed = written is not self._written or generation != self._calendars.generation
        if changed and not self._calendars.awaited(sources):
            self._composed = (self._written, self._calendars.generation)
            self._directory = self._written.with_calendars(self._calendars.calendars(sources))
        DIRECTORY_CALENDARS_BROKEN.set(len(self._calendars.problems(sources)))

    def _read(self) -> None:
        try:
            status = self._path.stat()
            version = (status.st_size, status.st_mtime_ns, status.st_ino)
            if version == self._version:
                return
            # Kept even if reading fails: a broken file is complained about once, not at every look.
            self._version = version
            self._written = load_directory(self._path.read_text(encoding="utf-8"), self._path.name)
            self._found(None)
            log.info("directory_loaded", people=len(self._written.people), roles=len(self._written.roles))
        except (OSError, UnicodeDecodeError) as error:
            self._version = None
            self._found(f"{self._path.name} cannot be read: {type(error).__name__}")
        except DirectoryError as error:
            self._found(str(error))

    def _found(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            log.error("directory_broken", problem=problem, in_force="the last good one" if self._written else "none")
        self.problem = problem
        DIRECTORY_BROKEN.set(problem is not None)
