"""Unmapped and ignored deliveries, replayed once the mapping is mended, through the real command and job."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from intake.commands.hooks import app
from support.intake_world import World, world
from support.servers import MakeDatabase
from support.webhook_client import deliver, facts, payload, rows, tickets, written
from typer.testing import CliRunner, Result

ADAPTER = "      adapter: generic"
QUEUES = "queues: [Help]"


@pytest.fixture
async def intake(make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    (tmp_path / "integrations.yaml").write_text(written(tmp_path))
    async with world(make_database("intake"), tmp_path) as made:
        monkeypatch.setenv("TOCSIN_DATABASE_URL", made.writer.url.render_as_string(hide_password=False))
        yield made


def change_mapping(intake: World, *replacements: tuple[str, str]) -> None:
    text = written(intake.integrations.parent)
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    intake.integrations.write_text(text)


async def replay(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["replay", *arguments])


async def replayed(intake: World, *arguments: str) -> int:
    """Replay these deliveries, all unmapped ones by default; how many."""
    result = await replay(*(arguments or ("--all",)))
    assert result.exit_code == 0, result.output
    await intake.webhook_worker.retry()
    return int(result.output.split()[1])


async def test_a_replay_leaves_the_tickets_of_a_delivery_alone_that_it_has_updated_already(intake: World) -> None:
    both = {"tickets": [payload("T-1", status="Done"), payload("T-2", status="Parked")]}
    assert (await deliver(intake, both))["reason"] == "unknown_status"
    change_mapping(intake, ("New: new", "New: new, Parked: new"), ("Done: resolved", "Done: waiting_customer"))
    assert await replayed(intake) == 1
    assert {found["external_id"]: found["state"] for found in await tickets(intake)} == {"T-1": "closed", "T-2": "open"}
    assert await replayed(intake) == 0


async def test_a_replay_never_turns_an_opened_ticket_into_another(intake: World) -> None:
    both = {"tickets": [payload("T-1"), payload("T-2", status="Parked")]}
    await deliver(intake, both)
    change_mapping(intake, ("New: new", "New: new, Parked: new"), (ADAPTER, f"{ADAPTER}\n      source: helpdesk"))
    await replayed(intake)
    (listed,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert (listed["reason"], "helpdesk/T-1" in listed["detail"]) == ("another_ticket", True)
    found = [(each["source"], each["external_id"]) for each in await tickets(intake)]
    assert sorted(found) == [("desk", "T-1"), ("helpdesk", "T-2")]


async def test_what_a_mended_mapping_no_longer_reads_of_a_delivery_changes_no_ticket(intake: World) -> None:
    assert (await deliver(intake, payload(subject=None, status="Done")))["reason"] == "missing_summary"
    change_mapping(intake, ('when: "!note"', 'when: "subject"'))
    assert await replayed(intake) == 1
    assert [row.state for row in await rows(intake, "SELECT state FROM webhook_deliveries")] == ["ignored"]
    await deliver(intake, payload())
    assert await facts(intake) == [("opened", "10:00:00")]


async def test_ignored_deliveries_are_replayed_only_on_request(intake: World) -> None:
    for status, at in (("New", "10:00"), ("Done", "11:00")):
        body = payload(queue="Desk", status=status, at=f"2026-06-08T{at}:00Z")
        assert (await deliver(intake, body))["state"] == "ignored"
    change_mapping(intake, (QUEUES, "queues: [Help, Desk]"))
    assert await replayed(intake) == 0
    assert await replayed(intake, "--all", "--ignored") == 2
    assert await facts(intake) == [("opened", "10:00:00"), ("resolved", "11:00:00")]


async def test_a_replay_can_be_limited_to_a_tenant_a_provider_or_a_time(intake: World) -> None:
    for tenant in ("default", "default", "other"):
        await deliver(
            intake, payload(status="Parked", delivery=str(len(await rows(intake, DELIVERIES)))), tenant=tenant
        )
    first, second, _ = (row.id for row in await rows(intake, DELIVERIES))
    assert await replayed(intake, "--all", "--since", "2027-06-08T12:00:00Z") == 0
    assert await replayed(intake, "--all", "--since", "2026-06-08T11:00:00Z") == 3
    assert await replayed(intake, "--all", "--tenant", "other") == 1
    assert await replayed(intake, "--all", "--provider", "elsewhere") == 0
    assert await replayed(intake, str(first), str(second)) == 2
    result = await replay(str(first), "999")
    assert (result.exit_code, "Not unmapped: 999." in result.output) == (1, True)


DELIVERIES = "SELECT id FROM webhook_deliveries ORDER BY id"
