"""Deliveries that were taken in by a wrong mapping, read again by the mended one, through the real command and job."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from intake.commands.hooks import app
from intake.store import tables
from intake.store.webhooks import HookStore
from sqlalchemy import text
from support.intake_world import World, event, world
from support.servers import MakeDatabase
from support.webhook_client import deliver, facts, payload, rows, tickets, written
from typer.testing import CliRunner, Result

WRONG = ("Pending: waiting_customer", "Pending: resolved")
STORY = (
    ("New", "10:00"),
    ("Pending", "10:30"),
    ("Answered", "11:00"),
    ("Done", "11:30"),
)


@pytest.fixture
async def intake(make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    (tmp_path / "integrations.yaml").write_text(written(tmp_path).replace(*WRONG))
    async with world(make_database("intake"), tmp_path) as made:
        monkeypatch.setenv("TOCSIN_DATABASE_URL", made.writer.url.render_as_string(hide_password=False))
        yield made


def mend(intake: World, *replacements: tuple[str, str]) -> None:
    text = written(intake.integrations.parent)
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    intake.integrations.write_text(text)


async def command(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, ["replay", *arguments])


async def replayed(intake: World, *arguments: str) -> int:
    """Read again what was taken in; how many deliveries that were."""
    told = await command(*(arguments or ("--all", "--taken", "--provider", "desk")))
    assert told.exit_code == 0, told.output
    await intake.deliveries.retry()
    return int(told.output.split()[1])


async def show(
    intake: World, story: Sequence[tuple[str, str]] = STORY, external_id: str = "T-1", **fields: Any
) -> None:
    for status, at in story:
        body = payload(external_id, status=status, at=f"2026-06-08T{at}:00Z")
        assert (await deliver(intake, body))["state"] == "taken"


async def in_order(intake: World) -> list[tuple[str, str]]:
    return sorted(await facts(intake), key=lambda told: told[1])


async def test_a_status_that_was_mapped_wrongly_is_mended_at_its_instants(intake: World) -> None:
    await show(intake)
    taken = [("opened", "10:00:00"), ("resolved", "10:30:00"), ("reopened", "11:00:00"), ("resolved", "11:30:00")]
    assert await facts(intake) == taken
    mend(intake)
    assert await replayed(intake) == 4
    assert (await facts(intake))[4:] == [("reopened", "10:30:00"), ("paused", "10:30:00"), ("resumed", "11:00:00")]


async def test_read_again_twice_nothing_is_added(intake: World) -> None:
    await show(intake)
    mend(intake)
    await replayed(intake)
    once = await facts(intake)
    queued = len(await intake.queued())
    assert (await replayed(intake), await facts(intake), len(await intake.queued())) == (4, once, queued)
    assert {row.state for row in await rows(intake, "SELECT state FROM webhook_deliveries")} == {"taken"}


async def test_a_priority_that_was_mapped_wrongly_is_mended_at_the_opening(intake: World) -> None:
    await show(intake, STORY[:1])
    mend(intake, ("High: 2", "High: 1"))
    await replayed(intake)
    assert await facts(intake) == [("opened", "10:00:00"), ("severity_changed", "10:00:00")]
    (found,) = await tickets(intake)
    assert (found["initial_severity"], found["severity"]) == (2, 1)


async def test_all_deliveries_of_a_ticket_are_compared_at_once(intake: World) -> None:
    """One after the other, each would be contradicted by the next, which still showed the old severity."""
    await show(intake)
    known = await facts(intake)
    mend(intake, WRONG, ("High: 2", "High: 1"))
    await replayed(intake)
    assert (await facts(intake))[len(known) :] == [("severity_changed", "10:00:00")]


async def test_a_response_that_was_none_is_made_impossible(intake: World) -> None:
    mend(intake, ("New: new", "New: new, Seen: responded"))
    await show(intake, [("New", "10:00"), ("Seen", "10:20")])
    assert ("responded", "10:20:00") in await facts(intake)
    mend(intake, ("New: new", "New: new, Seen: in_progress"))
    await replayed(intake)
    (found,) = await tickets(intake)
    assert [(fact["type"], fact["occurred_at"][11:]) for fact in found["facts"][2:]] == [
        ("cancelled", "10:19:59.999999Z"),
        ("reopened", "10:20:00.000000Z"),
    ]
    assert (found["state"], found["facts"][2]["reason"]) == ("open", "no response was meant")


async def test_what_the_mended_mapping_does_not_know_stays_as_it_was_and_is_listed(intake: World) -> None:
    await show(intake, STORY[:2])
    known = await facts(intake)
    mend(intake, ("Pending: waiting_customer, ", ""))
    await replayed(intake)
    (listed,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert (listed["reason"], await facts(intake)) == ("unknown_status", known)
    mend(intake)
    await replayed(intake, "--all")
    assert (await facts(intake))[2:] == [("reopened", "10:30:00"), ("paused", "10:30:00")]
    assert (await intake.get("/v1/hooks/unmapped"))["items"] == []


async def test_a_ticket_never_becomes_another(intake: World) -> None:
    await show(intake, STORY[:2])
    known = await facts(intake)
    mend(intake, ("      adapter: generic", "      adapter: generic\n      source: helpdesk"))
    await replayed(intake)
    assert await facts(intake) == known
    listed = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert [item["reason"] for item in listed] == ["another_ticket", "another_ticket"]
    assert "helpdesk/T-1" in listed[0]["detail"]
    mend(intake)
    await replayed(intake, "--all")
    assert (await facts(intake))[2:] == [("reopened", "10:30:00"), ("paused", "10:30:00")]


async def test_a_ticket_that_is_shown_no_more_stays_open_with_its_facts_taken_back(intake: World) -> None:
    await show(intake, STORY[:2])
    mend(intake, ('when: "!note"', "when: status != 'Pending'"))
    await replayed(intake)
    assert [row.state for row in await rows(intake, "SELECT state FROM webhook_deliveries ORDER BY id")] == [
        "taken",
        "ignored",
    ]
    (found,) = await tickets(intake)
    assert (found["state"], [fact["type"] for fact in found["facts"]][2:]) == ("open", ["cancelled", "reopened"])


async def test_a_queue_that_counts_no_more_closes_no_ticket(intake: World) -> None:
    await show(intake, STORY[:2])
    mend(intake, ("queues: [Help]", "queues: [Sales]"))
    await replayed(intake)
    (found,) = await tickets(intake)
    assert (found["state"], [kind for kind, _ in await facts(intake)][2:]) == ("open", ["reopened", "paused"])
    assert (await deliver(intake, payload("T-2")))["state"] == "ignored"


async def test_deliveries_with_several_tickets_are_read_again_too(intake: World) -> None:
    for status, at in STORY:
        both = [payload(name, status=status, at=f"2026-06-08T{at}:00Z") for name in ("T-1", "T-2")]
        assert (await deliver(intake, {"tickets": both}))["state"] == "taken"
    await deliver(intake, payload("T-2", status="New", at="2026-06-08T12:00:00Z"))
    mend(intake)
    assert await replayed(intake) == 5
    for found in await tickets(intake):
        told = [(fact["type"], fact["occurred_at"][11:16]) for fact in found["facts"]]
        assert told[-3:] == [("reopened", "10:30"), ("paused", "10:30"), ("resumed", "11:00")]
    assert {row.state for row in await rows(intake, "SELECT state FROM webhook_deliveries")} == {"taken"}


async def test_what_is_not_asked_for_is_not_read_again(intake: World) -> None:
    await show(intake, STORY[:2])
    await deliver(intake, payload(), tenant="other")
    (first, second, _) = (row.id for row in await rows(intake, "SELECT id FROM webhook_deliveries ORDER BY id"))
    context = ("--all", "--taken", "--provider", "desk")
    assert await replayed(intake, *context, "--since", "2027-06-08T12:00:00Z") == 0
    assert await replayed(intake, *context, "--since", "2026-06-08T11:00:00Z") == 3
    assert await replayed(intake, *context, "--tenant", "other") == 1
    assert await replayed(intake, "--all", "--taken", "--provider", "elsewhere") == 0
    assert await replayed(intake, "--all") == 0
    assert await replayed(intake, str(first), str(second), "--taken") == 2
    told = await command(str(first), "999")
    assert (told.exit_code, "Not unmapped: " in told.output) == (1, True)


async def test_a_mail_that_was_taken_in_is_not_read_again(intake: World) -> None:
    told = await command("--all", "--taken", "--provider", "email")
    assert (told.exit_code, told.output) == (1, "A mail that was taken in is not read again: what it became stays.\n")
    await deliver(intake, payload())
    async with intake.writer.begin() as connection:
        await connection.execute(tables.webhook_deliveries.update().values(provider="email"))
    (mail,) = (row.id for row in await rows(intake, "SELECT id FROM webhook_deliveries"))
    told = await command(str(mail), "--taken")
    assert f"Not unmapped or taken, or a mail that was taken in: {mail}." in told.output


async def test_what_dies_in_between_goes_on(intake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await show(intake)
    await show(intake, external_id="T-2")
    mend(intake)
    await command("--all", "--taken", "--provider", "desk")
    settle, settled = HookStore.settle, 0

    async def dies(self: HookStore, *arguments: Any) -> None:
        nonlocal settled
        settled += 1
        if settled > 1:
            raise ConnectionResetError
        await settle(self, *arguments)

    with monkeypatch.context() as crash:
        crash.setattr(HookStore, "settle", dies)
        await intake.deliveries.retry()
    async with intake.writer.begin() as connection:
        waiting = tables.webhook_deliveries.c.state == "waiting"
        now = tables.webhook_deliveries.update().where(waiting).values(next_at=text("clock_timestamp()"))
        await connection.execute(now)
    await intake.deliveries.retry()
    assert {row.state for row in await rows(intake, "SELECT state FROM webhook_deliveries")} == {"taken"}
    for found in await tickets(intake):
        assert [fact["type"] for fact in found["facts"]][4:] == ["reopened", "paused", "resumed"]


async def test_what_comes_in_meanwhile_is_neither_lost_nor_doubled(intake: World) -> None:
    await show(intake)
    mend(intake)
    await command("--all", "--taken", "--provider", "desk")
    states = [("Answered", "10:45"), ("Pending", "11:10"), ("New", "11:50")]
    bodies = [payload(status=status, at=f"2026-06-08T{at}:00Z") for status, at in states]
    answers = await asyncio.gather(
        *(deliver(intake, body) for body in bodies), *(intake.deliveries.retry() for _ in range(3))
    )
    assert [answer["state"] for answer in answers[:3]] == ["taken"] * 3
    known = await facts(intake)
    assert await replayed(intake) == 7
    assert await facts(intake) == known
    (found,) = await tickets(intake)
    assert found["state"] == "open"


async def test_what_others_posted_stays(intake: World) -> None:
    await show(intake, STORY[:2])
    (found,) = await tickets(intake)
    path = f"/v1/tickets/{found['ticket_id']}/events"
    await intake.post(path, event("responded", occurred_at="2026-06-08T10:05:00Z"), 201)
    mend(intake, ("Pending: waiting_customer", "Pending: in_progress"))
    await replayed(intake)
    assert await in_order(intake) == [
        ("opened", "10:00:00"),
        ("responded", "10:05:00"),
        ("resolved", "10:30:00"),
        ("reopened", "10:30:00"),
    ]


async def test_of_an_opening_that_is_forgotten_nothing_is_mended(intake: World) -> None:
    await show(intake, STORY[:2])
    aged = tables.webhook_deliveries.update().values(stored_at=text("clock_timestamp() - interval '31 days'"))
    async with intake.writer.begin() as connection:
        first = text("id = (SELECT min(id) FROM webhook_deliveries)")
        await connection.execute(aged.where(first))
    await intake.deliveries.forget(timedelta(days=30))
    mend(intake, ("High: 2", "High: 1"))
    assert await replayed(intake) == 1
    assert [told for told in await facts(intake) if told[0] == "severity_changed"] == [("severity_changed", "10:30:00")]
