"""A file that is reloaded when it changes. If it becomes invalid, the last valid version stays active."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from prometheus_client import Gauge

log = structlog.get_logger(__name__)

T = TypeVar("T")


def describe_read_error(error: OSError | UnicodeDecodeError) -> str:
    """Why a file could not be read as text."""
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "it is a folder"
        case UnicodeDecodeError():
            return "it is not UTF-8"
    return (error.strerror or type(error).__name__).lower()


class ReloadedFile(Generic[T]):
    """The content of the file at `path`, as `read` returns it.

    `read` raises `invalid` for a file that cannot be used, OSError or UnicodeDecodeError. A new problem is logged as
    `event`; the gauge `broken` is 1 while there is one.

    Attributes: `content` is the last valid content (None before the first), `problem` says what is wrong with the file
    now (None if it is valid), `written_at` is its modification time in real time.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], T],
        invalid: type[Exception],
        *,
        event: str,
        broken: Gauge | None = None,
    ) -> None:
        self._path = path
        self._read = read
        self._invalid = invalid
        self._event = event
        self._broken = broken
        self._version: tuple[int, int, int] | None = None
        self.content: T | None = None
        self.problem: str | None = None
        self.written_at: datetime | None = None

    def reload(self) -> T | None:
        """Read the file if its time, size or inode has changed. Returns the new valid content, otherwise None."""
        try:
            status = self._path.stat()
            version = (status.st_size, status.st_mtime_ns, status.st_ino)
            if version == self._version:
                return None
            # Stored even if reading fails: an invalid file is logged once, not at every call.
            self._version = version
            self.written_at = datetime.fromtimestamp(status.st_mtime, UTC)
            self.content = self._read(self._path)
        except (OSError, UnicodeDecodeError) as error:
            self._version = None
            self._set_problem(f"{self._path.name} cannot be read: {describe_read_error(error)}")
        except self._invalid as error:
            self._set_problem(str(error))
        else:
            self._set_problem(None)
            return self.content
        return None

    def _set_problem(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            active = "none" if self.content is None else "the last valid version"
            log.error(self._event, problem=problem, active=active)
        self.problem = problem
        if self._broken is not None:
            self._broken.set(problem is not None)
