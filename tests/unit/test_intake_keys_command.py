"""`python -m intake keys`: create, list, rotate and revoke API keys, and what the messages say."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from intake.commands.keys import app
from tocsin.runtime.http.api_keys import Caller, KeyRing, add_key, issue
from typer.testing import CliRunner


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """keys.yaml, which does not exist yet."""
    monkeypatch.setenv("TOCSIN_KEYS", str(tmp_path / "keys.yaml"))
    monkeypatch.setenv("TOCSIN_STATE", str(tmp_path))
    return tmp_path / "keys.yaml"


def keys(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == status, done.output
    return done.output


def key_id(text: str) -> str:
    return text.split("_")[1]


def test_a_key_is_created_listed_and_revoked(file: Path) -> None:
    text = keys("create", "--tenant", "acme-msp", "--scope", "tickets:read").strip()
    assert f"{key_id(text)}  acme-msp  tickets:read  does not expire  no limit  created 20" in keys("list")
    assert text not in file.read_text()
    keys("revoke", key_id(text))
    assert keys("list") == ""
    assert keys("revoke", key_id(text), status=1) == f"Key {key_id(text)} not found.\n"


def test_without_a_setting_the_keys_of_a_running_stack_are_used(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOCSIN_KEYS")  # set again after the test
    (file.parent / "environment.json").write_text(json.dumps({"intake": {"TOCSIN_KEYS": str(file)}}))
    text = keys("create").strip()
    assert key_id(text) in file.read_text()


def test_a_key_has_the_scopes_of_a_provider_by_default(file: Path) -> None:
    keys("create", "--requests-per-minute", "60")
    assert "default  tickets:read,tickets:write  does not expire  60 requests/min" in keys("list")
    assert "everything" in keys("create", "--scope", "everything", status=1)
    assert "tenant" in keys("create", "--tenant", "", status=1)


def test_a_rotated_key_stays_valid_for_the_overlap(file: Path) -> None:
    options = ("--tenant", "acme", "--scope", "tickets:read", "--requests-per-minute", "5")
    old = keys("create", *options).strip()
    new = keys("rotate", key_id(old), "--overlap", "12h").strip()
    ring = KeyRing(file)
    for caller in (ring.check(old), ring.check(new)):
        assert isinstance(caller, Caller)
        assert (caller.tenant, caller.scopes, caller.requests_per_minute) == ("acme", frozenset({"tickets:read"}), 5)
    before, after = (key.expires_at for key in ring.keys)
    assert before is not None
    assert timedelta(hours=11) < before - datetime.now(UTC) < timedelta(hours=12)
    assert after is None
    keys("rotate", key_id(new), "--overlap", "0m")
    assert ring.check(new) == "expired"
    assert isinstance(ring.check(old), Caller)


@pytest.mark.parametrize("overlap", ["7", "-7d", "7w", ""])
def test_an_overlap_is_a_number_with_a_unit(file: Path, overlap: str) -> None:
    assert "7d" in keys("rotate", "x", "--overlap", overlap, status=2)


def test_a_rotated_key_expires_when_the_old_one_would_have(file: Path) -> None:
    ring = KeyRing(file)

    def rotate(text: str, *options: str) -> datetime | None:
        new = key_id(keys("rotate", key_id(text), *options))
        return next(key.expires_at for key in ring.keys if key.id == new)

    old = keys("create", "--days", "1").strip()
    end = ring.keys[0].expires_at
    assert end is not None
    assert rotate(old) == end
    longer = rotate(old, "--days", "30")
    assert longer is not None
    assert timedelta(days=28) < longer - end < timedelta(days=30)


def test_an_expired_key_cannot_be_rotated(file: Path) -> None:
    _, entry = issue("acme", expires_at=datetime.now(UTC) - timedelta(seconds=2))
    add_key(file, entry)
    before = file.read_bytes()
    for options in ((), ("--days", "30")):
        assert f"The key {entry.id} expired at 20" in keys("rotate", entry.id, *options, status=1)
    assert file.read_bytes() == before


def test_a_missing_folder_or_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secrets" / "keys.yaml"
    monkeypatch.setenv("TOCSIN_KEYS", str(file))
    reading = (("list",), ("rotate", "aB3dE6gH"), ("revoke", "aB3dE6gH"))
    for arguments in (("create",), *reading):
        expected = f"The folder {file.parent} of TOCSIN_KEYS does not exist. Create it first.\n"
        assert keys(*arguments, status=1) == expected
    file.parent.mkdir()
    for arguments in reading:
        expected = f"{file} does not exist. `python -m intake keys create` creates it with the first key.\n"
        assert keys(*arguments, status=1) == expected
    file.mkdir()
    assert keys("list", status=1) == f"{file} cannot be read: it is a folder; give the path of a file in it.\n"


def test_an_invalid_file_is_reported_in_a_sentence(file: Path) -> None:
    file.write_bytes(b"keys: [] # M\xfcller")
    for arguments in (("list",), ("create",), ("rotate", "aB3dE6gH"), ("revoke", "aB3dE6gH")):
        assert keys(*arguments, status=1) == f"{file} cannot be read: it is not UTF-8.\n"
