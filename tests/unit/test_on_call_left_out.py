"""Events of on-call calendars that cannot be read: `who`, `directory check`, `/readyz` and the gauge say so."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from notifier import metrics
from notifier.commands.app import app
from notifier.domain.on_call import UnreadableEventCounts, left_out_counts, unreadable_events
from prometheus_client import REGISTRY
from support.calendar_feed import read_in_process
from tocsin.directory import STANDARD_ROLES
from tocsin.sources import calendar_feeds
from tocsin.sources.directory_file import DirectoryFile
from typer.testing import CliRunner

NOW = datetime(2027, 1, 5, 12, tzinfo=UTC)
SAM = "UID:1\nDTSTART:20270105T140000Z\nDTEND:20270105T220000Z\nSUMMARY:Sam Ortega"
LUNCH = "UID:2\nDTSTART;TZID=Nowhere:20270426T140000\nDTEND;TZID=Nowhere:20270426T150000\nSUMMARY:Team lunch"
MAYA = LUNCH.replace("UID:2", "UID:3").replace("Team lunch", "On call: Maya Lindqvist")
ROLES = "\n".join(f"  {role}: [{{ rotation: desk }}, {{ person: maya }}]" for role in STANDARD_ROLES[:2])
DIRECTORY = f"""\
people:
  maya: {{ name: Maya Lindqvist, email: maya@example.com }}
  sam: {{ name: Sam Ortega, email: sam@example.com }}
rotations:
  desk: {{ zone: UTC, calendar: {{ file: desk.ics }} }}
  nights: {{ zone: UTC, calendar: {{ file: nights.ics }} }}
roles:
{ROLES}
  account_manager: [{{ person: sam }}, {{ rotation: nights, customer: acme }}]
  it_operations_director: [{{ person: maya }}]
  chief_operating_officer: [{{ person: maya }}]
  chief_executive_officer: [{{ person: maya }}]
"""


def calendar(*events: str) -> str:
    parts = "".join(f"BEGIN:VEVENT\n{event}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{parts}END:VCALENDAR\n"


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `python -m notifier ...` with this directory: exit code, standard output, standard error."""
    (tmp_path / "directory.yaml").write_text(DIRECTORY)
    (tmp_path / "nights.ics").write_text(calendar(SAM))
    monkeypatch.setenv("TOCSIN_DIRECTORY", str(tmp_path / "directory.yaml"))
    monkeypatch.setenv("TOCSIN_CLOCK_EPOCH", NOW.isoformat())
    monkeypatch.setenv("TOCSIN_CLOCK_ORIGIN", datetime.now(UTC).isoformat())
    monkeypatch.setattr(calendar_feeds, "read_calendar", read_in_process)

    def run(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.stdout, result.stderr

    return run


def test_an_event_that_would_put_nobody_on_call_is_listed_and_passes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "desk.ics").write_text(calendar(SAM, LUNCH))
    code, output, errors = run("directory", "check")
    assert (code, errors) == (0, "")
    assert "rotations.desk.calendar: the event `Team lunch`" in output
    assert "Nowhere" in output
    code, output, _ = run("who", "--role", "service_desk_team_lead", "--at", "2027-01-05T15:00Z")
    assert (code, "Sam Ortega" in output, "note" in output) == (0, True, False)


@pytest.mark.rule("5.32")
def test_an_event_that_would_put_somebody_on_call_is_an_error_and_a_note_of_its_roles(run: Run, tmp_path: Path) -> None:
    (tmp_path / "desk.ics").write_text(calendar(SAM, LUNCH, MAYA))
    code, output, errors = run("directory", "check")
    assert code == 1
    assert "Team lunch" in output
    assert "`On call: Maya Lindqvist`" in errors
    assert "would put Maya Lindqvist on call, but cannot be read" in errors
    code, output, _ = run("who", "--role", "service_desk_team_lead", "--at", "2027-01-05T15:00Z")
    assert (code, "  who    Sam Ortega" in output) == (0, True)
    [note] = [line for line in output.splitlines() if line.startswith("  note   ")]
    assert note.startswith("  note   rotation desk: the event `On call: Maya Lindqvist` at ")
    assert "would put Maya Lindqvist on call, but cannot be read: it " in note
    many = [MAYA.replace("UID:3", f"UID:{number}") for number in range(10, 17)]
    (tmp_path / "desk.ics").write_text(calendar(SAM, *many))
    _, output, _ = run("who", "--role", "service_desk_team_lead", "--at", "2027-01-05T15:00Z")
    assert output.count("  note   ") == 6
    assert output.endswith("  note   2 more; `python -m notifier directory check` lists them\n")
    _, output, _ = run("who", "--role", "account_manager", "--customer", "acme", "--at", "2027-01-05T15:00Z")
    assert "note" not in output, "its rotation is another one"


def test_who_notes_a_calendar_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    code, output, _ = run("who", "--role", "service_desk_team_lead", "--at", "2027-01-05T15:00Z")
    assert (code, "  who    Maya Lindqvist" in output) == (0, True)
    assert "  note   rotation desk: desk.ics cannot be read: there is no such file\n" in output


@pytest.mark.rule("5.32")
async def test_events_that_cannot_be_read_are_counted_by_rotation(run: Run, tmp_path: Path) -> None:
    (tmp_path / "desk.ics").write_text(calendar(SAM, LUNCH, MAYA))
    file = DirectoryFile(tmp_path / "directory.yaml", lambda: NOW)
    await file.refresh()
    directory = file.current()
    assert directory is not None
    counts = left_out_counts(directory, NOW)
    assert counts == {
        "desk": UnreadableEventCounts(on_call=1, other=1),
        "nights": UnreadableEventCounts(on_call=0, other=0),
    }
    assert len(unreadable_events(directory, ["desk", "nights"], NOW)) == 1
    metrics.set_left_out_events(counts)

    def gauge(rotation: str, kind: str) -> float | None:
        return REGISTRY.get_sample_value("sla_directory_left_out_events", {"rotation": rotation, "kind": kind})

    kinds = ("on_call", "other")
    assert [gauge(name, kind) for name in ("desk", "nights") for kind in kinds] == [1, 1, 0, 0]
    metrics.set_left_out_events({})
    assert gauge("desk", "on_call") is None, "the rotation is gone"
    assert await file.note() == (
        "rotation desk: 2 events cannot be read; 1 would put somebody on call; "
        "`python -m notifier directory check` names them"
    )
