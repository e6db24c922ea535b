"""Concurrent requests: facts are numbered without gaps and queued in the order of their numbers."""

import asyncio
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from intake.workers import write_queue
from sqlalchemy import text
from support.intake_world import IntakeWorld, event, ticket, world
from support.polling import eventually
from support.servers import MakeDatabase
from tocsin.events import Fact, TicketChanged, TicketImported, TicketOpened

TICKETS = 4


async def until_accepted(post: Any) -> httpx.Response:
    """Post until the server is not busy and the ticket exists, as a tool does that has just posted the ticket."""

    async def accepted() -> httpx.Response | None:
        answer: httpx.Response = await post()
        return answer if answer.status_code not in (404, 503) else None

    return await eventually(accepted)


async def queued_facts(intake: IntakeWorld) -> dict[UUID, list[Fact]]:
    """The facts in the outbox by ticket, in the order of their publication."""
    found: dict[UUID, list[Fact]] = defaultdict(list)
    for queued in await intake.queued():
        if isinstance(queued, TicketImported):
            found[queued.ticket_id] += queued.facts
        else:
            assert isinstance(queued, TicketOpened | TicketChanged)
            found[queued.ticket_id].append(queued.fact)
    return found


async def test_concurrent_tickets_batches_events_and_repetitions(intake: IntakeWorld) -> None:
    client = intake.clients["default"]
    items = [ticket(f"T{n}") for n in range(TICKETS)]
    imported = [
        ticket(f"I{n}", severity=2, events=[event("responded", event_id="r"), event("paused", event_id="p")])
        for n in range(TICKETS)
    ]

    def posting(name: str, body: dict[str, Any], **headers: str) -> Any:
        path = f"/v1/tickets/by-external/connectwise/{name}/events"
        return until_accepted(lambda: client.post(path, json=body, headers=headers))

    posts: list[Any] = []
    for n in range(TICKETS):
        posts += [until_accepted(partial(client.post, "/v1/tickets", json=items[n])) for _ in range(3)]
        for name in (f"T{n}", f"I{n}"):
            posts += [posting(name, event("paused", event_id=f"e{k % 4}")) for k in range(8)]
            posts += [posting(name, event("resumed")) for _ in range(4)]
            posts += [posting(name, event("escalated"), **{"Idempotency-Key": name}) for _ in range(3)]
            posts += [posting(name, event("severity_changed", severity=k)) for k in (2, 3, 4)]
            posts.append(posting(name, event("responded", event_id="r")))
    for order in (items + imported, imported[::-1] + items[::-1], imported[::2] + items):
        posts.append(until_accepted(partial(client.post, "/v1/tickets/batch", json={"tickets": order})))
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} <= {200, 201}

    found = await queued_facts(intake)
    assert len(found) == 2 * TICKETS
    for ticket_id, facts in found.items():
        numbers = [fact.number for fact in facts]
        assert numbers == list(range(1, len(facts) + 1))
        stored = await intake.get(f"/v1/tickets/{ticket_id}")
        assert [(fact["number"], fact["event_id"]) for fact in stored["facts"]] == [
            (fact.number, fact.event_id) for fact in facts
        ]
        assert [fact.received_at for fact in facts] == sorted(fact.received_at for fact in facts)
        ids = [fact.event_id for fact in facts]
        assert len(set(ids)) == len(ids)
        by_type = {kind: sum(fact.type == kind for fact in facts) for kind in ("escalated", "resumed", "responded")}
        assert by_type == {"escalated": 1, "resumed": 4, "responded": 1}


async def test_a_rejected_event_leaves_no_gap(intake: IntakeWorld) -> None:
    opened = await intake.post("/v1/tickets", ticket(severity=1), 201)
    events = f"/v1/tickets/{opened['ticket_id']}/events"
    workaround = event("resolved", resolution_kind="workaround")
    bodies = [workaround, event("paused")] * 5
    answers = await asyncio.gather(*(intake.clients["default"].post(events, json=body) for body in bodies))
    assert [answer.status_code for answer in answers] == [409, 201] * 5
    (facts,) = (await queued_facts(intake)).values()
    assert [fact.number for fact in facts] == [1, 2, 3, 4, 5, 6]


async def test_a_failed_write_leaves_no_gap(intake: IntakeWorld) -> None:
    answer = await intake.post("/v1/tickets", ticket(severity=2), 201)
    events = f"/v1/tickets/{answer['ticket_id']}/events"
    async with intake.writer.begin() as connection:
        await connection.execute(text("ALTER TABLE facts ADD CHECK (actor <> 'poison')"))
    posts = [
        intake.clients["default"].post(events, json=event("paused", actor=actor))
        for actor in ("Ada", "poison", "Bob", "poison", "Cyd")
    ]
    statuses = [answer.status_code for answer in await asyncio.gather(*posts)]
    assert statuses == [201, 500, 201, 500, 201]
    (facts,) = (await queued_facts(intake)).values()
    assert [fact.number for fact in facts] == [1, 2, 3, 4]


