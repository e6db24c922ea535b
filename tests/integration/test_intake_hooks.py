"""Webhooks over HTTP: authenticated, stored before they are processed, retried, and forgotten after a time."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from intake.handlers.webhooks import apply_ticket
from intake.store.tables import WEBHOOK_DELIVERIES
from intake.workers import ticket_worker, webhook_worker
from sqlalchemy import text
from structlog.testing import capture_logs
from support.intake_world import HISTORY_LIMIT, IntakeWorld, event, ticket, world
from support.metrics import counter_value
from support.servers import MakeDatabase
from support.webhook_client import (
    SECRET,
    deliver,
    facts,
    integrations_yaml,
    make_due,
    payload,
    rows,
    tickets,
)
from tocsin.events import TicketChanged, TicketImported


@pytest.fixture
async def intake(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[IntakeWorld]:
    (tmp_path / "integrations.yaml").write_text(integrations_yaml(tmp_path))
    async with world(make_database("intake"), tmp_path) as made:
        yield made


async def test_deliveries_open_a_ticket_and_add_facts_to_it(intake: IntakeWorld) -> None:
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
    assert [fact["actor"] for fact in found["facts"]] == ["desk", "Bob", "desk", "desk", "desk"]
    assert [type(event) for event in await intake.queued()][1:] == [TicketChanged] * 4


@pytest.mark.rule("1.11")
async def test_assignee_and_impact_are_those_of_the_opening_and_then_facts(intake: IntakeWorld) -> None:
    await deliver(intake, payload(agent="Ben", stoppage="Everybody", agent_mail="ben at desk"))
    (found,) = await tickets(intake)
    assert found["assignee"] == {"name": "Ben", "email": None}
    assert found["impact"]["work_stoppage"] == "full"
    ruth = {"agent": "Ruth", "agent_mail": "ruth@betterworldtech.com", "at": "2026-06-08T10:20:00Z", "by": "Ann"}
    for _ in range(2):
        await deliver(intake, payload(**ruth, delivery=None))
    await deliver(intake, payload(agent="nobody", at="2026-06-08T10:40:00Z"))
    (found,) = await tickets(intake)
    assigned = [fact for fact in found["facts"] if fact["type"] == "assigned"]
    assert [(fact["assignee"] or {}).get("name") for fact in assigned] == ["Ruth", None]
    assert [fact["actor"] for fact in assigned] == ["Ann", "desk"]
    events = [event.fact for event in await intake.queued() if isinstance(event, TicketChanged)]
    assert [event.assignee and event.assignee.email for event in events] == ["ruth@betterworldtech.com", None]


async def test_an_assessment_of_another_is_kept_until_the_tool_states_something_else(intake: IntakeWorld) -> None:
    await deliver(intake, payload())
    (found,) = await tickets(intake)
    posted = event("assessed", occurred_at="2026-06-08T11:00:00Z", actor="Ada", impact={"business_risk": "major"})
    await intake.post(f"/v1/tickets/{found['ticket_id']}/events", posted, 201)
    await deliver(intake, payload(stoppage="Everybody", at="2026-06-08T11:30:00Z"))
    (found,) = await tickets(intake)
    impacts = [fact["impact"] for fact in found["facts"] if fact["type"] == "assessed"]
    assert len(impacts) == 2
    by_time = sorted((fact for fact in found["facts"] if fact["type"] == "assessed"), key=lambda f: f["occurred_at"])
    assert by_time[-1]["impact"]["work_stoppage"] == "full"


@pytest.mark.rule("5.16")
@pytest.mark.rule("6.5")
async def test_a_request_of_the_it_contact_through_escalations(intake: IntakeWorld) -> None:
    jones = {"who": "ida jones", "mailbox": "Escalations"}
    await deliver(intake, payload("T-1", **jones, type="Complaint"))
    await deliver(intake, payload("T-2", **jones, type="Joiner", starts="2026-07-01T08:00:00Z"))
    await deliver(intake, payload("T-3", **jones))
    await deliver(intake, payload("T-4", mailbox="Escalations", type="Joiner"))
    found = {each["external_id"]: each for each in await tickets(intake)}
    assert [found[f"T-{n}"]["routed_to"] for n in (1, 2, 3, 4)] == ["escalations"] * 3 + ["support"]
    assert [fact["type"] for fact in found["T-1"]["facts"]] == ["opened", "escalated"]
    assert (found["T-2"]["starts_at"], found["T-2"]["category"]) == ("2026-07-01T08:00:00.000000Z", "onboarding")
    assert "rerouted" not in found["T-3"]["flags"]  # nobody stated a purpose
    assert {"rerouted", "start_missing"} <= set(found["T-4"]["flags"])


@pytest.mark.rule("1.8")
async def test_a_contacts_address_that_is_not_usable_is_kept_and_flagged(intake: IntakeWorld) -> None:
    await deliver(intake, payload(mail="ada at acme\r\nBcc: x@acme.example"))
    (found,) = await tickets(intake)
    assert {"contact_unusable", "text_cleaned"} <= set(found["flags"])
    assert found["contact"]["email"] == "ada at acme Bcc: x@acme.example"


@pytest.mark.rule("1.12")
async def test_updates_of_an_id_with_control_characters_belong_to_one_ticket(
    intake: IntakeWorld,
) -> None:
    await deliver(intake, payload("T-1\r\n\x00Bcc: a@b"))
    await deliver(intake, payload("T-1\r\n\x00Bcc: a@b", status="Done", at="2026-06-08T11:00:00Z"))
    (found,) = await tickets(intake)
    assert (found["external_id"], found["state"], "text_cleaned" in found["flags"]) == ("T-1 Bcc: a@b", "closed", True)


async def test_a_duplicate_changes_nothing_and_a_late_delivery_only_what_it_states(intake: IntakeWorld) -> None:
    done = payload(status="Done", at="2026-06-08T11:00:00Z")
    assert (await deliver(intake, done))["state"] == "taken"
    assert (await deliver(intake, done))["state"] == "duplicate"
    await deliver(intake, {**done, "delivery": "the same state in another delivery"})
    assert await facts(intake) == [("opened", "10:00:00"), ("resolved", "11:00:00")]
    await deliver(intake, payload(status="Answered", priority="Normal", at="2026-06-08T10:10:00Z"))
    assert (await facts(intake))[2:] == [
        ("severity_changed", "10:00:00"),
        ("responded", "10:10:00"),
        ("severity_changed", "11:00:00"),
    ]


@pytest.mark.rule("3.6")
async def test_the_response_of_a_person_is_added_after_an_automatic_receipt(intake: IntakeWorld) -> None:
    await deliver(intake, payload())
    key = (await tickets(intake))[0]["ticket_id"]
    await intake.post(f"/v1/tickets/{key}/events", event("responded", actor="Workflow"), 201)
    await deliver(intake, payload(status="Answered", at="2026-06-08T10:20:00Z", by="Workflow"))
    assert [kind for kind, _ in await facts(intake)] == ["opened", "responded"]
    for at in ("2026-06-08T10:30:00Z", "2026-06-08T10:40:00Z"):
        await deliver(intake, payload(status="Answered", at=at, by="Bob"))
    assert (await facts(intake))[2:] == [("responded", "10:30:00")]


@pytest.mark.rule("3.6")
async def test_a_ticket_that_opens_with_an_automatic_receipt_has_no_response(intake: IntakeWorld) -> None:
    await deliver(intake, payload(status="Answered", by="Workflow"))
    assert await facts(intake) == [("opened", "10:00:00")]


async def test_facts_posted_by_rest_are_not_repeated(intake: IntakeWorld) -> None:
    posted = ticket("T-1", source="desk", severity=2, opened_at="2026-06-08T10:00:00Z")
    path = f"/v1/tickets/{(await intake.post('/v1/tickets', posted, 201))['ticket_id']}/events"
    await intake.post(path, event("responded", occurred_at="2026-06-08T10:05:00Z"), 201)
    await deliver(intake, payload(status="Answered", at="2026-06-08T10:20:00Z"))
    assert await facts(intake) == [("opened", "10:00:00"), ("responded", "10:05:00")]
    await deliver(intake, payload(status="Dropped", priority="Urgent", at="2026-06-08T10:40:00Z"))
    assert [kind for kind, _ in await facts(intake)][2:] == ["cancelled", "severity_changed"]


async def test_a_delivery_without_a_valid_signature_is_rejected_and_not_stored(intake: IntakeWorld) -> None:
    with capture_logs() as logs:
        await deliver(intake, payload(), 401, secret="another")
    (logged,) = logs
    assert (logged["event"], logged["provider"], logged["reason"]) == ("webhook_rejected", "desk", "wrong")
    client: httpx.AsyncClient = intake.clients["nobody"]
    for signature in ("", "sha256=é", "sha256=00"):
        headers = {b"X-Signature": signature.encode("latin-1")}
        answer = await client.post("/v1/hooks/desk/default", json=payload(), headers=headers)
        assert (answer.status_code, SECRET in answer.text) == (401, False)
        assert answer.json()["detail"] == "Missing or invalid signature."
    assert (await client.post("/v1/hooks/desk/nobody", json={})).status_code == 404
    assert (await client.post("/v1/hooks/nothing/default", json={})).status_code == 404
    assert await rows(intake, "SELECT 1 FROM webhook_deliveries") == []


async def test_a_body_that_is_too_large_is_counted_and_logged(intake: IntakeWorld) -> None:
    before = counter_value("sla_hook_deliveries_total", provider="desk", result="too_large")
    with capture_logs() as logs:
        await deliver(intake, b" " * 1_000_001, 413)
        await deliver(intake, b" " * 1_000_001, 413, tenant="nobody")
        assert (await intake.clients["nobody"].post("/v1/hooks/x/y", content=b" " * 1_000_001)).status_code == 413
    (logged,) = logs  # only configured webhooks are
    assert (logged["event"], logged["tenant"], logged["content_length"]) == ("webhook_too_large", "default", "1000001")
    assert counter_value("sla_hook_deliveries_total", provider="desk", result="too_large") == before + 1


async def test_each_tenant_has_its_own_tickets_and_unmapped_deliveries(intake: IntakeWorld) -> None:
    await deliver(intake, payload())
    await deliver(intake, payload(priority="Normal"), tenant="other")
    (ours,), (theirs,) = await tickets(intake), await tickets(intake, "other")
    assert (ours["severity"], theirs["severity"], ours["ticket_id"] == theirs["ticket_id"]) == (2, 3, False)
    unmapped = await deliver(intake, payload("T-2", status="?"), tenant="other")
    assert (await intake.get("/v1/hooks/unmapped"))["items"] == []
    await intake.post(f"/v1/hooks/unmapped/{unmapped['delivery_id']}/replay", {}, 404)
    await intake.get("/v1/hooks/unmapped", 403, key="reading")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "unreadable"),
        (payload(id=None), "no_ticket"),
        (payload("T-1", subject={}), "unreadable"),
        (b'{"\\u0000":' + b"[" * 40 + b"]" * 40 + b"}", "unreadable"),
        (payload(priority="?"), "unknown_priority"),
        (payload(queue=None), "missing_queue"),
        (payload(subject=None), "missing_summary"),
    ],
)
async def test_an_unmapped_delivery_is_answered_with_200_and_opens_no_ticket(
    intake: IntakeWorld, body: object, reason: str
) -> None:
    assert (await deliver(intake, body))["reason"] == reason
    assert await tickets(intake) == []


async def test_an_update_that_could_not_open_its_ticket_counts_once_another_one_does(intake: IntakeWorld) -> None:
    answered = payload(subject=None, status="Answered", at="2026-06-08T10:20:00Z")
    assert (await deliver(intake, answered))["reason"] == "missing_summary"
    other = {"tickets": [payload(subject=None), payload("T-2", status="?")]}
    unmapped = await deliver(intake, other)
    await deliver(intake, payload())
    assert await facts(intake) == [("opened", "10:00:00"), ("responded", "10:20:00")]
    (listed,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert (listed["id"], listed["reason"]) == (unmapped["delivery_id"], "unknown_status")


async def test_a_delivery_without_a_ticket_in_scope_is_ignored(intake: IntakeWorld) -> None:
    for body in (payload(note="a"), payload(queue="Sales"), payload("T-2", action="deleted")):
        assert (await deliver(intake, body))["state"] == "ignored"
    assert await tickets(intake) == []


@pytest.mark.parametrize(
    ("broken", "reason", "detail"),
    [({"status": "?"}, "unknown_status", "Unknown status"), ({"opened": "x"}, "unreadable", "[1].opened_at: ")],
)
async def test_one_ticket_of_a_delivery_does_not_affect_the_others(
    intake: IntakeWorld, broken: dict[str, str], reason: str, detail: str
) -> None:
    answer = await deliver(intake, {"tickets": [payload("T-1"), payload("T-2", **broken), payload("T-3")]})
    assert (answer["state"], answer["reason"]) == ("unmapped", reason)
    assert answer["detail"].startswith(detail)
    assert sorted(found["external_id"] for found in await tickets(intake)) == ["T-1", "T-3"]


async def test_a_ticket_opened_before_its_integration_existed_is_history(intake: IntakeWorld, tmp_path: Path) -> None:
    intake.integrations.write_text(integrations_yaml(tmp_path).replace("      live_since: 2026-01-01T00:00:00Z\n", ""))
    await intake.webhook_worker.record_integrations()
    await deliver(intake, payload("old", opened="2026-06-08T11:59:00Z", status="Answered"))
    (imported,) = await intake.queued()
    assert isinstance(imported, TicketImported)
    assert imported.history
    (created_at,) = (row[0] for row in await rows(intake, CREATED_AT))
    later = created_at.isoformat()
    await deliver(intake, payload("new", opened=later, at=later))
    await intake.webhook_worker.record_integrations()
    assert [found["history"] for found in await tickets(intake)] == [False, True]


CREATED_AT = "SELECT created_at FROM integrations WHERE tenant = 'default'"


async def test_an_integration_exists_since_its_file_was_written(intake: IntakeWorld, tmp_path: Path) -> None:
    intake.integrations.write_text(integrations_yaml(tmp_path).replace("      live_since: 2026-01-01T00:00:00Z\n", ""))
    minute_ago = time.time() - 60
    os.utime(intake.integrations, (minute_ago, minute_ago))
    await deliver(intake, payload("first"))
    ((created_at,),) = await rows(intake, CREATED_AT)
    ((received_at,),) = await rows(intake, "SELECT received_at FROM webhook_deliveries")
    assert received_at - created_at > timedelta(seconds=59)


async def test_a_stored_delivery_is_processed_after_a_crash(
    intake: IntakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crashes(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as crash:
        crash.setattr(ticket_worker, "apply_ticket", crashes)
        assert (await deliver(intake, payload(), 202))["state"] == "waiting"
    assert await tickets(intake) == []
    assert (await deliver(intake, payload()))["state"] == "duplicate"
    await intake.webhook_worker.retry()
    assert await tickets(intake) == []  # not due yet
    await make_due(intake)
    await intake.webhook_worker.retry()
    assert await facts(intake) == [("opened", "10:00:00")]


def batch(number: int) -> dict[str, Any]:
    return {"tickets": [payload(f"T-{position}") for position in range(number)]}


async def test_a_delivery_that_takes_too_long_is_processed_in_the_background(
    intake: IntakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(*arguments: Any) -> Any:
        await asyncio.sleep(0.4)  # as on a slow database
        return await apply_ticket(*arguments)

    monkeypatch.setattr(ticket_worker, "apply_ticket", slowly)
    monkeypatch.setattr(webhook_worker, "PROCESS_SECONDS", 1.5)
    assert (await deliver(intake, batch(8), 202))["state"] == "waiting"
    await make_due(intake)
    await intake.webhook_worker.retry()
    assert len(await tickets(intake)) == 8
    states = await rows(intake, "SELECT state, next_attempt_at FROM webhook_deliveries")
    assert [tuple(row) for row in states] == [("taken", None)]


async def test_each_attempt_makes_progress(intake: IntakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    left = 0

    async def crashes(*arguments: Any) -> Any:
        nonlocal left
        if arguments[3] is None:  # not applied before
            left -= 1
        if left < 0:
            raise ConnectionResetError
        return await apply_ticket(*arguments)

    monkeypatch.setattr(ticket_worker, "apply_ticket", crashes)
    left = 3
    await deliver(intake, batch(8), 202)
    for opened in (3, 6, 8):
        assert len(await tickets(intake)) == opened
        left = 3
        await make_due(intake)
        await intake.webhook_worker.retry()


async def test_a_delivery_that_keeps_failing_becomes_unmapped(
    intake: IntakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise KeyError

    with monkeypatch.context() as bug:
        bug.setattr(ticket_worker, "apply_ticket", fails)
        assert (await deliver(intake, payload(), 202))["reason"] == "failed"
        for _ in range(20):
            await make_due(intake)
            await intake.webhook_worker.retry()
    (listed,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert listed["reason"] == "failed"
    assert listed["detail"] == "Internal error: intake's log describes it at `webhook_failed`."
    assert (await intake.post(f"/v1/hooks/unmapped/{listed['id']}/replay", {}, 200))["state"] == "taken"


async def test_history_waits_while_the_outbox_is_backed_up(intake: IntakeWorld) -> None:
    for number in range(HISTORY_LIMIT + 1):
        await deliver(intake, payload(f"T-{number}"))
    assert (await deliver(intake, payload("old", opened="2025-12-31T23:59:59Z"), 202))["state"] == "waiting"
    assert "old" not in {found["external_id"] for found in await tickets(intake)}


async def test_concurrent_deliveries_of_one_ticket(intake: IntakeWorld) -> None:
    states = ["New", "Answered", "Pending", "Answered", "Done"]
    story = [payload(status=status, at=f"2026-06-08T10:{minute}0:00Z") for minute, status in enumerate(states)]
    answers = await asyncio.gather(
        *(deliver(intake, {**body, "delivery": f"{copy} {body['at']}"}) for copy in "12" for body in story)
    )
    assert {answer["state"] for answer in answers} <= {"taken", "duplicate"}
    (found,) = await tickets(intake)
    assert (found["state"], found["severity"]) == ("closed", 2)


async def test_without_a_database_the_response_is_503(tmp_path: Path) -> None:
    (tmp_path / "integrations.yaml").write_text(integrations_yaml(tmp_path))
    async with world("postgresql+asyncpg://nobody:x@127.0.0.1:1/none", tmp_path) as away:
        assert (await deliver(away, payload(), 503))["status"] == 503


async def test_the_response_is_in_time_although_the_database_hangs(
    intake: IntakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("STORE_SECONDS", "PROCESS_SECONDS", "RESCHEDULE_SECONDS"):
        monkeypatch.setattr(webhook_worker, limit, 0.2)
    async with intake.writer.connect() as connection:
        await connection.execute(text("LOCK TABLE webhook_deliveries"))
        await deliver(intake, payload(), 503)
    async with intake.writer.connect() as connection:
        await connection.execute(text("LOCK TABLE ticket_updates"))
        answer = await deliver(intake, payload(), 202)
    detail = "Not processed within 0.2 s: the database is slow, or the delivery has many tickets."
    assert (answer["state"], answer["detail"]) == ("waiting", detail)
    assert await tickets(intake) == []


async def test_old_deliveries_are_forgotten_but_the_states_of_their_tickets_are_not(intake: IntakeWorld) -> None:
    await deliver(intake, payload())
    await intake.webhook_worker.forget(timedelta(hours=1))
    joined = "SELECT body, content FROM webhook_deliveries JOIN ticket_updates ON delivery_id = id"
    [(body, content)] = await rows(intake, joined)
    assert (body, content["summary"]) != (b"", None)
    assert (await deliver(intake, payload(status="Never heard of")))["state"] == "unmapped"
    await intake.webhook_worker.forget(timedelta(0))
    assert await rows(intake, "SELECT id, state, body, headers FROM webhook_deliveries") == [(1, "forgotten", b"", {})]
    [(content,)] = await rows(intake, "SELECT content FROM ticket_updates")
    stated = {"at", "seen_at", "delivery_key", "status", "tool_status", "severity", "opened_at", "in_scope"}
    assert set(content) == stated
    await deliver(intake, payload(status="Done", at="2026-06-08T11:00:00Z"))
    assert [kind for kind, _ in await facts(intake)] == ["opened", "resolved"]


@pytest.mark.parametrize("beside", [[], [payload("T-2", status="Odd")]], ids=["alone", "beside an unmapped ticket"])
async def test_a_forgotten_delivery_is_still_a_duplicate(intake: IntakeWorld, beside: list[dict[str, Any]]) -> None:
    story = [
        {"delivery": status, "tickets": [payload(status=status, at="2026-06-08T10:00:00Z"), *beside]}
        for status in ("New", "Answered", "Done")
    ]
    for body in story:
        await deliver(intake, body)
    assert (await facts(intake))[-1] == ("resolved", "10:00:00")
    await intake.webhook_worker.forget(timedelta(0))
    for body in story:
        assert (await deliver(intake, body))["state"] == "duplicate"
    late = await deliver(intake, payload(status="Pending", at="2026-06-08T09:30:00Z"))
    assert (late["state"], (await tickets(intake))[0]["state"]) == ("taken", "closed")


async def test_a_forgotten_opening_is_not_changed(intake: IntakeWorld) -> None:
    first = await deliver(intake, payload(subject=None))
    await deliver(intake, payload(priority="Normal", at="2026-06-08T10:10:00Z"))
    known = [("opened", "10:00:00"), ("severity_changed", "10:10:00")]
    assert (first["reason"], await facts(intake)) == ("missing_summary", known)
    aged = WEBHOOK_DELIVERIES.update().values(stored_at=text("clock_timestamp() - interval '31 days'"))
    async with intake.writer.begin() as connection:
        await connection.execute(aged.where(WEBHOOK_DELIVERIES.c.id == first["delivery_id"]))
    await intake.webhook_worker.forget(timedelta(days=30))
    await deliver(intake, payload(priority="Normal", status="Done", at="2026-06-08T11:00:00Z"))
    assert await facts(intake) == [*known, ("resolved", "11:00:00")]


async def test_with_an_invalid_file_the_last_valid_version_stays_active(intake: IntakeWorld) -> None:
    await deliver(intake, payload())
    intake.integrations.write_text("version: 1")
    assert (await deliver(intake, payload("T-2")))["state"] == "taken"


async def test_while_the_file_has_never_been_valid_the_tool_is_asked_to_retry(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    file = tmp_path / "integrations.yaml"
    file.write_text(f"version: {SECRET}")
    async with world(make_database("intake"), tmp_path) as intake:
        for path in ("/v1/hooks/desk/default", "/v1/hooks/email/default"):
            answer = await intake.clients["nobody"].post(path, content=b"{}")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
            assert answer.json()["detail"] == "integrations.yaml is invalid. Retry when it has been corrected."
        file.write_text(integrations_yaml(tmp_path))
        assert (await deliver(intake, payload()))["state"] == "taken"
