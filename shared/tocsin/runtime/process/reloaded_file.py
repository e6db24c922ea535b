"""A file that is read again when it changes. A broken one leaves the last good one in force, and that is told."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from prometheus_client import Gauge

log = structlog.get_logger(__name__)

T = TypeVar("T")


def describe_read_error(error: OSError | UnicodeDecodeError) -> str:
    """Why a file could not be read as text, in words."""
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "it is a folder"
        case UnicodeDecodeError():
            return "it is not in UTF-8"
    return (error.strerror or type(error).__name__).lower()


class ReloadedFile(Generic[T]):
    """What `read` makes of the file at `path`; it raises `refusal` where that cannot be used, OSError, or
    UnicodeDecodeError.

    `content` is the last good one, None while there never was one, and `problem` what is wrong with the file, or None.
    `written_at`: when it was last written, in real time, as far as it was looked at.
    A new problem is logged as `event`; `broken` is 1 while there is one.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], T],
        refusal: type[Exception],
        *,
        event: str,
        broken: Gauge | None = None,
    ) -> None:
        self._path = path
        self._read = read
        self._refusal = refusal
        self._event = event
        self._broken = broken
        self._version: tuple[int, int, int] | None = None
        self.content: T | None = None
        self.problem: str | None = None
        self.written_at: datetime | None = None

    def look(self) -> T | None:
        """Read the file if its time, size or identity has changed; the new content, or None."""
        try:
            status = self._path.stat()
            version = (status.st_size, status.st_mtime_ns, status.st_ino)
            if version == self._version:
                return None
            # Kept even if reading fails: a broken file is complained about once, not at every look.
            self._version = version
            self.written_at = datetime.fromtimestamp(status.st_mtime, UTC)
            self.content = self._read(self._path)
        except (OSError, UnicodeDecodeError) as error:
            self._version = None
            self._found(f"{self._path.name} cannot be read: {describe_read_error(error)}")
        except self._refusal as error:
            self._found(str(error))
        else:
            self._found(None)
            return self.content
        return None

    def _found(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            in_force = "none" if self.content is None else "the last good one"
            log.error(self._event, problem=problem, in_force=in_force)
        self.problem = problem
        if self._broken is not None:
            self._broken.set(problem is not None)
