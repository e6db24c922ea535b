"""Reads the files that settings name: regular files only, up to a limit, no pipe that hangs and no endless device."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from tocsin.runtime.errors import FileReadError

MAX_CONFIGURATION_BYTES: Final = 5_000_000
MAX_SECRET_BYTES: Final = 10_000

_KINDS: Final = {
    stat.S_IFDIR: "it is a folder; give the path of a file in it",
    stat.S_IFIFO: "it is a pipe; give the path of a regular file",
    stat.S_IFSOCK: "it is a socket; give the path of a regular file",
    stat.S_IFCHR: "it is a device; give the path of a regular file",
    stat.S_IFBLK: "it is a device; give the path of a regular file",
}


def read_file(path: Path, limit: int = MAX_CONFIGURATION_BYTES) -> bytes:
    """The bytes of a regular file, also by a symbolic link. Raises FileReadError, also above `limit` bytes."""
    _check(path, file_status(path), limit)  # before opening: to open a device may already have an effect
    try:
        # The path may meanwhile name a pipe: with O_NONBLOCK, opening a pipe without a writer does not block.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb") as file:
            _check(path, os.fstat(file.fileno()), limit)
            content = file.read(limit + 1)
    except OSError as error:
        raise FileReadError(path, describe_read_error(error)) from None
    if len(content) > limit:
        raise _too_large(path, limit)
    return content


def read_text(path: Path, limit: int = MAX_CONFIGURATION_BYTES) -> str:
    """The text of a regular file in UTF-8. Raises FileReadError, also above `limit` bytes."""
    try:
        return read_file(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileReadError(path, describe_read_error(error)) from None


def file_status(path: Path) -> os.stat_result:
    """The status of the file, also by a symbolic link. Raises FileReadError."""
    try:
        return os.stat(path)  # path.stat() takes twice as long, and every request asks
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL
        raise FileReadError(path, describe_read_error(error)) from None


def describe_read_error(error: OSError | ValueError) -> str:
    """Why a file could not be read."""
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return _KINDS[stat.S_IFDIR]
        case UnicodeDecodeError():
            return "it is not UTF-8"
        case OSError(errno=errno.ELOOP):
            return "its symbolic links form a loop"
        case OSError(strerror=str(reason)):
            return reason.lower()
    return "its path is invalid"


def _check(path: Path, status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FileReadError(path, _KINDS.get(stat.S_IFMT(status.st_mode), "it is not a regular file"))
    if status.st_size > limit:
        raise _too_large(path, limit)


def _too_large(path: Path, limit: int) -> FileReadError:
    return FileReadError(path, f"it is larger than {limit:,} bytes; make it smaller, or correct the path")
