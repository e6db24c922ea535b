"""Tickets through the API into a real PostgreSQL: the response, what is stored and queued, and what counts once."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from support.intake_world import IntakeWorld, event, ticket
from tocsin.events import Assignee, FactType, Impact, TicketChanged, TicketOpened, ticket_id

JSON = {"Content-Type": "application/json"}


async def test_a_ticket_is_stored_and_its_event_is_queued(intake: IntakeWorld) -> None:
    impact = {"business_risk": "major", "workaround": "acceptable"}
    created = await intake.post("/v1/tickets", ticket(impact=impact, description="No mail since 8"), 201)
    assert created["ticket_id"] == str(ticket_id("default", "connectwise", "SR-1042"))
    assert (created["severity"], created["initial_severity"]) == (1, 1)
    assert (created["suggested_severity"], created["fit"]) == (2, False)
    assert (created["routed_to"], created["flags"], created["state"]) == ("support", [], "open")
    machine = await intake.post("/v1/tickets", ticket("A", source="probe", severity=None), 201)
    assert (machine["initial_severity"], machine["flags"]) == (2, ["default_severity"])
    assert created["description"] == "No mail since 8"
    assert created["opened_at"] == created["received_at"]
    assert created["received_at"].startswith("2026-06-08T12:0")
    queued, _ = await intake.queued()
    assert isinstance(queued, TicketOpened)
    assert (queued.fact.number, queued.fact.type, queued.fact.severity) == (1, FactType.OPENED, 1)
    assert queued.ticket.contact.email == "ada@acme.example"

    stored = await intake.get(f"/v1/tickets/{created['ticket_id']}")
    facts = stored.pop("facts")
    assert stored == created
    assert [(fact["number"], fact["type"], fact["occurred_at"]) for fact in facts] == [
        (1, "opened", created["opened_at"])
    ]


async def test_the_event_of_a_ticket_has_its_start_its_assignee_and_the_beginning_of_its_description(
    intake: IntakeWorld,
) -> None:
    body = ticket(
        description="é" * 1_999 + "👍" + "!",
        category="onboarding",
        starts_at="2026-07-01T14:00:00+02:00",
        impact={"business_risk": "major"},
        assignee={"name": "Ruth", "email": "ruth@msp.example"},
    )
    created = await intake.post("/v1/tickets", body, 201)
    assert created["description"] == body["description"]
    assert created["assignee"] == {"name": "Ruth", "email": "ruth@msp.example"}
    (queued,) = await intake.queued()
    assert isinstance(queued, TicketOpened)
    assert queued.ticket.description == "é" * 1_999 + "👍"
    assert queued.ticket.starts_at == datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert queued.ticket.impact == Impact(business_risk="major")
    assert queued.ticket.assignee == Assignee(name="Ruth", email="ruth@msp.example")
    await intake.post("/v1/tickets", {**body, "assignee": {"name": "Ruth"}}, 409)


async def test_the_same_ticket_again_gets_the_first_response_and_queues_nothing(intake: IntakeWorld) -> None:
    first = await intake.post("/v1/tickets", ticket(), 201)
    path = f"/v1/tickets/{first['ticket_id']}/events"
    await intake.post(path, event("severity_changed", severity=3), 201)
    again = await intake.post("/v1/tickets", ticket(description=None, channel="portal"), 200)
    assert again == first
    assert len(await intake.queued()) == 2
    problem = await intake.post("/v1/tickets", ticket(summary="Mail is up"), 409)
    assert problem["status"] == 409


async def test_twenty_equal_tickets_at_once_are_one(intake: IntakeWorld) -> None:
    answers = await asyncio.gather(*(intake.clients["default"].post("/v1/tickets", json=ticket()) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert len(await intake.queued()) == 1


async def test_tenants_do_not_see_each_other(intake: IntakeWorld) -> None:
    mine = await intake.post("/v1/tickets", ticket(), 201)
    theirs = await intake.post("/v1/tickets", ticket(summary="Theirs"), 201, key="other")
    assert mine["ticket_id"] != theirs["ticket_id"]
    await intake.get(f"/v1/tickets/{mine['ticket_id']}", 404, key="other")
    await intake.post(f"/v1/tickets/{mine['ticket_id']}/events", event("responded"), 404, key="other")
    listed = await intake.get("/v1/tickets", key="other")
    assert [item["ticket_id"] for item in listed["items"]] == [theirs["ticket_id"]]


@pytest.mark.rule("0.3")
async def test_an_opening_in_the_future_is_set_to_the_receipt(intake: IntakeWorld) -> None:
    future = await intake.post("/v1/tickets", ticket("A", opened_at="8999-12-31T23:59:59Z"), 201)
    assert future["opened_at"] == future["received_at"]
    past = await intake.post("/v1/tickets", ticket("B", opened_at="2026-06-01T10:00:00.5+02:00"), 201)
    assert past["opened_at"] == "2026-06-01T08:00:00.500000Z"


@pytest.mark.rule("5.16")
async def test_a_mishandled_request_of_the_it_contact_is_escalated_at_its_opening(intake: IntakeWorld) -> None:
    body = ticket(category="mishandled_request", via="escalations", sender_is_it_contact=True)
    created = await intake.post("/v1/tickets", body, 201)
    assert created["routed_to"] == "escalations"
    opened, escalated = await intake.queued()
    assert isinstance(opened, TicketOpened)
    assert isinstance(escalated, TicketChanged)
    fact = escalated.fact
    assert (fact.number, fact.type, fact.actor) == (2, FactType.ESCALATED, "policy")
    assert fact.event_id == "policy:mishandled_request"
    assert fact.occurred_at == opened.fact.occurred_at
    await intake.post("/v1/tickets", body, 200)
    assert len(await intake.queued()) == 2


@pytest.mark.rule("5.16", "6.4", "6.5")
@pytest.mark.parametrize(
    ("via", "category", "is_it_contact", "routed_to", "is_escalated"),
    [
        ("escalations", "mishandled_request", True, "escalations", True),
        ("support", "mishandled_request", True, "support", True),
        ("escalations", "mishandled_request", False, "support", False),
        ("escalations", "onboarding", True, "escalations", False),
        ("escalations", "incident", True, "support", False),
        ("support", "incident", True, "support", False),
    ],
)
async def test_only_a_complaint_that_the_it_contact_posts_starts_a_ladder(
    intake: IntakeWorld, via: str, category: str, is_it_contact: bool, routed_to: str, is_escalated: bool
) -> None:
    starts_at = "2026-07-01T12:00:00Z"
    body = ticket(via=via, category=category, sender_is_it_contact=is_it_contact, starts_at=starts_at)
    created = await intake.post("/v1/tickets", body, 201)
    assert (created["via"], created["routed_to"]) == (via, routed_to)
    assert created["flags"] == (["rerouted"] if routed_to != via else [])
    opened, *escalations = await intake.queued()
    assert isinstance(opened, TicketOpened)
    assert (opened.ticket.routed_to, list(opened.ticket.flags)) == (routed_to, created["flags"])
    facts = [each.fact.type for each in escalations if isinstance(each, TicketChanged)]
    assert facts == ([FactType.ESCALATED] if is_escalated else [])


@pytest.mark.rule("1.10")
async def test_an_unusable_address_is_rejected_wherever_it_is_posted(intake: IntakeWorld) -> None:
    unusable = "ada@acme.example\r\nBcc: eve@acme.example"
    contact = {"name": "Ada", "email": unusable}
    problem = await intake.post("/v1/tickets", ticket(contact=contact, assignee=contact), 422)
    message = "must be an e-mail address such as ada@acme.example"
    assert problem["errors"] == [
        {"field": "contact.email", "message": message},
        {"field": "assignee.email", "message": message},
    ]
    items = [ticket(contact=contact), ticket("B", events=[event("assigned", assignee=contact)]), ticket("C")]
    results = (await intake.post("/v1/tickets/batch", {"tickets": items}, 200))["results"]
    assert [result["status"] for result in results] == [422, 422, 201]
    assert results[1]["problem"]["errors"] == [{"field": "events[0].assignee.email", "message": message}]
    path = f"/v1/tickets/{results[2]['ticket']['ticket_id']}/events"
    problem = await intake.post(path, event("assigned", assignee=contact), 422)
    assert problem["errors"] == [{"field": "assignee.email", "message": message}]
    abroad = {"name": "Jörg", "email": "jörg@müller.example"}
    created = await intake.post("/v1/tickets", ticket("D", contact=abroad, assignee=abroad), 201)
    assert created["contact"] == {**abroad, "phone": None}


async def test_an_invalid_ticket_names_every_wrong_field_and_repeats_no_value(intake: IntakeWorld) -> None:
    body = b'{"source": "s", "severity": true, "summary": "se\\ud800cret", "contact": {}, "\\udc00": 1}'
    answer = await intake.clients["default"].post("/v1/tickets", content=body, headers=JSON)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    fields = {error["field"] for error in answer.json()["errors"]}
    assert fields >= {"severity", "summary", "contact.name", "contact.email", "external_id", "customer"}
    assert "cret" not in answer.text
    long = b'{"' + b"x" * 100_000 + b'": 1, ' + b",".join(b'"k%d":1' % n for n in range(50_000)) + b"}"
    answer = await intake.clients["default"].post("/v1/tickets", content=long, headers=JSON)
    assert (answer.status_code, len(answer.content) < 5000) == (422, True)
    assert await intake.queued() == []


async def test_a_body_that_is_not_a_json_object_is_rejected(intake: IntakeWorld) -> None:
    bodies = [
        (b"{", "application/json", 400),
        (b"\xef\xbb\xbf{}", "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        ('{"source": "x"}'.encode("utf-16"), "application/json", 400),
        (b'"text"', "application/json", 422),
        (b"{}", "application/vnd.api+json", 415),
        (b"source=x", "application/x-www-form-urlencoded", 415),
        (b" " * 1_000_001, "application/json", 413),
    ]
    for content, media_type, status in bodies:
        headers = {"Content-Type": media_type}
        answer = await intake.clients["default"].post("/v1/tickets", content=content, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (status, status), content[:20]


async def test_every_call_needs_a_key_with_its_scope(intake: IntakeWorld) -> None:
    await intake.post("/v1/tickets", ticket(), 401, key="nobody")
    await intake.post("/v1/tickets", ticket(), 403, key="reading")
    await intake.get("/v1/tickets", 401, key="nobody")
    await intake.get("/v1/tickets/no-id", 401, key="nobody")
    await intake.get("/v1/tickets", 200, key="reading")
    await intake.get(f"/v1/tickets/{uuid4()}", 404)
    await intake.get("/v1/tickets/no-id", 404)
    await intake.post("/v1/tickets/", ticket(), 404)


async def test_an_idempotency_key_stands_for_one_request_of_one_api_key(intake: IntakeWorld) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = await intake.post("/v1/tickets", ticket(), 201, headers=key)
    assert await intake.post("/v1/tickets", ticket(), 200, headers=key) == first
    problem = await intake.post("/v1/tickets", ticket("SR-2"), 422, headers=key)
    assert problem["errors"][0]["field"] == "Idempotency-Key"
    await intake.post("/v1/tickets", ticket("SR-2"), 201, headers=key, key="second")
    path = f"/v1/tickets/{first['ticket_id']}/events"
    await intake.post(path, event("responded"), 422, headers=key)


async def test_a_rejected_ticket_leaves_its_idempotency_key_free(intake: IntakeWorld) -> None:
    key = {"Idempotency-Key": "k-1"}
    await intake.post("/v1/tickets", ticket(), 201)
    await intake.post("/v1/tickets", ticket(summary="Mail is up"), 409, headers=key)
    await intake.post("/v1/tickets", ticket("SR-2"), 201, headers=key)


@pytest.mark.rule("1.12")
async def test_a_ticket_is_found_by_every_spelling_of_its_id_that_looks_the_same(intake: IntakeWorld) -> None:
    made = await intake.post("/v1/tickets", ticket("caf\u00e9 "), 201)
    again = await intake.post("/v1/tickets", ticket(" cafe\u0301"), 200)
    assert (again["ticket_id"], again["external_id"]) == (made["ticket_id"], "caf\u00e9")
    path = "/v1/tickets/by-external/connectwise"
    for external_id in ("caf%C3%A9", "cafe%CC%81", "%20caf%C3%A9%20"):
        assert (await intake.get(f"{path}/{external_id}"))["ticket_id"] == made["ticket_id"]
    refused = await intake.clients["default"].get(f"{path}/a%0DBcc:%20a@b")
    assert (refused.status_code, [error["field"] for error in refused.json()["errors"]]) == (422, ["external_id"])
    assert (await intake.clients["default"].get(f"{path}/a%0ABcc:%20a@b")).status_code == 404
    for spelling in (made["ticket_id"].upper(), f"urn:uuid:{made['ticket_id']}"):
        assert (await intake.clients["default"].get(f"/v1/tickets/{spelling}")).status_code == 404
