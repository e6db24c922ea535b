"""Webhooks through the real route: stored before they are read, told once, kept where nobody knows what they mean."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from intake.commands.hooks import app
from intake.handlers.webhooks import apply_update
from intake.store import tables
from intake.workers import webhook_worker
from prometheus_client import REGISTRY
from sqlalchemy import text
from structlog.testing import capture_logs
from support.intake_world import HISTORY_LIMIT, World, event, ticket, world
from support.servers import MakeDatabase
from support.webhook_client import SECRET, deliver, facts, payload, rows, tickets, written
from tocsin.events import TicketChanged, TicketImported
from typer.testing import CliRunner, Result


@pytest.fixture
async def intake(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "integrations.yaml").write_text(written(tmp_path))
    async with world(make_database("intake"), tmp_path) as made:
        yield made


async def test_what_a_tool_shows_becomes_a_ticket_and_what_happened_to_it(intake: World) -> None:
    assert (await deliver(intake, payload()))["state"] == "taken"
    await deliver(intake, payload(status="Answered", at="2026-06-08T10:20:00Z", by="Bob"))
    await deliver(intake, payload(status="Pending", priority="Urgent", at="2026-06-08T10:30:00Z"))
    await deliver(intake, payload(status="Done", priority="Urgent", at="2026-06-08T11:00:00Z"))
    assert await facts(intake) == [
        ("opened", "10:00:00"),
        ("responded", "10:20:00"),
        ("paused", "10:30:00"),
        ("severity_changed", "10:30:00"),
        ("resolved", "11:00:00"),
    ]
    (found,) = await tickets(intake)
    assert (found["source"], found["external_id"], found["severity"], found["state"]) == ("desk", "T-1", 1, "closed")
    assert found["flags"] == []
    assert [fact["actor"] for fact in found["facts"]] == ["desk", "Bob", "desk", "desk", "desk"]
    assert [type(told) for told in await intake.queued()][1:] == [TicketChanged] * 4


async def test_duplicates_and_late_deliveries_change_nothing_but_what_they_must(intake: World) -> None:
    done = payload(status="Done", at="2026-06-08T11:00:00Z")
    assert (await deliver(intake, done))["state"] == "taken"
    assert (await deliver(intake, done))["state"] == "duplicate"
    await deliver(intake, {**done, "delivery": "the same state, sent anew"})
    assert await facts(intake) == [("opened", "10:00:00"), ("resolved", "11:00:00")]
    await deliver(intake, payload(status="Answered", priority="Normal", at="2026-06-08T10:10:00Z"))
    assert (await facts(intake))[2:] == [
        ("severity_changed", "10:00:00"),
        ("responded", "10:10:00"),
        ("severity_changed", "11:00:00"),
    ]


async def test_what_was_posted_by_rest_counts_too(intake: World) -> None:
    posted = ticket("T-1", source="desk", severity=2, opened_at="2026-06-08T10:00:00Z")
    path = f"/v1/tickets/{(await intake.post('/v1/tickets', posted, 201))['ticket_id']}/events"
    await intake.post(path, event("responded", occurred_at="2026-06-08T10:05:00Z"), 201)
    await deliver(intake, payload(status="Answered", at="2026-06-08T10:20:00Z"))
    assert await facts(intake) == [("opened", "10:00:00"), ("responded", "10:05:00")]
    await deliver(intake, payload(status="Dropped", priority="Urgent", at="2026-06-08T10:40:00Z"))
    assert [kind for kind, _ in await facts(intake)][2:] == ["cancelled", "severity_changed"]


async def test_only_who_knows_the_secret_is_heard(intake: World) -> None:
    with capture_logs() as logs:
        await deliver(intake, payload(), 401, secret="another")
    refused = {"event": "hook_refused", "log_level": "warning", "provider": "desk", "tenant": "default", "why": "wrong"}
    assert logs == [refused]
    client: httpx.AsyncClient = intake.clients["nobody"]
    for signature in ("", "sha256=é", "sha256=", "sha256=00"):
        headers = {b"X-Signature": signature.encode("latin-1")}
        answer = await client.post("/v1/hooks/desk/default", json=payload(), headers=headers)
        assert (answer.status_code, SECRET in answer.text) == (401, False)
        assert answer.json()["detail"] == "The proof is missing or wrong."
    assert (await client.post("/v1/hooks/desk/nobody", json={})).status_code == 404
    assert (await client.post("/v1/hooks/nothing/default", json={})).status_code == 404
    assert await rows(intake, "SELECT 1 FROM webhook_deliveries") == []


def counted(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, {"provider": "desk", **labels}) or 0


async def test_a_body_that_is_too_large_is_counted_and_logged(intake: World) -> None:
    before = counted("sla_hook_deliveries_total", result="too_large")
    with capture_logs() as logs:
        await deliver(intake, b" " * 1_000_001, 413)
        await deliver(intake, b" " * 1_000_001, 413, tenant="nobody")
        assert (await intake.clients["nobody"].post("/v1/hooks/x/y", content=b" " * 1_000_001)).status_code == 413
    (told,) = logs  # what a caller makes up is nobody's business
    assert (told["event"], told["tenant"], told["content_length"]) == ("hook_too_large", "default", "1000001")
    assert counted("sla_hook_deliveries_total", result="too_large") == before + 1


async def test_a_tenant_has_its_own_tickets_and_unmapped_webhooks(intake: World) -> None:
    await deliver(intake, payload())
    await deliver(intake, payload(priority="Normal"), tenant="other")
    (ours,), (theirs,) = await tickets(intake), await tickets(intake, "other")
    assert (ours["severity"], theirs["severity"], ours["ticket_id"] == theirs["ticket_id"]) == (2, 3, False)
    kept = await deliver(intake, payload("T-2", status="?"), tenant="other")
    assert (await intake.get("/v1/hooks/unmapped"))["items"] == []
    await intake.post(f"/v1/hooks/unmapped/{kept['delivery_id']}/replay", {}, 404)
    await intake.get("/v1/hooks/unmapped", 403, key="reading")


async def test_what_the_mapping_does_not_know_is_kept_and_replayed_once_it_does(intake: World, tmp_path: Path) -> None:
    await deliver(intake, payload())
    answer = await deliver(intake, payload(status="Parked", at="2026-06-08T10:30:00Z"))
    assert (answer["state"], answer["reason"]) == ("unmapped", "unknown_status")
    await deliver(intake, payload(status="Done", at="2026-06-08T11:00:00Z"))
    (listed,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert (listed["reason"], listed["id"]) == ("unknown_status", answer["delivery_id"])
    assert "`Parked`" in listed["detail"]
    assert json.loads(listed["body"])["status"] == "Parked"

    again = f"/v1/hooks/unmapped/{listed['id']}/replay"
    assert (await intake.post(again, {}, 200))["state"] == "unmapped"
    intake.integrations.write_text(written(tmp_path).replace("Pending:", "Parked: waiting_customer, Pending:"))
    assert (await intake.post(again, {}, 200))["state"] == "taken"
    assert (await intake.post(again, {}, 200))["state"] == "taken"
    assert sorted(await facts(intake)) == [
        ("opened", "10:00:00"),
        ("paused", "10:30:00"),
        ("resolved", "11:00:00"),
        ("responded", "10:30:00"),
    ]
    assert (await intake.get("/v1/hooks/unmapped"))["items"] == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "unreadable"),
        (payload(id=None), "unreadable"),
        (payload(priority="?"), "unknown_priority"),
        (payload(queue=None), "missing_queue"),
        (payload(subject=None), "missing_summary"),
    ],
)
async def test_a_bad_delivery_is_answered_well_and_kept(intake: World, body: object, reason: str) -> None:
    assert (await deliver(intake, body))["reason"] == reason
    assert await tickets(intake) == []


async def test_what_is_unmapped_is_listed_and_replayed_by_command_too(
    intake: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOCSIN_DATABASE_URL", intake.writer.url.render_as_string(hide_password=False))

    async def command(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, arguments)

    kept = (await deliver(intake, payload(status="Parked")))["delivery_id"]
    assert "desk/default  unknown_status: The status `Parked` is not" in (await command("unmapped")).output
    assert (await command("replay", str(kept), "999")).exit_code == 1
    intake.integrations.write_text(written(tmp_path).replace("Pending:", "Parked: new, Pending:"))
    await intake.webhook_worker.retry()
    assert await facts(intake) == [("opened", "10:00:00")]
    assert (await command("replay", "--all")).output == "Queued 0 for the running service.\n"
    assert "There are none." in (await command("unmapped")).output


async def test_what_nobody_needs_is_dismissed_and_no_longer_listed_or_counted(
    intake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_DATABASE_URL", intake.writer.url.render_as_string(hide_password=False))

    async def command(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, arguments)

    junk, other = [str((await deliver(intake, body))["delivery_id"]) for body in ({}, payload(status="Parked"))]
    assert (await command("dismiss", junk, "--tenant", "other")).output.endswith(f"Not unmapped: {junk}.\n")
    told = await command("dismiss", junk, "999", "--by", "Ada")
    assert (told.exit_code, told.output) == (1, "Dismissed 1.\nNot unmapped: 999.\n")
    await intake.webhook_worker.retry()
    assert counted("sla_hook_unmapped_now") == 1
    assert [item["id"] for item in (await intake.get("/v1/hooks/unmapped"))["items"]] == [int(other)]
    query = f"SELECT state, reason, detail FROM webhook_deliveries WHERE id = {junk}"
    assert [tuple(row) for row in await rows(intake, query)] == [("ignored", "unreadable", "dismissed by Ada")]


async def test_what_is_replayed_and_still_unmapped_counts_once(intake: World) -> None:
    before = counted("sla_hook_unmapped_total", reason="unknown_status")
    kept = (await deliver(intake, payload(status="Parked")))["delivery_id"]
    for _ in range(2):
        assert (await intake.post(f"/v1/hooks/unmapped/{kept}/replay", {}, 200))["state"] == "unmapped"
    assert counted("sla_hook_unmapped_total", reason="unknown_status") == before + 1


async def test_what_lacked_what_opens_a_ticket_counts_once_another_opens_it(intake: World) -> None:
    answered = payload(subject=None, status="Answered", at="2026-06-08T10:20:00Z")
    assert (await deliver(intake, answered))["reason"] == "missing_summary"
    await deliver(intake, payload())
    assert await facts(intake) == [("opened", "10:00:00"), ("responded", "10:20:00")]
    assert (await intake.get("/v1/hooks/unmapped"))["items"] == []


async def test_of_two_tickets_that_lack_something_neither_is_forgotten_when_the_other_is_opened(intake: World) -> None:
    both = {"tickets": [payload(subject=None), payload("T-2", status="?")]}
    kept = await deliver(intake, both)
    await deliver(intake, payload())
    assert await facts(intake) == [("opened", "10:00:00")]
    (listed,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert (listed["id"], listed["reason"]) == (kept["delivery_id"], "unknown_status")


async def test_defaults_stand_in_and_say_so(intake: World) -> None:
    await deliver(intake, payload(priority=None, services=None, customer=None, mail=None))
    (found,) = await tickets(intake)
    assert (found["severity"], found["affected_services"], found["customer"]["id"]) == (3, ["Other"], "unknown")
    assert found["contact"]["name"] == "Service desk"
    assert found["flags"] == ["default_severity", "default_services", "default_contact", "default_customer"]


async def test_what_holds_no_ticket_that_counts_is_ignored(intake: World) -> None:
    for body in (payload(note="a"), payload(queue="Sales"), payload("T-2", action="deleted")):
        assert (await deliver(intake, body))["state"] == "ignored"
    assert await tickets(intake) == []


async def test_tickets_in_one_delivery_are_taken_in_each_by_itself(intake: World) -> None:
    answer = await deliver(intake, {"tickets": [payload("T-1"), payload("T-2", status="?"), payload("T-3")]})
    assert (answer["state"], answer["reason"]) == ("unmapped", "unknown_status")
    assert sorted(found["external_id"] for found in await tickets(intake)) == ["T-1", "T-3"]


async def test_a_ticket_that_cannot_be_read_keeps_its_neighbours_not_out(intake: World) -> None:
    answer = await deliver(intake, {"tickets": [payload("T-1"), payload("T-2", opened="x"), payload("T-3")]})
    assert (answer["state"], answer["reason"]) == ("unmapped", "unreadable")
    assert answer["detail"].startswith("[1].opened_at: ")
    assert sorted(found["external_id"] for found in await tickets(intake)) == ["T-1", "T-3"]


async def test_what_was_opened_before_the_integration_lived_is_history(intake: World, tmp_path: Path) -> None:
    unsaid = written(tmp_path).replace("      live_since: 2026-01-01T00:00:00Z\n", "")
    intake.integrations.write_text(unsaid)
    await intake.webhook_worker.note_integrations()
    await deliver(intake, payload("old", opened="2026-06-08T11:59:00Z", status="Answered"))
    (told,) = await intake.queued()
    assert isinstance(told, TicketImported)
    assert told.history
    (made_at,) = (row[0] for row in await rows(intake, "SELECT made_at FROM integrations WHERE tenant = 'default'"))
    later = made_at.isoformat()
    await deliver(intake, payload("new", opened=later, at=later))
    await intake.webhook_worker.note_integrations()
    assert [found["history"] for found in await tickets(intake)] == [False, True]


async def test_an_integration_was_made_when_it_was_written_and_not_when_it_was_noticed(
    intake: World, tmp_path: Path
) -> None:
    intake.integrations.write_text(written(tmp_path).replace("      live_since: 2026-01-01T00:00:00Z\n", ""))
    minute_ago = time.time() - 60
    os.utime(intake.integrations, (minute_ago, minute_ago))
    await deliver(intake, payload("first"))
    ((made_at,),) = await rows(intake, "SELECT made_at FROM integrations WHERE tenant = 'default'")
    ((received_at,),) = await rows(intake, "SELECT received_at FROM webhook_deliveries")
    assert received_at - made_at > timedelta(seconds=59)


async def test_a_delivery_is_stored_before_it_is_read_and_taken_in_after_a_crash(
    intake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as crash:
        crash.setattr(webhook_worker, "apply_update", dies)
        assert (await deliver(intake, payload(), 202))["state"] == "waiting"
    assert await tickets(intake) == []
    assert (await deliver(intake, payload()))["state"] == "duplicate"
    await intake.webhook_worker.retry()
    assert await tickets(intake) == []  # its time has not come
    async with intake.writer.begin() as connection:
        await connection.execute(tables.webhook_deliveries.update().values(next_at=text("clock_timestamp()")))
    await intake.webhook_worker.retry()
    assert await facts(intake) == [("opened", "10:00:00")]


async def _their_time_has_come(intake: World) -> None:
    waiting = tables.webhook_deliveries.c.state == "waiting"
    async with intake.writer.begin() as connection:
        due = tables.webhook_deliveries.update().where(waiting).values(next_at=text("clock_timestamp()"))
        await connection.execute(due)


def many(number: int) -> dict[str, Any]:
    return {"tickets": [payload(f"T-{place}") for place in range(number)]}


async def test_a_delivery_of_more_tickets_than_a_tool_waits_for_is_taken_in_behind_its_back(
    intake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(*given: Any) -> Any:
        await asyncio.sleep(0.4)  # as on a slow database
        return await apply_update(*given)

    monkeypatch.setattr(webhook_worker, "apply_update", slowly)
    monkeypatch.setattr(webhook_worker, "TAKE_SECONDS", 1.5)
    assert (await deliver(intake, many(8), 202))["state"] == "waiting"
    await _their_time_has_come(intake)
    await intake.webhook_worker.retry()
    assert len(await tickets(intake)) == 8
    assert [tuple(row) for row in await rows(intake, "SELECT state, next_at FROM webhook_deliveries")] == [
        ("taken", None)
    ]


async def test_each_try_of_a_delivery_begins_with_the_tickets_that_none_came_to(
    intake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 0

    async def dies(*given: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ConnectionResetError
        return await apply_update(*given)

    monkeypatch.setattr(webhook_worker, "apply_update", dies)
    left = 3
    await deliver(intake, many(8), 202)
    for known in (3, 6, 8):
        assert len(await tickets(intake)) == known
        left = 3
        await _their_time_has_come(intake)
        await intake.webhook_worker.retry()


async def test_what_fails_by_our_fault_again_and_again_is_put_aside(
    intake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def faulty(*_: object) -> None:
        raise KeyError

    now = tables.webhook_deliveries.update().values(next_at=text("clock_timestamp()"))
    with monkeypatch.context() as fault:
        fault.setattr(webhook_worker, "apply_update", faulty)
        assert (await deliver(intake, payload(), 202))["reason"] == "failed"
        for _ in range(25):
            async with intake.writer.begin() as connection:
                await connection.execute(now.where(tables.webhook_deliveries.c.state == "waiting"))
            await intake.webhook_worker.retry()
    (kept,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert (kept["reason"], kept["detail"]) == ("failed", "KeyError: this is our fault, and logged.")
    assert (await intake.post(f"/v1/hooks/unmapped/{kept['id']}/replay", {}, 200))["state"] == "taken"


async def test_history_waits_while_much_is_to_be_published(intake: World) -> None:
    for number in range(HISTORY_LIMIT + 1):
        await deliver(intake, payload(f"T-{number}"))
    assert (await deliver(intake, payload("old", opened="2025-12-31T23:59:59Z"), 202))["state"] == "waiting"
    assert "old" not in {found["external_id"] for found in await tickets(intake)}


async def test_deliveries_of_one_ticket_may_come_at_the_same_time(intake: World) -> None:
    states = ["New", "Answered", "Pending", "Answered", "Done"]
    story = [payload(status=status, at=f"2026-06-08T10:{minute}0:00Z") for minute, status in enumerate(states)]
    answers = await asyncio.gather(
        *(deliver(intake, {**body, "delivery": f"{n} {body['at']}"}) for n in "12" for body in story)
    )
    assert {answer["state"] for answer in answers} <= {"taken", "duplicate"}
    (found,) = await tickets(intake)
    assert (found["state"], found["severity"]) == ("closed", 2)


async def test_without_a_database_the_tool_is_told_to_come_again(tmp_path: Path) -> None:
    (tmp_path / "integrations.yaml").write_text(written(tmp_path))
    async with world("postgresql+asyncpg://nobody:x@127.0.0.1:1/none", tmp_path) as away:
        assert (await deliver(away, payload(), 503))["status"] == 503


async def test_deliveries_are_kept_for_a_while(intake: World) -> None:
    await deliver(intake, payload())
    await intake.webhook_worker.forget(timedelta(hours=1))
    [(body, shown)] = await rows(
        intake, "SELECT body, shown FROM webhook_deliveries JOIN ticket_snapshots ON delivery_id = id"
    )
    assert (body, shown["summary"]) != (b"", None)
    lacking = await deliver(intake, payload(status="Never heard of"))
    await intake.webhook_worker.forget(timedelta(0))
    assert await rows(intake, "SELECT id, state, body, headers FROM webhook_deliveries") == [(1, "forgotten", b"", {})]
    [(left,)] = await rows(intake, "SELECT shown FROM ticket_snapshots")
    assert set(left) == {"at", "seen_at", "key", "status", "word", "severity", "opened_at", "counts"}
    assert lacking["state"] == "unmapped"
    await deliver(intake, payload(status="Done", at="2026-06-08T11:00:00Z"))
    assert [kind for kind, _ in await facts(intake)] == ["opened", "resolved"]


@pytest.mark.parametrize("beside", [[], [payload("T-2", status="Odd")]], ids=["alone", "beside what is unmapped"])
async def test_a_delivery_that_comes_again_after_years_changes_nothing(
    intake: World, beside: list[dict[str, Any]]
) -> None:
    story = [
        {"delivery": status, "tickets": [payload(status=status, at="2026-06-08T10:00:00Z"), *beside]}
        for status in ("New", "Answered", "Done")
    ]
    for body in story:
        await deliver(intake, body)
    told = await facts(intake)
    assert told[-1] == ("resolved", "10:00:00")
    await intake.webhook_worker.forget(timedelta(0))
    for body in story:
        assert (await deliver(intake, body))["state"] == "duplicate"
    late = await deliver(intake, payload(status="Pending", at="2026-06-08T09:30:00Z"))
    assert (late["state"], (await tickets(intake))[0]["state"]) == ("taken", "closed")


async def test_what_is_forgotten_of_an_opening_rewrites_it_not(intake: World) -> None:
    first = await deliver(intake, payload(subject=None))
    await deliver(intake, payload(priority="Normal", at="2026-06-08T10:10:00Z"))
    known = [("opened", "10:00:00"), ("severity_changed", "10:10:00")]
    assert (first["reason"], await facts(intake)) == ("missing_summary", known)
    aged = tables.webhook_deliveries.update().values(stored_at=text("clock_timestamp() - interval '31 days'"))
    async with intake.writer.begin() as connection:
        await connection.execute(aged.where(tables.webhook_deliveries.c.id == first["delivery_id"]))
    await intake.webhook_worker.forget(timedelta(days=30))
    await deliver(intake, payload(priority="Normal", status="Done", at="2026-06-08T11:00:00Z"))
    assert await facts(intake) == [*known, ("resolved", "11:00:00")]


async def test_while_the_database_hangs_a_tool_is_told_so_in_time(
    intake: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_worker, "_KEEP_SECONDS", 0.2)
    monkeypatch.setattr(webhook_worker, "TAKE_SECONDS", 0.2)
    monkeypatch.setattr(webhook_worker, "_POSTPONE_SECONDS", 0.2)
    async with intake.writer.connect() as connection:
        await connection.execute(text("LOCK TABLE webhook_deliveries"))
        await deliver(intake, payload(), 503)
    async with intake.writer.connect() as connection:
        await connection.execute(text("LOCK TABLE ticket_snapshots"))
        waits = await deliver(intake, payload(), 202)
    told = "It was not taken in within 0.2 s: the database was slow, or it holds many tickets."
    assert (waits["state"], waits["detail"]) == ("waiting", told)
    assert await tickets(intake) == []


async def test_without_a_good_file_the_last_good_one_serves(intake: World) -> None:
    await deliver(intake, payload())
    intake.integrations.write_text("version: 1")
    assert (await deliver(intake, payload("T-2")))["state"] == "taken"
