"""What README.md and docs/on-call.md say to write into directory.yaml is understood, and does what they say."""

import re
import shlex
from datetime import datetime
from pathlib import Path
from textwrap import dedent

import pytest
from notifier.__main__ import app
from tocsin.directory import Directory, load_directory
from typer.testing import CliRunner

REPOSITORY = Path(__file__).parents[2]
ROLE = "service_desk_team_lead"
PARTS = ("people", "roles", "rotations", "overrides", "group_addresses")


def written(document: str) -> list[dict[str, str]]:
    """The blocks of a document that go into directory.yaml, each by its parts."""
    return [parts(block) for block in blocks(document) if block.partition(":")[0] in PARTS]


def blocks(document: str) -> list[str]:
    text = (REPOSITORY / document).read_text("utf-8")
    return [dedent(block).strip() for block in re.findall(r"(?:^(?: {4}.*)?\n)+", text, flags=re.MULTILINE)]


def parts(text: str) -> dict[str, str]:
    return {part.partition(":")[0]: part for part in re.split(r"\n(?=\w)", text)}


def directory(*blocks: dict[str, str]) -> Directory:
    """What the blocks say together; a part in a later one takes the place of the earlier."""
    whole = {name: part for block in blocks for name, part in block.items()}
    return load_directory("\n".join(whole.values()), "directory.yaml")


def who(directory: Directory, at: str, role: str = ROLE, customer: str | None = None) -> tuple[str, str] | None:
    found = directory.holder(role, customer, datetime.fromisoformat(at))
    return (found.person, found.rule) if found else None


def test_tonight_as_the_readme_says() -> None:
    (tonight,) = written("README.md")
    shipped = (REPOSITORY / "deploy/policy/directory.yaml").read_text("utf-8")
    known = directory(parts(shipped), tonight)  # whoever followed README.md has overrides of their own there
    assert who(known, "2026-12-24T22:59Z") == ("maya.lindqvist", "default")
    assert who(known, "2026-12-24T23:30Z") == (
        "tomas.herrera",
        "override: until 2026-12-25 14:00 UTC (covers for Maya)",
    )
    assert who(known, "2026-12-25T14:00Z") == ("maya.lindqvist", "default")


def test_the_commands_below_it_say_that_it_is_understood_and_who_is_mailed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tonight,) = written("README.md")
    (commands,) = [block for block in blocks("README.md") if "directory check" in block]
    path = tmp_path / "deploy/policy/directory.yaml"
    path.parent.mkdir(parents=True)
    shipped = parts((REPOSITORY / "deploy/policy/directory.yaml").read_text("utf-8"))
    path.write_text("\n".join({**shipped, **tonight}.values()), "utf-8")
    monkeypatch.chdir(tmp_path)
    understood, *told = ran(commands, monkeypatch)
    assert understood.startswith("deploy/policy/directory.yaml: 6 people; every role is held from ")
    assert told == [
        "service_desk_team_lead at 2026-12-24 23:30 UTC",
        "  who    Tomás Herrera <tomas.herrera@example.com> (tomas.herrera)",
        "  why    override: until 2026-12-25 14:00 UTC (covers for Maya)",
        "  until  2026-12-25 14:00 UTC, then Maya Lindqvist <maya.lindqvist@example.com> (maya.lindqvist)",
    ]


def ran(commands: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a shell would show of these commands, none of which may fail."""
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
                pytest.fail(f"{command} is none of ours")
    return lines


def test_every_form_of_the_reference_does_what_it_says() -> None:
    people, cover, rotations, calendars = written("docs/on-call.md")

    known = directory(people)
    assert who(known, "2026-07-01T12:59Z", "account_manager") == ("maya.lindqvist", "default")
    assert who(known, "2026-07-01T13:00Z", "account_manager") == ("sam.ortega", "default")
    assert who(known, "2026-06-01T12:00Z", "account_manager", "acme") == ("sam.ortega", "customer acme")
    assert known.group_address("account_manager", "acme") == "acme-team@example.com"

    known = directory(people, cover)
    assert who(known, "2026-12-24T23:30Z") == (
        "sam.ortega",
        "override: until 2026-12-25 14:00 UTC (swapped with Maya)",
    )
    assert who(known, "2026-12-30T00:00Z") == (
        "sam.ortega",
        "override: instead of Maya Lindqvist until 2027-01-04 05:00 UTC (holiday)",
    )

    known = directory(people, rotations)
    assert who(known, "2026-06-08T16:00Z") == ("maya.lindqvist", "rotation primary, week of 2026-06-08")
    assert who(known, "2026-06-15T13:00Z") == ("sam.ortega", "rotation primary, week of 2026-06-15")
    assert who(known, "2026-06-08T23:00Z") == ("sam.ortega", "rotation nights, day of 2026-06-08")
    assert who(known, "2026-12-24T17:00Z") == ("maya.lindqvist", "default")

    known = directory(people, calendars)
    assert [source.model_dump(exclude_none=True) for source, _ in known.sources.values()] == [
        {"file": "desk.ics"},
        {"url_env": "ON_CALL_FEED"},
    ]
