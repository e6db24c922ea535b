"""Batches: independent items, tickets published with their events as one record, and history that waits."""

import asyncio
import json
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from support.intake_world import HISTORY_LIMIT, IntakeWorld, event, ticket
from tocsin.events import FactType, TicketImported, TicketOpened


async def post_batch(intake: IntakeWorld, *items: object) -> list[dict[str, Any]]:
    answer = await intake.post("/v1/tickets/batch", {"tickets": items}, 200)
    results = answer["results"]
    assert len(results) == len(items)
    return list(results)


def statuses(results: list[dict[str, Any]]) -> list[int]:
    return [result["status"] for result in results]


EVENTS = [
    event("responded", occurred_at="2026-06-01T10:00:00Z", event_id="r"),
    event("severity_changed", occurred_at="2026-06-01T11:00:00Z", severity=3),
    event("resolved", occurred_at="2026-06-01T12:00:00Z", resolution_kind="workaround"),
]


async def test_an_invalid_item_never_affects_the_others(intake: IntakeWorld) -> None:
    await intake.post("/v1/tickets", ticket("known"), 201)
    results = await post_batch(
        intake,
        ticket("a"),
        ticket("b", severity=9),
        "no ticket",
        ticket("c", events=[event("responded"), {"type": "paused"}]),
        ticket("known"),
        ticket("known", summary="other"),
        ticket("d"),
    )
    assert statuses(results) == [201, 422, 422, 422, 200, 409, 201]
    assert results[1]["problem"]["errors"][0]["field"] == "severity"
    assert results[3]["problem"]["errors"][0]["field"] == "events[1].actor"
    assert results[0]["ticket"]["external_id"] == "a"
    assert len(await intake.queued()) == 3


async def test_an_item_that_is_nested_too_deeply_never_affects_the_others(intake: IntakeWorld) -> None:
    deep: object = "x"
    for _ in range(100):
        deep = {"x": deep}
    results = await post_batch(
        intake, ticket("a"), deep, ticket("b", summary=deep), ticket("c", contact={"name": "Eve", "phone": [deep]})
    )
    assert statuses(results) == [201, 422, 422, 422]
    named = [[error["field"] for error in result["problem"]["errors"]] for result in results[1:]]
    assert "x" in named[0]
    assert named[1:] == [["summary"], ["contact.phone"]]
    alone = await intake.post("/v1/tickets", ticket("d", summary=deep), 422)
    assert [error["field"] for error in alone["errors"]] == ["summary"]


async def test_the_same_ticket_twice_in_a_batch_counts_once(intake: IntakeWorld) -> None:
    results = await post_batch(
        intake, ticket("a"), ticket("a"), ticket("a", severity=2), ticket("a", severity=7), ticket("b")
    )
    assert statuses(results) == [201, 200, 409, 422, 201]
    assert results[1]["ticket"] == results[0]["ticket"]
    assert len(await intake.queued()) == 2


async def test_a_ticket_and_its_events_are_published_as_one_record(intake: IntakeWorld) -> None:
    item = ticket("a", opened_at="2026-06-01T09:00:00Z", events=EVENTS)
    (result,) = await post_batch(intake, item)
    answer = result["ticket"]
    assert (answer["severity"], answer["initial_severity"], answer["state"]) == (3, 1, "closed")
    (record,) = await intake.queued()
    assert isinstance(record, TicketImported)
    assert [(fact.number, fact.type) for fact in record.facts] == [
        (1, FactType.OPENED),
        (2, FactType.RESPONDED),
        (3, FactType.SEVERITY_CHANGED),
        (4, FactType.RESOLVED),
    ]
    assert not record.history
    path = f"/v1/tickets/{answer['ticket_id']}"
    assert (await intake.post(f"{path}/events", event("reopened"), 201))["number"] == 5
    assert await post_batch(intake, item) == [{"status": 200, "ticket": answer}]
    await intake.post(f"{path}/events", EVENTS[0], 200)
    assert [fact["number"] for fact in (await intake.get(path))["facts"]] == [1, 2, 3, 4, 5]
    assert statuses(await post_batch(intake, ticket("a", opened_at="2026-06-01T09:00:00Z"))) == [409]


async def test_contradicting_events_reject_their_item(intake: IntakeWorld) -> None:
    workaround = event("resolved", resolution_kind="workaround", occurred_at="2026-06-01T12:00:00Z")
    down = event("severity_changed", severity=2, occurred_at="2026-06-01T11:00:00Z")
    opened = "2026-06-01T09:00:00Z"
    twice = [event("responded", event_id="x"), event("paused", event_id="x")]
    same = [event("responded", event_id="x"), event("responded", event_id="x")]
    results = await post_batch(
        intake,
        ticket("a", opened_at=opened, events=[workaround]),
        ticket("b", opened_at=opened, events=[workaround, down]),
        ticket("c", events=twice),
        ticket("d", events=same),
    )
    assert statuses(results) == [409, 201, 409, 201]
    facts = (await intake.get(f"/v1/tickets/{results[3]['ticket']['ticket_id']}"))["facts"]
    assert [fact["number"] for fact in facts] == [1, 2]


@pytest.mark.rule("5.16")
async def test_a_mishandled_request_is_escalated_before_its_events(intake: IntakeWorld) -> None:
    item = ticket(category="mishandled_request", sender_is_it_contact=True, events=[event("responded")])
    await post_batch(intake, item)
    (record,) = await intake.queued()
    assert isinstance(record, TicketImported)
    assert [fact.type for fact in record.facts] == ["opened", "escalated", "responded"]