async def transactions(intake: IntakeWorld, table: str) -> int:
    """The number of transactions that wrote the rows of a table."""
    async with intake.writer.connect() as connection:
        return int((await connection.execute(text(f"SELECT count(DISTINCT xmin::text) FROM {table}"))).scalar_one())


async def test_concurrent_requests_share_transactions_and_get_their_own_responses(intake: IntakeWorld) -> None:
    posts = [intake.clients["default"].post("/v1/tickets", json=ticket(f"SR-{n}")) for n in range(40)]
    posts += [intake.clients["other"].post("/v1/tickets", json=ticket(f"SR-{n}")) for n in range(20)]
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {201}
    assert [answer.json()["external_id"] for answer in answers] == [f"SR-{n}" for n in (*range(40), *range(20))]
    assert len({answer.json()["ticket_id"] for answer in answers}) == 60
    assert await transactions(intake, "tickets") < 15
    events = [
        intake.clients["default"].post(f"/v1/tickets/{answer.json()['ticket_id']}/events", json=event("responded"))
        for answer in answers
    ]
    statuses = [answer.status_code for answer in await asyncio.gather(*events)]
    assert statuses == [201] * 40 + [404] * 20  # the last ones are another tenant's
    assert await transactions(intake, "facts") < 30


async def test_a_rejected_request_of_a_group_leaves_its_idempotency_key_free(intake: IntakeWorld) -> None:
    await intake.post("/v1/tickets", ticket("SR-0"), 201)
    client = intake.clients["default"]

    async def together(*bodies: dict[str, Any]) -> list[int]:
        posts = (
            client.post("/v1/tickets", json=body, headers={"Idempotency-Key": f"k{n}"}) for n, body in enumerate(bodies)
        )
        return [answer.status_code for answer in await asyncio.gather(*posts)]

    assert await together(ticket("SR-0", severity=3), ticket("SR-1"), ticket("SR-2")) == [409, 201, 201]
    assert await together(ticket("SR-9"), ticket("SR-1"), ticket("SR-8")) == [201, 200, 422]


async def test_one_idempotency_key_for_two_concurrent_requests_belongs_to_the_first(intake: IntakeWorld) -> None:
    posts = [
        intake.clients["default"].post("/v1/tickets", json=ticket(name), headers={"Idempotency-Key": "k"})
        for name in ("SR-1", "SR-2", "SR-1")
    ]
    answers = [answer.status_code for answer in await asyncio.gather(*posts)]
    assert sorted(answers) in ([200, 201, 422], [201, 422, 422])


async def test_concurrent_events_of_one_ticket_are_checked_one_after_the_other(intake: IntakeWorld) -> None:
    opened = await intake.post("/v1/tickets", ticket("SR-1"), 201)
    path = f"/v1/tickets/{opened['ticket_id']}/events"
    bodies = [event("severity_changed", severity=2), event("resolved", resolution_kind="workaround"), event("reopened")]
    answers = await asyncio.gather(*(intake.clients["default"].post(path, json=body) for body in bodies))
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    stored = await intake.get(f"/v1/tickets/{opened['ticket_id']}")
    assert [fact["type"] for fact in stored["facts"]] == ["opened", "severity_changed", "resolved", "reopened"]
    assert stored["severity"] == 2


async def test_a_full_write_queue_rejects_at_once_and_stores_what_it_accepted(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_queue, "GROUP_SIZE", 1)
    monkeypatch.setattr(write_queue, "MAX_WAITING", 1)
    async with world(make_database("intake"), tmp_path) as intake:
        client = intake.clients["default"]
        async with intake.writer.connect() as connection:
            await connection.execute(text("LOCK TABLE tickets"))
            posts = [asyncio.create_task(client.post("/v1/tickets", json=ticket(f"SR-{n}"))) for n in range(5)]
            await eventually(lambda: sum(post.done() for post in posts) >= 3)
            refused = [post.result() for post in posts if post.done()]
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(503, "1")}
        answers = await asyncio.gather(*posts)
        taken = {answer.json()["external_id"] for answer in answers if answer.status_code == 201}
        assert len(taken) == 5 - len(refused) > 0
        assert {item["external_id"] for item in (await intake.get("/v1/tickets"))["items"]} == taken
