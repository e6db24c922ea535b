"""`who`, `directory check`, `GET /v1/on-call`, the calendar, and the gauge of the next gap."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any

import httpx
import pytest
from notifier import metrics
from notifier.api import on_call as on_call_api
from notifier.commands.app import app
from notifier.domain.on_call import OnCall, calendar_shifts, held_roles, on_call, seconds_to_gap, unknown_events
from notifier.service import build
from notifier.settings import Settings
from prometheus_client import REGISTRY
from support.notifier_world import REQUIRED
from tocsin.directory import STANDARD_ROLES, ICalendar, export_calendar, load_directory
from tocsin.runtime.http.api_keys import KeyFile, issue, write_keys
from tocsin.runtime.process.clock import BusinessClock
from typer.testing import CliRunner

LEAD = "service_desk_team_lead"
NOW = datetime(2026, 12, 24, 12, tzinfo=UTC)
DIRECTORY = """\
people:
  ana: { name: Ana Silva, email: ana@example.com, phone: "+351 21 555 0100", fallbacks: [ana@example.org] }
  ben: { name: Ben Okafor, email: ben@example.com }
rotations:
  primary: { zone: America/New_York, members: [ana, ben], turns: weekly, start: 2026-12-07T09:00 }
roles:
  service_desk_team_lead:
    - rotation: primary
    - { person: ben, customer: acme, to: 2027-01-01T00:00:00Z }
  senior_it_operations_manager: [{ person: ana }]
  it_operations_director: [{ person: ana, to: 2026-12-28T12:00:00Z }, { person: ben, from: 2026-12-29T00:00:00Z }]
  account_manager: [{ person: ana }]
  chief_operating_officer: [{ person: ana, to: 2026-12-01T00:00:00Z }]
  chief_executive_officer: [{ person: ana, to: 2027-11-24T00:00:00Z }]
group_addresses:
  - { role: service_desk_team_lead, email: desk@example.com }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "directory.yaml"
    path.write_text(DIRECTORY)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, path: Path) -> Any:
    """Run `python -m notifier ...` with this directory: exit code, standard output, standard error."""
    monkeypatch.setenv("TOCSIN_DIRECTORY", str(path))
    monkeypatch.setenv("TOCSIN_CLOCK_EPOCH", "2026-12-24T12:00:00Z")
    monkeypatch.setenv("TOCSIN_CLOCK_ORIGIN", datetime.now(UTC).isoformat())

    def run(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.stdout, result.stderr

    return run


def test_who_shows_the_holder_the_rule_and_what_comes_next(run: Any) -> None:
    code, output, _ = run("who", "--role", LEAD, "--at", "2026-12-24T23:30Z")
    assert (code, output.splitlines()) == (
        0,
        [
            "service_desk_team_lead at 2026-12-24 23:30 UTC",
            "  who    Ana Silva <ana@example.com> (ana)",
            "  why    rotation primary, week of 2026-12-21",
            "  phone  +351 21 555 0100",
            "  else   ana@example.org",
            "  else   desk@example.com",
            "  until  2026-12-28 14:00 UTC, then Ben Okafor <ben@example.com> (ben)",
        ],
    )
    code, output, _ = run("who", "--role", LEAD, "--customer", "acme")
    assert (code, output.splitlines()[:3]) == (
        0,
        [
            "service_desk_team_lead at 2026-12-24 12:00 UTC, for acme",
            "  who    Ben Okafor <ben@example.com> (ben)",
            "  why    customer acme",
        ],
    )


def test_who_shows_a_vacant_role(run: Any) -> None:
    code, output, _ = run("who", "--role", "chief_operating_officer")
    assert (code, output.splitlines()[1:]) == (
        1,
        ["  who    nobody: the tier is vacant", "  until  no change within a year"],
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--role", "boss"), "boss is not a role of the directory; its roles are service_desk_team_lead, "),
        (("--role", LEAD, "--at", "9999-01-01T00:00Z"), "--at must be in the years 1900 to 2099."),
        (("--role", LEAD, "--at", "tonight"), "must be an instant with its zone"),
    ],
)
def test_who_explains_an_invalid_option(run: Any, arguments: tuple[str, ...], error: str) -> None:
    code, _, errors = run("who", *arguments)
    assert code == 2
    assert error in errors


