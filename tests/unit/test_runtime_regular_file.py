"""Files that settings name: only regular files are read, up to a limit, and no other kind hangs or fills the memory."""

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tocsin.runtime.errors import FileReadError
from tocsin.runtime.process.regular_file import read_file, read_text


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "there is no such file"),
    "broken link": (lambda path: path.symlink_to("nowhere"), "there is no such file"),
    "circle": (lambda path: path.symlink_to(path.name), "its symbolic links form a loop"),
    "folder": (Path.mkdir, "it is a folder; give the path of a file in it"),
    "pipe": (os.mkfifo, "it is a pipe; give the path of a regular file"),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), "it is a device; give the path of a regular file"),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), "it is a device; give the path of a regular file"),
    "socket": (bind_socket, "it is a socket; give the path of a regular file"),
    "large": (
        lambda path: path.write_bytes(b"x" * 11),
        "it is larger than 10 bytes; make it smaller",
    ),
    "sparse": (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 10**13), "it is larger than 10 bytes"),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe"), "it is not UTF-8"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_regular_file_up_to_the_limit_is_read(kind: str, tmp_path: Path) -> None:
    make, reason = KINDS[kind]
    path = tmp_path / "key"
    make(path)
    with pytest.raises(FileReadError, match=rf"^{re.escape(str(path))} cannot be read: {reason}"):
        read_text(path, 10)


def test_a_file_of_unknown_size_is_bounded() -> None:
    with pytest.raises(FileReadError, match="it is larger than 5 bytes"):
        read_file(Path("/proc/self/status"), 5)


def test_an_invalid_path_is_refused() -> None:
    with pytest.raises(FileReadError, match="its path is invalid"):
        read_file(Path("a\0b"))


def test_a_file_is_read_through_the_links_of_a_mounted_config_map(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "key").write_text("ten bytes!")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "key").symlink_to("..data/key")
    assert read_text(tmp_path / "key", 10) == "ten bytes!"
