"""directory.yaml as it is now: read again when it changes; a broken one leaves the last good one in force."""

from pathlib import Path

import structlog

from tocsin.directory import Directory, DirectoryError, load_directory
from tocsin.runtime.metrics import DIRECTORY_BROKEN

log = structlog.get_logger(__name__)


class DirectoryFile:
    """The directory of one file. `current` looks at the file's time each call, so a change counts at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._directory: Directory | None = None
        self.problem: str | None = None
        self._refresh()

    def current(self) -> Directory | None:
        """The last good directory; None while there never was one, which says nothing about who holds a role."""
        self._refresh()
        return self._directory

    async def note(self) -> str | None:
        """For /readyz: None, or what is wrong with the file. No reason to be not ready: the last good one serves."""
        self._refresh()
        return self.problem

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            version = (status.st_size, status.st_mtime_ns, status.st_ino)
            if version == self._version:
                return
            # Kept even if reading fails: a broken file is complained about once, not at every look.
            self._version = version
            self._directory = load_directory(self._path.read_text(encoding="utf-8"), self._path.name)
            self._found(None)
            log.info("directory_loaded", people=len(self._directory.people), roles=len(self._directory.roles))
        except (OSError, UnicodeDecodeError) as error:
            self._version = None
            self._found(f"{self._path.name} cannot be read: {type(error).__name__}")
        except DirectoryError as error:
            self._found(str(error))

    def _found(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            log.error("directory_broken", problem=problem, in_force="the last good one" if self._directory else "none")
        self.problem = problem
        DIRECTORY_BROKEN.set(problem is not None)
