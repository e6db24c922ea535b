"""directory.yaml as it is now, with its calendars: read again when they change; the last good ones stay in force."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from tocsin.directory import Directory, DirectoryError, load_directory
from tocsin.runtime.metrics import DIRECTORY_BROKEN, DIRECTORY_CALENDARS_BROKEN
from tocsin.runtime.process.reloaded_file import ReloadedFile
from tocsin.sources.calendar_feeds import CalendarFeeds, Wanted, Years

log = structlog.get_logger(__name__)


class DirectoryFile:
    """The directory of one file. `current` looks at the file's time in each call, so a change counts at once. One that
    names a new calendar counts when `refresh` has tried it: until then a role would seem vacant. `refresh` reads the
    calendars beside the file too, and the feeds; the year of `now` and the next are expanded then.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._file = ReloadedFile(path, _read, DirectoryError, event="directory_broken", broken=DIRECTORY_BROKEN)
        self._directory: Directory | None = None
        self._calendars = CalendarFeeds(path.parent)
        self._composed: tuple[Directory | None, int] = (None, 0)
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
    def problem(self) -> str | None:
        """What is wrong with the file itself."""
        return self._file.problem

    @property
    def _sources(self) -> Wanted:
        return self._file.content.sources if self._file.content else {}

    @property
    def _years(self) -> Years:
        year = self._now().year
        return year, year + 1

    def _look(self) -> None:
        self._read()
        written = self._file.content
        if written is None:
            return
        sources = written.sources
        composed, generation = self._composed
        changed = composed is not written or generation != self._calendars.generation
        if changed and not self._calendars.awaited(sources):
            self._composed = (written, self._calendars.generation)
            self._directory = written.with_calendars(self._calendars.calendars(sources))
        DIRECTORY_CALENDARS_BROKEN.set(len(self._calendars.problems(sources)))

    def _read(self) -> None:
        if (written := self._file.look()) is not None:
            log.info("directory_loaded", people=len(written.people), roles=len(written.roles))


def _read(path: Path) -> Directory:
    return load_directory(path.read_text(encoding="utf-8"), path.name)