@pytest.mark.rule("4.24")
async def test_history_waits_for_the_outbox_and_live_tickets_do_not(intake: IntakeWorld) -> None:
    (first,) = await post_batch(intake, ticket("h0", history=True))
    assert first["ticket"]["history"] is True
    (record,) = await intake.queued()
    assert isinstance(record, TicketImported)
    assert record.history
    assert statuses(await post_batch(intake, *(ticket(f"t{n}") for n in range(HISTORY_LIMIT)))) == [201] * HISTORY_LIMIT
    results = await post_batch(
        intake, ticket("h1", history=True), ticket("live"), ticket("e", events=[event("responded")])
    )
    assert statuses(results) == [503, 201, 201]


async def test_a_record_over_900_kb_rejects_only_its_item(intake: IntakeWorld) -> None:
    huge = [event("responded", reason="x" * 9_900) for _ in range(100)]
    results = await post_batch(intake, ticket("a", events=huge), ticket("b", events=huge[:50]))
    assert statuses(results) == [413, 201]
    services = ["y" * 9_900] * 95
    problem = await intake.post("/v1/tickets", ticket("c", affected_services=services), 413)
    assert "900000" in problem["detail"]


async def test_an_item_that_the_database_rejects_fails_alone(intake: IntakeWorld) -> None:
    async with intake.writer.begin() as connection:
        await connection.execute(text("ALTER TABLE tickets ADD CHECK (external_id <> 'poison')"))
    results = await post_batch(intake, ticket("a"), ticket("poison"), ticket("b", events=[event("responded")]))
    assert statuses(results) == [201, 500, 201]
    assert "poison" not in str(results[1]["problem"])
    failed = {"source": "connectwise", "severity": "1", "result": "failed"}
    assert REGISTRY.get_sample_value("sla_tickets_ingested_total", failed)
    assert len(await intake.queued()) == 2


async def test_items_with_many_events_keep_their_order(intake: IntakeWorld) -> None:
    items = [ticket(f"t{n}", events=[event("paused")] * (n * 40)) for n in range(12)]
    results = await post_batch(intake, *items)
    assert [result["ticket"]["external_id"] for result in results] == [f"t{n}" for n in range(12)]


async def test_a_batch_has_at_most_500_tickets(intake: IntakeWorld) -> None:
    assert set(statuses(await post_batch(intake, *(ticket(f"t{n}") for n in range(500))))) == {201}
    queued = await intake.queued()
    assert len(queued) == 500
    assert all(isinstance(made, TicketOpened) for made in queued)
    await intake.post("/v1/tickets/batch", {"tickets": [ticket()] * 501}, 422)
    await intake.post("/v1/tickets/batch", {"items": []}, 422)
    assert (await intake.post("/v1/tickets/batch", {"tickets": []}, 200))["results"] == []


async def test_batches_in_opposite_order_do_not_deadlock(intake: IntakeWorld) -> None:
    items = [ticket(f"t{n}") for n in range(120)]
    answers = await asyncio.gather(
        post_batch(intake, *items), post_batch(intake, *reversed(items)), post_batch(intake, *items[::2])
    )
    assert sorted(status for results in answers for status in statuses(results)) == [200] * 180 + [201] * 120
    assert len(await intake.queued()) == 120


async def test_a_batch_with_an_idempotency_key_counts_once(intake: IntakeWorld) -> None:
    key = {"Idempotency-Key": "batch-1"}
    body = {"tickets": [ticket("a")]}
    assert statuses((await intake.post("/v1/tickets/batch", body, 200, headers=key))["results"]) == [201]
    assert statuses((await intake.post("/v1/tickets/batch", body, 200, headers=key))["results"]) == [200]
    await intake.post("/v1/tickets/batch", {"tickets": [ticket("b")]}, 422, headers=key)
    not_in_64_bits = {"tickets": [ticket("c", summary="\ud800", severity=10**40), ticket("d")]}
    once = {"Idempotency-Key": "batch-2"}
    for status in (201, 200):
        answer = await intake.clients["default"].post(
            "/v1/tickets/batch",
            content=json.dumps(not_in_64_bits).encode(),
            headers={**once, "Content-Type": "application/json"},
        )
        assert statuses(answer.json()["results"]) == [422, status]
    written_out = {"tickets": [not_in_64_bits["tickets"][0], ticket("d", channel="portal", via="")]}
    answer = await intake.clients["default"].post(
        "/v1/tickets/batch",
        content=json.dumps(written_out).encode(),
        headers={**once, "Content-Type": "application/json"},
    )
    assert statuses(answer.json()["results"]) == [422, 200]


async def test_an_item_with_a_duplicate_key_fails_alone(intake: IntakeWorld) -> None:
    twice = json.dumps(ticket("a"))[:-1] + ', "severity": 2}'
    content = '{"tickets": [' + twice + ", " + json.dumps(ticket("b")) + "]}"
    answer = await intake.clients["default"].post(
        "/v1/tickets/batch", content=content.encode(), headers={"Content-Type": "application/json"}
    )
    assert statuses(answer.json()["results"]) == [422, 201]
    (error,) = answer.json()["results"][0]["problem"]["errors"]
    assert (error["field"], error["message"]) == ("severity", "is given more than once")
