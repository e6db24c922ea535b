"""A full disk ends `make run` with one sentence and exit code 1, never with a traceback."""

import errno
import os
import shutil
import signal
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from tocsin_local.__main__ import app
from tocsin_local.state import StateFolder
from typer.testing import CliRunner

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty state. The command changes the handler of Ctrl-C, which is restored."""
    folder = tmp_path / "state"
    monkeypatch.setenv("TOCSIN_STATE", str(folder))
    before = signal.getsignal(signal.SIGINT)
    yield folder
    signal.signal(signal.SIGINT, before)


def test_too_little_free_space_is_one_sentence(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(10**12, 10**12 - 5 * 10**8, 5 * 10**8))
    ended = CliRunner().invoke(app, ["run"])
    assert ended.exit_code == 1
    assert ended.stderr == f"tocsin: only 500 MB are free below {state}: a stack needs 1 GB.\n"


def test_a_full_disk_is_one_sentence(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_state: StateFolder) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(state / "processes.json"))

    monkeypatch.setattr(StateFolder, "locked", full)
    ended = CliRunner().invoke(app, ["run"])
    assert ended.exit_code == 1
    assert ended.stderr == f"tocsin: the disk is full ({state}/processes.json): free some space and start again.\n"
