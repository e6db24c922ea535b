"""A file that is reloaded when it changes. If it becomes invalid, the last valid version stays active."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from prometheus_client import Gauge

from tocsin.runtime.errors import FileReadError
from tocsin.runtime.process.regular_file import file_status, read_text
from tocsin.yaml_document import DocumentError

log = structlog.get_logger(__name__)

T = TypeVar("T")


class ReloadedFile(Generic[T]):
    """The content of the file at `path`, as `parse` returns it.

    `parse` gets the text and the name of the file, and raises `invalid` if it cannot be used. A new problem is logged
    as `event`; the gauge `broken` is 1 while there is one.

    Attributes: `content` is the last valid content (None before the first), `problem` says what is wrong with the file
    now (None if it is valid), `public_problem` the same without values of the file, `written_at` is its modification
    time in real time.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[str, str], T],
        invalid: type[Exception],
        *,
        event: str,
        broken: Gauge | None = None,
    ) -> None:
        self._path = path
        self._parse = parse
        self._invalid = invalid
        self._event = event
        self._broken = broken
        self._version: tuple[int, int, int] | None = None
        self.content: T | None = None
        self.problem: str | None = None
        self.public_problem: str | None = None
        self.written_at: datetime | None = None

    def reload(self, *, again: bool = False) -> T | None:
        """Read the file if its time, size or inode has changed. Returns the new valid content, otherwise None.

        `again`: read it in any case, because a file that it names has changed.
        """
        try:
            status = file_status(self._path)
            version = (status.st_size, status.st_mtime_ns, status.st_ino)
            if version == self._version and not again:
                return None
            # Stored even if reading fails: an invalid file is logged once, not at every call.
            self._version = version
            self.written_at = datetime.fromtimestamp(status.st_mtime, UTC)
            self.content = self._parse(read_text(self._path), self._path.name)
        except FileReadError as error:
            self._version = None
            self._set_problem(f"{self._path.name} cannot be read: {error.reason}")  # /readyz shows no path
        except DocumentError as error:
            self._set_problem(str(error), "\n".join(f"{place}: not valid; the log says why" for place in error.places))
        except self._invalid as error:
            self._set_problem(str(error))
        else:
            self._set_problem(None)
            return self.content
        return None

    def _set_problem(self, problem: str | None, public_problem: str | None = None) -> None:
        if problem is not None and problem != self.problem:
            active = "none" if self.content is None else "the last valid version"
            log.error(self._event, problem=problem, active=active)
        self.problem = problem
        self.public_problem = public_problem or problem
        if self._broken is not None:
            self._broken.set(problem is not None)
