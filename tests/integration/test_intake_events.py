"""Events through the API: numbers, what counts once, the order of occurrence, and the one rejected event."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from intake.handlers.idempotency import expire_keys
from sqlalchemy import text
from support.intake_world import IntakeWorld, event, ticket
from tocsin.events import Assignee, Impact, TicketChanged, TicketImported


@pytest.fixture
async def events(intake: IntakeWorld) -> str:
    """The path of the events of a new severity-2 ticket that was opened at 10:00."""
    created = await intake.post("/v1/tickets", ticket(severity=2, opened_at="2026-06-08T10:00:00Z"), 201)
    return f"/v1/tickets/{created['ticket_id']}/events"


async def status(intake: IntakeWorld, events: str) -> tuple[int, str]:
    found = await intake.get(events.removesuffix("/events"))
    return found["severity"], found["state"]


async def test_an_event_is_numbered_and_queued(intake: IntakeWorld, events: str) -> None:
    body = event("responded", occurred_at="2026-06-08T10:30:00Z", event_id="ours-7", reason="called back")
    recorded = await intake.post(events, body, 201)
    received_at = recorded.pop("received_at")
    assert recorded == {
        "event_id": "ours-7",
        "number": 2,
        "ticket_id": events.split("/")[3],
        "type": "responded",
        "occurred_at": "2026-06-08T10:30:00.000000Z",
    }
    assert received_at > "2026-06-08T12:00"
    queued = (await intake.queued())[-1]
    assert isinstance(queued, TicketChanged)
    fact = queued.fact
    assert (queued.tenant, fact.number, fact.reason, fact.actor) == ("default", 2, "called back", "Bob")


async def test_an_assessment_and_assignments_are_events_like_any_other(intake: IntakeWorld, events: str) -> None:
    assessed = event("assessed", event_id="a-1", impact={"business_risk": "major"})
    assigned = event("assigned", event_id="a-2", assignee={"name": "Ruth", "email": "ruth@msp.example"})
    nobody = event("assigned", event_id="a-3", assignee=None)
    by_external_id = "/v1/tickets/by-external/connectwise/SR-1042/events"
    recorded = [await intake.post(path, body, 201) for path, body in ((events, assessed), (by_external_id, assigned))]
    await intake.post(events, nobody, 201)
    for first, path, body in zip(recorded, (events, by_external_id), (assessed, assigned), strict=True):
        assert await intake.post(path, body, 200) == first
    await intake.post(events, {**assessed, "impact": {"business_risk": "minimal"}}, 409)
    await intake.post(events, {**assigned, "assignee": {"name": "Ruth"}}, 409)
    await intake.post(events, {**assigned, "assignee": None}, 409)

    item = ticket("SR-2", severity=2, events=[assessed, assigned, nobody])
    (result,) = (await intake.post("/v1/tickets/batch", {"tickets": [item]}, 200))["results"]
    assert result["status"] == 201
    _, *changes, imported = await intake.queued()
    assert isinstance(imported, TicketImported)
    posted = [each.fact for each in changes if isinstance(each, TicketChanged)]
    for facts in (posted, imported.facts[1:]):
        assert [(fact.impact, fact.assignee) for fact in facts] == [
            (Impact(business_risk="major"), None),
            (None, Assignee(name="Ruth", email="ruth@msp.example")),
            (None, None),
        ]
    stored = (await intake.get(events.removesuffix("/events")))["facts"]
    assert stored[1]["impact"]["business_risk"] == "major"
    assert [fact["assignee"] for fact in stored[2:]] == [{"name": "Ruth", "email": "ruth@msp.example"}, None]


async def test_an_event_without_id_and_instant_gets_both_and_counts_each_time(intake: IntakeWorld, events: str) -> None:
    first = await intake.post(events, event("responded"), 201)
    second = await intake.post(events, event("responded"), 201)
    assert first["occurred_at"] == first["received_at"]
    assert (first["number"], second["number"]) == (2, 3)
    assert first["event_id"] != second["event_id"]


async def test_an_event_id_counts_once(intake: IntakeWorld, events: str) -> None:
    body = event("resolved", event_id="r-1")
    first = await intake.post(events, body, 201)
    assert await intake.post(events, {**body, "resolution_kind": "resolved", "reason": None}, 200) == first
    await intake.post(events, {**body, "reason": "other"}, 409)
    await intake.post(events, event("cancelled", event_id="opened"), 409)
    assert (await intake.post(events, event("reopened"), 201))["number"] == 3
    assert len(await intake.queued()) == 3


async def test_an_idempotency_key_makes_an_event_without_id_count_once(intake: IntakeWorld, events: str) -> None:
    key = {"Idempotency-Key": "once"}
    first = await intake.post(events, event("escalated"), 201, headers=key)
    assert await intake.post(events, event("escalated"), 200, headers=key) == first
    await intake.post(events, event("acknowledged"), 422, headers=key)
    other = await intake.post("/v1/tickets", ticket("SR-2"), 201)
    await intake.post(f"/v1/tickets/{other['ticket_id']}/events", event("escalated"), 422, headers=key)
    await intake.post(events, event("escalated"), 201, headers=key, key="second")


async def test_an_idempotency_key_expires_after_24_hours(intake: IntakeWorld, events: str) -> None:
    async def hours_pass(hours: int) -> None:
        async with intake.writer.begin() as connection:
            older = "UPDATE idempotency_keys SET created_at = created_at - make_interval(hours => :hours)"
            await connection.execute(text(older), {"hours": hours})

    key = {"Idempotency-Key": "daily"}
    await intake.post(events, event("escalated"), 201, headers=key)
    await hours_pass(23)
    await intake.post(events, event("acknowledged"), 422, headers=key)
    await hours_pass(2)
    await intake.post(events, event("acknowledged"), 201, headers=key)
    await expire_keys(intake.writer)
    await intake.post(events, event("escalated"), 422, headers=key)
    await hours_pass(25)
    await expire_keys(intake.writer)
    async with intake.writer.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM idempotency_keys"))).scalar_one() == 0


async def test_a_rejected_event_leaves_its_idempotency_key_free(intake: IntakeWorld, events: str) -> None:
    key = {"Idempotency-Key": "once"}
    await intake.post(f"/v1/tickets/{uuid4()}/events", event("responded"), 404, headers=key)
    await intake.post(events, event("responded"), 201, headers=key)


async def test_concurrent_events_are_numbered_without_a_gap(intake: IntakeWorld, events: str) -> None:
    bodies = [event("paused", event_id=f"e{number % 15}") for number in range(30)]
    answers = await asyncio.gather(*(intake.clients["default"].post(events, json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201] * 15
    assert {answer.json()["number"] for answer in answers} == set(range(2, 17))
    queued = [made.fact for made in await intake.queued() if isinstance(made, TicketChanged)]
    assert [fact.number for fact in queued] == list(range(2, 17))
    assert [fact.received_at for fact in queued] == sorted(fact.received_at for fact in queued)


async def test_a_source_and_an_external_id_may_contain_any_visible_character(intake: IntakeWorld) -> None:
    await intake.post("/v1/tickets", ticket("2026/17 ü#?", source="help/desk"), 201)
    path = "/v1/tickets/by-external/help%2Fdesk/2026%2F17%20%C3%BC%23%3F/events"
    assert (await intake.post(path, event("responded"), 201))["number"] == 2
    await intake.post("/v1/tickets/by-external/help%2Fdesk/2026/events", event("responded"), 404)
    await intake.post("/v1/tickets/by-external/%00/%00/events", event("responded"), 422)
    not_utf8 = await intake.post("/v1/tickets/by-external/a%FF/b/events", event("responded"), 422)
    assert not_utf8["errors"] == [{"field": "path", "message": "must be UTF-8"}]


async def test_a_ticket_is_read_by_its_tools_own_id(intake: IntakeWorld) -> None:
    created = await intake.post("/v1/tickets", ticket("2026/17 ü#?/events", source="help/desk"), 201)
    by_id = await intake.get(f"/v1/tickets/{created['ticket_id']}")
    by_external = "/v1/tickets/by-external"
    assert await intake.get(f"{by_external}/help%2Fdesk/2026%2F17%20%C3%BC%23%3F%2Fevents") == by_id
    for unknown in ("help%2Fdesk/2026", "help%2Fdesk/", "help/desk/2026"):
        assert (await intake.get(f"{by_external}/{unknown}", 404))["detail"] == "Ticket not found."
    for invalid in ("a%FF/b", "%00/%00"):
        await intake.get(f"{by_external}/{invalid}", 422)
    await intake.get(f"{by_external}/connectwise/SR-2", 401, key="nobody")
    await intake.post("/v1/tickets", ticket("SR-2"), 201, key="other")
    await intake.get(f"{by_external}/connectwise/SR-2", 404)
    await intake.get(f"{by_external}/connectwise/SR-2", key="other")


async def test_an_unknown_ticket_is_404_and_an_invalid_event_names_its_fields(intake: IntakeWorld, events: str) -> None:
    await intake.post(f"/v1/tickets/{uuid4()}/events", event("responded"), 404)
    await intake.post("/v1/tickets/x/events", event("responded"), 404)
    problem = await intake.post(events, {"type": "severity_changed", "occurred_at": "soon"}, 422)
    assert {error["field"] for error in problem["errors"]} == {"actor", "occurred_at", "severity"}
    assert len(await intake.queued()) == 1


@pytest.mark.rule("0.4")
async def test_severity_and_state_follow_the_order_of_occurrence(intake: IntakeWorld, events: str) -> None:
    async def at(time: str, type: str, **fields: Any) -> None:
        await intake.post(events, event(type, occurred_at=f"2026-06-08T{time}:00Z", **fields), 201)

    await at("11:00", "severity_changed", severity=4)
    await at("10:30", "severity_changed", severity=3)
    assert await status(intake, events) == (4, "open")
    await at("11:30", "resolved", resolution_kind="workaround")
    assert await status(intake, events) == (4, "closed")
    await at("11:20", "severity_changed", severity=1)
    assert await status(intake, events) == (1, "open")
    await at("11:40", "cancelled")
    await at("11:35", "reopened")
    assert await status(intake, events) == (1, "closed")
    listed = await intake.get("/v1/tickets", severity=1, state="closed")
    assert len(listed["items"]) == 1


@pytest.mark.rule("0.9")
async def test_a_workaround_on_severity_1_is_rejected_until_the_severity_is_lowered(
    intake: IntakeWorld, events: str
) -> None:
    raised = event("severity_changed", severity=1, occurred_at="2026-06-08T10:30:00Z")
    lowered = event("severity_changed", severity=2, occurred_at="2026-06-08T11:00:00Z")
    workaround = event("resolved", resolution_kind="workaround", occurred_at="2026-06-08T11:00:00Z", event_id="w")
    await intake.post(events, raised, 201)
    problem = await intake.post(events, workaround, 409)
    assert "severity" in problem["detail"]
    await intake.post(events, lowered, 201)
    first = await intake.post(events, workaround, 201)
    assert first["number"] == 4
    await intake.post(events, {**lowered, "severity": 1}, 201)
    await intake.post(events, {**workaround, "event_id": "w2"}, 409)
    assert await intake.post(events, workaround, 200) == first


@pytest.mark.rule("0.9")
async def test_every_other_impossible_event_is_stored(intake: IntakeWorld, events: str) -> None:
    kinds = ["resumed", "paused", "reopened", "acknowledged", "escalated", "responded"]
    for kind in [*kinds, "cancelled", *kinds]:
        await intake.post(events, event(kind), 201)
