"""A reloaded file: what stays active and what is logged, through every way to break the file."""

import os
from pathlib import Path
from unittest.mock import Mock

import pytest
import structlog
from tocsin.runtime.http.api_keys import KeyFile, KeyRing, issue, write_keys
from tocsin.runtime.process.reloaded_file import ReloadedFile


class NoNumberError(Exception):
    """The file does not contain a number."""


def number(text: str, name: str) -> int:
    if not text.isdigit():
        raise NoNumberError(f"{name}: is no number")
    return int(text)


def test_the_last_valid_version_stays_active_and_a_problem_is_logged_once(tmp_path: Path) -> None:
    path = tmp_path / "number"
    file = ReloadedFile(path, number, NoNumberError, event="number_broken")
    with structlog.testing.capture_logs() as logs:
        assert (file.reload(), file.reload(), file.content) == (None, None, None)
        path.write_text("7")
        assert (file.reload(), file.reload(), file.content, file.problem) == (7, None, 7, None)
        path.write_text("seven")
        assert (file.reload(), file.reload(), file.content, file.problem) == (None, None, 7, "number: is no number")
        path.write_bytes(b"\xff\xff")
        assert (file.reload(), file.content, file.problem) == (None, 7, "number cannot be read: it is not UTF-8")
        path.write_text("8")
        assert (file.reload(), file.content, file.problem) == (8, 8, None)
    logged = [(entry["problem"], entry["active"]) for entry in logs if entry["event"] == "number_broken"]
    assert logged == [
        ("number cannot be read: there is no such file", "none"),
        ("number: is no number", "the last valid version"),
        ("number cannot be read: it is not UTF-8", "the last valid version"),
    ]


def test_a_file_that_was_unreadable_for_a_while_is_read_although_it_has_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "number"
    path.write_text("7")
    file = ReloadedFile(path, number, NoNumberError, event="number_broken")
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", Mock(side_effect=PermissionError(13, "Permission denied")))
        assert (file.reload(), file.problem) == (None, "number cannot be read: permission denied")
    assert (file.reload(), file.problem) == (7, None)


def test_a_key_file_that_is_not_text_keeps_the_last_valid_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    text, key = issue("default")
    write_keys(path, KeyFile(keys=(key,)))
    ring = KeyRing(path)
    path.write_bytes(b"\xff\xfe\x00")
    assert not isinstance(ring.check(text), str)