def test_the_check_finds_every_gap_with_its_line(run: Any, path: Path) -> None:
    code, output, errors = run("directory", "check")
    assert (code, output) == (1, "")
    assert errors.splitlines() == [
        f"{path}:11: roles.it_operations_director: vacant from 2026-12-28 12:00 UTC until 2026-12-29 00:00 "
        "UTC, so the ladder skips its tier; add a holder",
        f"{path}:13: roles.chief_operating_officer: vacant from 2026-12-24 12:00 UTC on, "
        "so the ladder skips its tier; add a holder",
        f"{path}:14: roles.chief_executive_officer: vacant from 2027-11-24 00:00 UTC on, "
        "so the ladder skips its tier; add a holder",
    ]
    path.write_text(DIRECTORY.replace("2027-11-24", "2027-12-26"))
    assert "chief_executive_officer" not in run("directory", "check")[2]


def test_the_check_of_another_file(run: Any, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    for text, error in [
        (DIRECTORY.replace("members: [ana, ben]", "members: [ana, bob]"), ":5: rotations.primary.members[1]: unknown"),
        (DIRECTORY.replace("email: ben@example.com", "email: ben@"), ":3: people.ben.email: "),
        (
            DIRECTORY.replace("members: [ana, ben], turns: weekly, start: 2026-12-07T09:00", "calendar: {file: x.ics}"),
            ":5: rotations.primary.calendar: x.ics cannot be read: there is no such file; until then",
        ),
        (
            DIRECTORY.replace(
                "members: [ana, ben], turns: weekly, start: 2026-12-07T09:00", "calendar: {file: /dev/zero}"
            ),
            ":5: rotations.primary.calendar: /dev/zero cannot be read: it is a device; give the path of a regular file",
        ),
    ]:
        new.write_text(text)
        code, _, errors = run("directory", "check", "--file", str(new))
        assert code == 1
        assert f"{new}{error}" in errors
    new.write_bytes(b"people: \xff")
    for unreadable, why in (
        (tmp_path / "none.yaml", "there is no such file"),
        (tmp_path, "it is a folder; give the path of a file in it"),
        (new, "it is not UTF-8"),
    ):
        assert run("directory", "check", "--file", str(unreadable)) == (1, "", f"{unreadable} cannot be read: {why}.\n")


def test_the_shipped_directory_passes_the_check(run: Any) -> None:
    shipped = Path(__file__).parents[2] / "deploy/policy/directory.yaml"
    code, output, _ = run("directory", "check", "--file", str(shipped))
    assert code == 0
    assert output.strip().endswith("6 people; every role is held from 2026-12-24 to 2027-12-25.")


def test_the_check_finds_addresses_that_are_mailboxes_of_the_policy(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = Path(__file__).parents[2] / "deploy/policy/policy.yaml"
    new = tmp_path / "new.yaml"
    new.write_text(
        DIRECTORY.replace("email: ben@example.com", "email: Escalations@BetterWorldTech.com").replace(
            "desk@example.com", "support@betterworldtech.com"
        )
    )
    assert "mailbox" not in run("directory", "check", "--file", str(new))[2]
    monkeypatch.setenv("TOCSIN_POLICY", str(shipped))
    code, _, errors = run("directory", "check", "--file", str(new))
    assert code == 1
    assert f"{new}:3: people.ben.email: `Escalations@betterworldtech.com` is a mailbox for requests" in errors
    assert "group_addresses[0].email: `support@betterworldtech.com` is a mailbox" in errors
    monkeypatch.setenv("TOCSIN_POLICY", str(tmp_path / "none.yaml"))
    assert run("directory", "check")[0] == 2


def test_a_swap_over_a_calendar_shift_is_listed_and_passes(run: Any, tmp_path: Path) -> None:
    shift = "BEGIN:VEVENT\nUID:1\nDTSTART;VALUE=DATE:20260101\nDTEND;VALUE=DATE:20290101\nSUMMARY:ana\nEND:VEVENT\n"
    swap = "BEGIN:VEVENT\nUID:2\nDTSTART;VALUE=DATE:20270105\nSUMMARY:ben\nEND:VEVENT\n"
    (tmp_path / "desk.ics").write_text(f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{shift}{swap}END:VCALENDAR\n")
    new = tmp_path / "new.yaml"
    people, _, _ = DIRECTORY.partition("rotations:")
    everywhere = "".join(f"  {role}: [{{ rotation: desk }}, {{ person: ana }}]\n" for role in STANDARD_ROLES)
    new.write_text(
        f"{people}rotations: {{ desk: {{ zone: UTC, calendar: {{ file: desk.ics }} }} }}\nroles:\n{everywhere}"
    )
    code, output, errors = run("directory", "check", "--file", str(new))
    assert (code, errors) == (0, "")
    assert output.splitlines()[0].startswith(
        f"{new}:4: rotations.desk.calendar: the event `ben` at 2027-01-05 00:00 UTC overlaps with `ana`"
    )


KEY, STORED = issue("default", ("tickets:read",))
OTHER_KEY, OTHER_STORED = issue("other")


@pytest.fixture
async def client(path: Path, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=(STORED, OTHER_STORED)))
    settings = Settings.model_validate({**REQUIRED, "keys": tmp_path / "keys.yaml", "directory": path})
    service = build(settings, BusinessClock(NOW, datetime.now(UTC), 0))
    transport = httpx.ASGITransport(app=service.app)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier", headers=headers) as client:
        yield client
    await service.runtime.dispose()


async def test_the_call_returns_the_holder_the_rule_and_what_comes_next(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/on-call", params={"role": LEAD, "at": "2026-12-24T18:30:00-05:00"})
    assert response.json() == {
        "role": LEAD,
        "customer": None,
        "at": "2026-12-24T23:30:00.000000Z",
        "holder": {
            "person": "ana",
            "name": "Ana Silva",
            "email": "ana@example.com",
            "phone": "+351 21 555 0100",
            "fallbacks": ["ana@example.org"],
            "rule": "rotation primary, week of 2026-12-21",
        },
        "until": "2026-12-28T14:00:00.000000Z",
        "then": {
            "person": "ben",
            "name": "Ben Okafor",
            "email": "ben@example.com",
            "phone": None,
            "fallbacks": [],
            "rule": "rotation primary, week of 2026-12-28",
        },
        "group_address": "desk@example.com",
    }
    vacant = (await client.get("/v1/on-call", params={"role": "chief_operating_officer"})).json()
    assert (vacant["at"], vacant["holder"], vacant["until"]) == ("2026-12-24T12:00:00.000000Z", None, None)
    to_the_minute = await client.get("/v1/on-call", params={"role": LEAD, "at": "2026-12-24T23:30Z"})
    assert to_the_minute.json() == response.json()
    own = (await client.get("/v1/on-call", params={"role": LEAD, "customer": "acme"})).json()
    assert (own["holder"]["rule"], own["until"]) == ("customer acme", "2027-01-01T00:00:00.000000Z")


async def test_the_shifts_are_computed_outside_the_event_loop(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def watched(*question: Any) -> OnCall:
        threads.append(threading.current_thread())
        return on_call(*question)

    monkeypatch.setattr(on_call_api, "on_call", watched)
    assert (await client.get("/v1/on-call", params={"role": LEAD})).status_code == 200
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"role": "boss"}, "role"),
        ({}, "role"),
        ({"role": LEAD, "at": "2026-12-24T12:00:00"}, "at"),
        ({"role": LEAD, "at": "9999-12-31T23:59:59Z"}, "at"),
        ({"role": LEAD, "customer": ""}, "customer"),
    ],
)
async def test_an_invalid_parameter_is_named(client: httpx.AsyncClient, query: dict[str, str], field: str) -> None:
    response = await client.get("/v1/on-call", params=query)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_on_call_needs_a_key(client: httpx.AsyncClient) -> None:
    for path in ("/v1/on-call", "/v1/on-call/calendar.ics"):
        response = await client.get(path, params={"role": LEAD}, headers={"Authorization": ""})
        assert response.status_code == 401


