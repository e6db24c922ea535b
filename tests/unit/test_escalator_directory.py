"""The directory file: reloading, invalid files, and the vacancies that it implies."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from escalator.domain.vacancies import vacancy_check
from escalator.service import build
from escalator.settings import Settings
from prometheus_client import REGISTRY
from support.calendar_feed import one_event
from support.deadline_events import HOUR, LADDER, START
from tocsin.directory import load_directory
from tocsin.sources.directory_file import DirectoryFile

ONE_ENTRY = """
people:
  maya: {{ name: Maya Lindqvist, email: maya@example.com }}
roles:
  {role}:
    - {{ person: maya }}
"""


ON_CALL = """
people:
  maya: { name: Maya Lindqvist, email: maya@example.com }
rotations:
  desk: { zone: UTC, calendar: { file: desk.ics } }
roles:
  service_desk_team_lead: [{ rotation: desk }]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "directory.yaml"
    path.write_text(ONE_ENTRY.format(role="service_desk_team_lead"))
    return path


def change(path: Path, text: str) -> None:
    """Write with a later modification time, whatever the resolution of the file system."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))


def delete(path: Path) -> None:
    path.unlink()


async def test_a_changed_file_is_active_at_once(path: Path) -> None:
    file = DirectoryFile(path)
    first = file.current()
    assert first is not None
    assert file.current() is first
    change(path, ONE_ENTRY.format(role="account_manager"))
    second = file.current()
    assert second is not None
    assert set(second.roles) == {"account_manager"}
    assert await file.note() is None


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "people:\n  maya: { name: hunter2, email: hunter2 }\n  ben: { name: B, email: hunter2, phone: hunter2 }\n",
            "directory.yaml:1: roles: not valid; the log says why\n"
            "directory.yaml:2: people.maya.email: not valid; the log says why\n"
            "directory.yaml:3: people.ben.email: not valid; the log says why\n"
            "directory.yaml:3: people.ben.phone: not valid; the log says why",
        ),
        ("people: *hunter2\n", "directory.yaml:1: the document: not valid; the log says why"),
    ],
    ids=["values", "YAML"],
)
async def test_the_public_note_names_the_field_and_not_its_value(path: Path, text: str, note: str) -> None:
    change(path, text)
    with structlog.testing.capture_logs() as logs:
        file = DirectoryFile(path)
    assert await file.note() == note
    assert ["hunter2" in entry["problem"] for entry in logs if entry["event"] == "directory_broken"] == [True]


async def test_an_invalid_file_leaves_the_last_valid_one_active(path: Path) -> None:
    file = DirectoryFile(path)
    valid = file.current()
    change(path, "people: {}\nroles:\n  account_manager:\n    - { person: nobody }\n")
    assert file.current() is valid
    assert await file.note() == "directory.yaml:4: roles.account_manager[0].person: not valid; the log says why"
    assert REGISTRY.get_sample_value("sla_directory_broken") == 1
    change(path, ONE_ENTRY.format(role="account_manager"))
    assert file.current() is not valid
    assert await file.note() is None
    assert REGISTRY.get_sample_value("sla_directory_broken") == 0


async def test_a_deleted_file_leaves_the_last_valid_one_active(path: Path) -> None:
    file = DirectoryFile(path)
    valid = file.current()
    delete(path)
    assert file.current() is valid
    assert await file.note() is not None


async def test_without_any_valid_file_there_is_no_directory(tmp_path: Path) -> None:
    file = DirectoryFile(tmp_path / "directory.yaml")
    assert file.current() is None
    assert await file.note() is not None
    change(tmp_path / "directory.yaml", ONE_ENTRY.format(role="account_manager"))
    assert file.current() is not None


@pytest.mark.rule("5.20")
async def test_escalator_consumes_only_when_the_calendars_were_read(path: Path, tmp_path: Path) -> None:
    change(path, ON_CALL)
    change(tmp_path / "desk.ics", one_event("maya"))
    service = build(
        Settings(
            database_url="postgresql+asyncpg://escalator@127.0.0.1:1/escalator",
            kafka="127.0.0.1:1",
            keys=tmp_path / "keys.yaml",
            directory=path,
        )
    )
    assert service.handlers.directory.current() is None
    assert service.prepare is not None
    await service.prepare()
    assert service.handlers.directory.current() is not None
    await service.runtime.dispose()


@pytest.mark.rule("5.20")
def test_without_a_directory_no_tier_is_vacant() -> None:
    assert not any(vacancy_check(None, "acme")(tier, START) for tier in LADDER)


@pytest.mark.rule("5.20")
def test_a_tier_whose_role_nobody_holds_is_vacant() -> None:
    vacant = vacancy_check(load_directory(ONE_ENTRY.format(role="account_manager"), "directory.yaml"), "acme")
    assert [tier.number for tier in LADDER if not vacant(tier, START)] == [4]


def test_a_vacancy_depends_on_the_customer_and_the_instant() -> None:
    text = ONE_ENTRY.format(role="account_manager").replace(
        "person: maya }", f"person: maya, customer: acme, to: {(START + HOUR).isoformat()} }}"
    )
    directory = load_directory(text, "directory.yaml")
    account_manager = LADDER[3]
    assert not vacancy_check(directory, "acme")(account_manager, START + HOUR - timedelta(microseconds=1))
    assert vacancy_check(directory, "acme")(account_manager, START + HOUR)
    assert vacancy_check(directory, "globex")(account_manager, START)
