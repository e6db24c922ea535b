"""The directory's file: read again when it changes, the last good one kept; and its word on vacancies."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from escalator.domain.vacancies import vacancy_check
from prometheus_client import REGISTRY
from support.deadline_events import HOUR, LADDER, START
from tocsin.directory import load_directory
from tocsin.sources.directory_file import DirectoryFile

ONE = """
people:
  maya: {{ name: Maya Lindqvist, email: maya@example.com }}
roles:
  {role}:
    - {{ person: maya }}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "directory.yaml"
    path.write_text(ONE.format(role="service_desk_team_lead"))
    return path


def change(path: Path, text: str) -> None:
    """Write at a later instant than before, whatever the file system's resolution is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))


def vanish(path: Path) -> None:
    path.unlink()


async def test_a_changed_file_counts_at_once(path: Path) -> None:
    file = DirectoryFile(path)
    first = file.current()
    assert first is not None
    assert file.current() is first
    change(path, ONE.format(role="account_manager"))
    second = file.current()
    assert second is not None
    assert set(second.roles) == {"account_manager"}
    assert await file.note() is None


async def test_a_broken_file_leaves_the_last_good_one_in_force(path: Path) -> None:
    file = DirectoryFile(path)
    good = file.current()
    change(path, "people: {}\nroles:\n  account_manager:\n    - { person: nobody }\n")
    assert file.current() is good
    note = await file.note()
    assert note is not None
    assert "directory.yaml:4" in note
    assert REGISTRY.get_sample_value("sla_directory_broken") == 1
    change(path, ONE.format(role="account_manager"))
    assert file.current() is not good
    assert await file.note() is None
    assert REGISTRY.get_sample_value("sla_directory_broken") == 0


async def test_a_file_that_vanishes_leaves_the_last_good_one_in_force(path: Path) -> None:
    file = DirectoryFile(path)
    good = file.current()
    vanish(path)
    assert file.current() is good
    assert await file.note() is not None


async def test_a_file_that_never_was_good_is_no_directory(tmp_path: Path) -> None:
    file = DirectoryFile(tmp_path / "directory.yaml")
    assert file.current() is None
    assert await file.note() is not None
    change(tmp_path / "directory.yaml", ONE.format(role="account_manager"))
    assert file.current() is not None


def test_without_a_directory_no_tier_is_vacant() -> None:
    assert not any(vacancy_check(None, "acme")(tier, START) for tier in LADDER)


def test_a_tier_that_nobody_holds_is_vacant() -> None:
    vacant = vacancy_check(load_directory(ONE.format(role="account_manager"), "directory.yaml"), "acme")
    assert [tier.number for tier in LADDER if not vacant(tier, START)] == [4]


def test_a_holder_counts_for_the_customer_and_for_the_time() -> None:
    text = ONE.format(role="account_manager").replace(
        "person: maya }", f"person: maya, customer: acme, to: {(START + HOUR).isoformat()} }}"
    )
    directory = load_directory(text, "directory.yaml")
    account_manager = LADDER[3]
    assert not vacancy_check(directory, "acme")(account_manager, START + HOUR - timedelta(microseconds=1))
    assert vacancy_check(directory, "acme")(account_manager, START + HOUR)
    assert vacancy_check(directory, "globex")(account_manager, START)