async def test_a_key_of_another_tenant_sees_names_alone(client: httpx.AsyncClient, path: Path) -> None:
    client.headers["Authorization"] = f"Bearer {OTHER_KEY}"
    answer = await client.get("/v1/on-call", params={"role": LEAD})
    found = answer.json()
    nothing: dict[str, Any] = {"person": None, "email": None, "phone": None, "fallbacks": [], "rule": None}
    assert (found["holder"], found["then"]) == ({"name": "Ana Silva"} | nothing, {"name": "Ben Okafor"} | nothing)
    assert "@" not in answer.text
    for refused in (f"/v1/on-call?role={LEAD}&customer=acme", f"/v1/on-call/calendar.ics?role={LEAD}"):
        assert (await client.get(refused)).status_code == 403
    await asyncio.to_thread(path.write_text, f"{DIRECTORY}tenant: other\n")
    found = (await client.get("/v1/on-call", params={"role": LEAD, "customer": "acme"})).json()
    assert found["holder"]["email"] == "ben@example.com"


async def test_the_calendar_used_as_a_rotation_has_the_same_holders(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/on-call/calendar.ics", params={"role": LEAD, "customer": "acme"})
    assert response.headers["content-type"].startswith("text/calendar")
    again = load_directory(
        """\
people: { ana: { name: A, email: a@example.com }, ben: { name: B, email: b@example.com } }
rotations: { copy: { zone: UTC, calendar: { file: copy.ics } } }
roles: { service_desk_team_lead: [{ rotation: copy }] }
""",
        "again.yaml",
    ).with_calendars({"copy": ICalendar(response.text, "UTC")})
    known = load_directory(DIRECTORY, "directory.yaml")
    for days in range(-89, 365):
        at = NOW + timedelta(days=days)
        one, other = known.holder(LEAD, "acme", at), again.holder(LEAD, None, at)
        assert (one and one.person) == (other and other.person), at


@pytest.mark.parametrize("role", ["account_manager", LEAD])
def test_calendar_events_keep_their_uids(role: str) -> None:
    directory = load_directory(DIRECTORY, "directory.yaml")

    def events(now: datetime) -> dict[str, str]:
        """The UIDs by start."""
        text = export_calendar(calendar_shifts(directory, role, None, now), role, None, now).decode()
        return dict(re.findall(r"DTSTART:(\S+)(?s:.)*?\nUID:(\S+)", text))

    first = events(NOW)
    assert first
    for later in (timedelta(seconds=1), timedelta(hours=13), timedelta(days=97)):
        assert first.items() <= events(NOW + later).items()


def test_an_event_that_names_nobody_is_found_two_weeks_before() -> None:
    directory = load_directory(
        """\
people: { ana: { name: Ana Silva, email: ana@example.com } }
rotations: { desk: { zone: UTC, calendar: { file: desk.ics } } }
roles: { service_desk_team_lead: [{ rotation: desk }, { person: ana }] }
""",
        "directory.yaml",
    )
    events = "".join(
        f"BEGIN:VEVENT\nUID:{day}\nDTSTART;VALUE=DATE:202701{day}\nSUMMARY:{who}\nEND:VEVENT\n"
        for day, who in (("01", "Ana"), ("02", "Anna Silver"), ("20", "Bob"))
    )
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{events}END:VCALENDAR\n"
    known = directory.with_calendars({"desk": ICalendar(text, "UTC")})
    assert unknown_events(known, NOW) == ["rotation desk: `Anna Silver` of 2027-01-02T00:00:00.000000Z"]


def test_the_gauge_shows_the_next_gap_of_each_role() -> None:
    metrics.set_gaps(seconds_to_gap(load_directory(DIRECTORY, "directory.yaml"), NOW))

    def gauge(role: str) -> float | None:
        return REGISTRY.get_sample_value("sla_directory_gap_seconds", {"role": role})

    assert gauge("it_operations_director") == timedelta(days=4).total_seconds()
    assert gauge("chief_operating_officer") == 0
    assert gauge("chief_executive_officer") == inf
    assert gauge(LEAD) == inf
    metrics.set_gaps({LEAD: 60.0})  # the directory has been replaced
    assert (gauge(LEAD), gauge("chief_operating_officer")) == (60.0, None)


def test_the_gauge_shows_whether_each_role_is_held() -> None:
    """A role of the ladder that the directory does not know is vacant."""
    known = load_directory(DIRECTORY, "directory.yaml")
    metrics.set_on_call(held_roles(known, ["field_team"], NOW))

    def gauge(role: str) -> float | None:
        return REGISTRY.get_sample_value("sla_on_call", {"role": role})

    for role in known.known_roles:
        assert gauge(role) == (on_call(known, role, None, NOW).holder is not None), role
    assert (gauge(LEAD), gauge("chief_operating_officer"), gauge("field_team")) == (1, 0, 0)
    metrics.set_on_call({LEAD: False})
    assert (gauge(LEAD), gauge("field_team")) == (0, None)
