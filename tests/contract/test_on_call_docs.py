"""The examples for directory.yaml in README.md and docs/on-call.md are valid, and do what the text says."""

import re
import shlex
from datetime import datetime
from pathlib import Path
from textwrap import dedent

import pytest
from notifier.commands.app import app
from tocsin.directory import Directory, load_directory
from typer.testing import CliRunner

REPOSITORY = Path(__file__).parents[2]
ROLE = "service_desk_team_lead"
SECTIONS = ("people", "roles", "rotations", "overrides", "group_addresses", "reports")


def examples(document: str) -> list[dict[str, str]]:
    """The code blocks of a document for directory.yaml, each as its sections by name."""
    return [sections(block) for block in code_blocks(document) if block.partition(":")[0] in SECTIONS]


def code_blocks(document: str) -> list[str]:
    text = (REPOSITORY / document).read_text("utf-8")
    return [dedent(block).strip() for block in re.findall(r"(?:^(?: {4}.*)?\n)+", text, flags=re.MULTILINE)]


def sections(text: str) -> dict[str, str]:
    return {section.partition(":")[0]: section for section in re.split(r"\n(?=\w)", text)}


def directory(*blocks: dict[str, str]) -> Directory:
    """The directory that the blocks make together. A section of a later block replaces the same one of an earlier."""
    whole = {name: section for block in blocks for name, section in block.items()}
    return load_directory("\n".join(whole.values()), "directory.yaml")


def holder_and_rule(
    directory: Directory, at: str, role: str = ROLE, customer: str | None = None
) -> tuple[str, str] | None:
    found = directory.holder(role, customer, datetime.fromisoformat(at))
    return (found.person, found.rule) if found else None


def test_the_override_of_the_readme() -> None:
    (tonight,) = examples("README.md")
    shipped = (REPOSITORY / "deploy/policy/directory.yaml").read_text("utf-8")
    known = directory(sections(shipped), tonight)  # replaces overrides that someone added there
    assert holder_and_rule(known, "2026-12-24T22:59Z") == ("maya.lindqvist", "default")
    assert holder_and_rule(known, "2026-12-24T23:30Z") == (
        "tomas.herrera",
        "override: until 2026-12-25 14:00 UTC (covers for Maya)",
    )
    assert holder_and_rule(known, "2026-12-25T14:00Z") == ("maya.lindqvist", "default")


def test_the_commands_of_the_readme_check_the_override_and_show_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tonight,) = examples("README.md")
    (commands,) = [block for block in code_blocks("README.md") if "directory check" in block]
    path = tmp_path / "deploy/policy/directory.yaml"
    path.parent.mkdir(parents=True)
    shipped = sections((REPOSITORY / "deploy/policy/directory.yaml").read_text("utf-8"))
    path.write_text("\n".join({**shipped, **tonight}.values()), "utf-8")
    monkeypatch.chdir(tmp_path)
    checked, *shown = run_commands(commands, monkeypatch)
    assert checked.startswith("deploy/policy/directory.yaml: 6 people; every role is held from ")
    assert shown == [
        "service_desk_team_lead at 2026-12-24 23:30 UTC",
        "  who    Tomás Herrera <tomas.herrera@example.com> (tomas.herrera)",
        "  why    override: until 2026-12-25 14:00 UTC (covers for Maya)",
        "  phone  +1 212 555 0102",
        "  until  2026-12-25 14:00 UTC, then Maya Lindqvist <maya.lindqvist@example.com> (maya.lindqvist)",
    ]


def run_commands(commands: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run shell commands in this process and return the lines that they print. None may fail."""
    lines: list[str] = []
    for command in commands.splitlines():
        match shlex.split(command):
            case ["export", variable]:
                monkeypatch.setenv(*variable.split("=", 1))
            case [".venv/bin/python", "-m", "notifier", *arguments]:
                result = CliRunner().invoke(app, arguments)
                assert result.exit_code == 0, result.output
                lines += result.stdout.splitlines()
            case _:
                pytest.fail(f"unknown command {command}")
    return lines


def test_every_example_of_the_reference() -> None:
    people, cover, rotations, calendars, reports = examples("docs/on-call.md")

    known = directory(people)
    assert holder_and_rule(known, "2026-07-01T12:59Z", "account_manager") == ("maya.lindqvist", "default")
    assert holder_and_rule(known, "2026-07-01T13:00Z", "account_manager") == ("sam.ortega", "default")
    assert holder_and_rule(known, "2026-06-01T12:00Z", "account_manager", "acme") == ("sam.ortega", "customer acme")
    assert known.group_address("account_manager", "acme") == "acme-team@example.com"

    known = directory(people, cover)
    assert holder_and_rule(known, "2026-12-24T23:30Z") == (
        "sam.ortega",
        "override: until 2026-12-25 14:00 UTC (swapped with Maya)",
    )
    assert holder_and_rule(known, "2026-12-30T00:00Z") == (
        "sam.ortega",
        "override: instead of Maya Lindqvist until 2027-01-04 05:00 UTC (holiday)",
    )

    known = directory(people, rotations)
    assert holder_and_rule(known, "2026-06-08T16:00Z") == ("maya.lindqvist", "rotation primary, week of 2026-06-08")
    assert holder_and_rule(known, "2026-06-15T13:00Z") == ("sam.ortega", "rotation primary, week of 2026-06-15")
    assert holder_and_rule(known, "2026-06-08T23:00Z") == ("sam.ortega", "rotation nights, day of 2026-06-08")
    assert holder_and_rule(known, "2026-12-24T17:00Z") == ("maya.lindqvist", "default")

    known = directory(people, calendars)
    assert [location.model_dump(exclude_none=True) for location, _ in known.calendar_locations.values()] == [
        {"file": "desk.ics"},
        {"url_env": "ON_CALL_FEED"},
    ]

    assert [(readers.customer, readers.to) for readers in directory(people, reports).reports] == [
        ("acme", ("sam.ortega",)),
        (None, ("maya.lindqvist", "sam.ortega")),
    ]
