"""directory.yaml with its calendars, reloaded when they change. The last valid versions stay active."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from tocsin.directory import Directory, DirectoryError, load_directory
from tocsin.runtime.http.public_address import Network
from tocsin.runtime.metrics import DIRECTORY_BROKEN, DIRECTORY_CALENDARS_BROKEN, set_feed_ages
from tocsin.runtime.process.reloaded_file import ReloadedFile
from tocsin.sources.calendar_feeds import CalendarFeeds, Locations, Years

REFRESH_SECONDS: Final = 60
"""The limit of one refresh: the download of feeds, and the reading of the calendars, two at a time."""
_BACK: Final = timedelta(days=90)
"""The exported calendar of a role goes back at least this far, so that year is expanded as well."""

log = structlog.get_logger(__name__)


class DirectoryFile:
    """The directory of one file.

    `current` reloads a changed file, so a change takes effect immediately. A directory that names a new calendar takes
    effect only after `refresh` has tried to read that calendar: otherwise a role would look vacant. `refresh` also
    reads the calendars, and expands the events of this year (by `now`), the next, and the last one for 90 days. Feeds
    come from public addresses and from `networks`.
    """

    def __init__(
        self,
        path: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        networks: Sequence[Network] = (),
    ) -> None:
        self._now = now
        self._file = ReloadedFile(
            path, load_directory, DirectoryError, event="directory_broken", broken=DIRECTORY_BROKEN
        )
        self._directory: Directory | None = None
        self._calendars = CalendarFeeds(path.parent, networks)
        self._applied: tuple[Directory | None, int] = (None, 0)
        self._reload()

    def current(self) -> Directory | None:
        """The last valid directory; None before the first one, when nobody knows who holds a role."""
        self._reload()
        return self._directory

    async def refresh(self, *, at_once: bool = False) -> None:
        """Read changed calendars, and the feeds that are due, or all with `at_once`. Call it every few seconds."""
        self._reload()
        await self._calendars.fetch(self._locations, self._years, at_once=at_once)
        self._reload()
        set_feed_ages(self._calendars.feed_ages(self._locations))

    async def note(self) -> str | None:
        """What is wrong with the file and its calendars; None if nothing is.

        `/readyz` needs no key, so it names the field but not its value.
        """
        self._reload()
        calendars = [f"rotation {name}: {problem}" for name, problem in sorted(self.calendar_problems().items())]
        problem = self._file.public_problem
        return "\n".join([*([problem] if problem else []), *calendars, *self._left_out()]) or None

    def calendar_problems(self) -> dict[str, str]:
        """What is wrong with the calendars, by rotation."""
        return self._calendars.problems(self._locations)

    @property
    def problem(self) -> str | None:
        """What is wrong with the file itself, or None."""
        return self._file.problem

    def _left_out(self) -> list[str]:
        """How many events cannot be read, by rotation. `/readyz` needs no key, so it shows no title of an event."""
        now, lines = self._now(), []
        for name, schedule in sorted(self._directory.calendar_schedules.items() if self._directory else ()):
            if left_out := schedule.left_out(now):
                count = f"{len(left_out)} event{'s' if len(left_out) > 1 else ''} cannot be read"
                named = sum(1 for _, people in left_out if people)
                on_call = f"{named} would put somebody on call; " if named else ""
                lines.append(f"rotation {name}: {count}; {on_call}`python -m notifier directory check` names them")
        return lines

    @property
    def _locations(self) -> Locations:
        return self._file.content.calendar_locations if self._file.content else {}

    @property
    def _years(self) -> Years:
        now = self._now().astimezone(UTC)
        return tuple(range((now - _BACK).year, now.year + 2))

    def _reload(self) -> None:
        self._reload_file()
        content = self._file.content
        if content is None:
            return
        locations = content.calendar_locations
        applied, generation = self._applied
        changed = applied is not content or generation != self._calendars.generation
        if changed and not self._calendars.is_pending(locations):
            self._applied = (content, self._calendars.generation)
            self._directory = content.with_calendars(self._calendars.calendars(locations))
        DIRECTORY_CALENDARS_BROKEN.set(len(self._calendars.problems(locations)))

    def _reload_file(self) -> None:
        if (content := self._file.reload()) is not None:
            log.info("directory_loaded", people=len(content.people), roles=len(content.roles))
