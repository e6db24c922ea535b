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
from tocsin_local.errors import LocalError
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


def test_a_state_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    mails = tmp_path / "smtp" / "messages.jsonl"
    mails.parent.mkdir(mode=0o755)
    mails.write_text("a live link")
    mails.chmod(0o644)
    tmp_path.chmod(0o755)
    before = os.umask(0o022)
    with StateFolder(tmp_path).locked():
        (tmp_path / "later").touch(mode=0o666)
    assert os.umask(before) == 0o022
    for path in (tmp_path, *tmp_path.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_a_folder_shared_by_all_users_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(LocalError, match="is shared by all users"), StateFolder(tmp_path).locked():
        pass
    assert tmp_path.stat().st_mode & 0o777 == 0o777
