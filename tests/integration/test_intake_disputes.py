"""A disputed severity: in responses, as a filter and as a gauge, until a representative sets or confirms one."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from intake.workers.ticket_gauges import TicketGauges
from support.intake_world import IntakeWorld, event, ticket, world
from support.metrics import counter_value
from support.servers import MakeDatabase
from tocsin.events import TicketImported, TicketOpened

MAJOR = {"business_risk": "major"}  # suggests severity 2
MINIMAL = {"business_risk": "minimal"}  # suggests severity 4


@pytest.fixture
async def intake(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[IntakeWorld]:
    async with world(make_database("intake"), tmp_path) as made:
        yield made


async def disputed(intake: IntakeWorld, **query: Any) -> list[str]:
    """The external ids that the filter finds. Every ticket's response agrees with the list."""
    page = await intake.get("/v1/tickets", flag="severity_disputed", **query)
    for item in (await intake.get("/v1/tickets"))["items"]:
        read = await intake.get(f"/v1/tickets/{item['ticket_id']}")
        read.pop("facts")
        assert read == item
        assert ("severity_disputed" in item["flags"]) == (item in page["items"] or bool(query))
    return [item["external_id"] for item in page["items"]]


async def gauge(intake: IntakeWorld) -> float:
    await TicketGauges(intake.writer).measure()
    return counter_value("sla_severity_disputed")


@pytest.mark.rule("1.6")
async def test_a_ticket_is_disputed_until_a_severity_is_set_or_confirmed(intake: IntakeWorld) -> None:
    created = await intake.post("/v1/tickets", ticket(severity=4, impact=MAJOR), 201)
    await intake.post("/v1/tickets", ticket("SR-2", severity=2, impact=MAJOR), 201)
    assert created["flags"] == ["severity_disputed"]
    assert (await disputed(intake), await gauge(intake)) == (["SR-1042"], 1)

    events = f"/v1/tickets/{created['ticket_id']}/events"
    await intake.post(events, event("responded"), 201)
    assert (await disputed(intake), await gauge(intake)) == (["SR-1042"], 1)
    await intake.post(events, event("severity_changed", severity=4), 201)
    assert (await disputed(intake), await gauge(intake)) == ([], 0)
    assert await intake.post("/v1/tickets", ticket(severity=4, impact=MAJOR), 200) == created


@pytest.mark.rule("1.6", "1.7")
async def test_assessments_out_of_order_lead_to_the_same_response(intake: IntakeWorld) -> None:
    created = await intake.post("/v1/tickets", ticket(severity=3, opened_at="2026-06-08T10:00:00Z"), 201)
    path = f"/v1/tickets/{created['ticket_id']}"

    async def assess(time: str, impact: dict[str, str]) -> tuple[Any, ...]:
        body = event("assessed", impact=impact, occurred_at=f"2026-06-08T{time}:00Z")
        await intake.post(f"{path}/events", body, 201)
        found = await intake.get(path)
        assert found["impact"]["business_risk"] is not None
        return found["impact"]["business_risk"], found["suggested_severity"], found["fit"], found["flags"]

    assert (created["suggested_severity"], created["fit"], created["flags"]) == (None, None, [])
    assert await assess("11:00", MAJOR) == ("major", 2, True, ["severity_disputed"])
    assert await assess("10:30", MINIMAL) == ("major", 2, True, ["severity_disputed"])
    await intake.post(f"{path}/events", event("resolved"), 201)
    assert (await disputed(intake), await disputed(intake, state="open"), await gauge(intake)) == (["SR-1042"], [], 0)
    assert await assess("11:30", MINIMAL) == ("minimal", 4, True, [])
    assert await disputed(intake) == []


@pytest.mark.rule("1.6")
async def test_events_of_a_batch_and_history_count(intake: IntakeWorld) -> None:
    assessed, confirmed = event("assessed", impact=MAJOR), event("severity_changed", severity=3)
    items = [
        ticket("A", severity=3, impact=MAJOR),
        ticket("B", severity=3, events=[assessed]),
        ticket("C", severity=3, events=[assessed, confirmed]),
        ticket("D", severity=3, impact=MAJOR, history=True, opened_at="2026-01-01T12:00:00Z"),
        ticket("E", severity=3, impact=MAJOR, events=[event("resolved")]),
    ]
    results = (await intake.post("/v1/tickets/batch", {"tickets": items}, 200))["results"]
    flags = [result["ticket"]["flags"] for result in results]
    assert flags == [["severity_disputed"]] * 2 + [[]] + [["severity_disputed"]] * 2
    assert sorted(await disputed(intake)) == ["A", "B", "D", "E"]
    assert await gauge(intake) == 3
    for queued in await intake.queued():
        assert isinstance(queued, TicketOpened | TicketImported)
        assert queued.ticket.flags == ()  # the flag changes, and events do not


@pytest.mark.rule("0.10")
async def test_the_response_has_the_latest_assignee(intake: IntakeWorld) -> None:
    ruth = {"name": "Ruth", "email": "ruth@msp.example"}
    created = await intake.post("/v1/tickets", ticket(assignee=ruth), 201)
    path = f"/v1/tickets/{created['ticket_id']}"
    changes: list[dict[str, str] | None] = [{"name": "Bob"}, None]
    for assignee in changes:
        await intake.post(f"{path}/events", event("assigned", assignee=assignee), 201)
        expected = assignee and assignee | {"email": None}
        assert (await intake.get(path))["assignee"] == expected
        assert (await intake.get("/v1/tickets"))["items"][0]["assignee"] == expected


@pytest.mark.rule("6.12")
async def test_the_list_is_filtered_by_any_flag(intake: IntakeWorld) -> None:
    await intake.post("/v1/tickets", ticket("A", source="probe", severity=None), 201)
    await intake.post("/v1/tickets", ticket("B", category="onboarding"), 201)
    await intake.post("/v1/tickets", ticket("C", category="security", via="escalations"), 201)
    await intake.post("/v1/tickets", ticket("D"), 201)
    await intake.post("/v1/tickets", ticket("E", category="security"), 201, key="other")
    for flag, found in {
        "default_severity": ["A"],
        "start_missing": ["B"],
        "security": ["C"],
        "rerouted": ["C"],
        "short_notice": [],
        "contact_unusable": [],
        "default_contact": [],
        "severity_disputed": [],
    }.items():
        page = await intake.get("/v1/tickets", flag=flag)
        assert [item["external_id"] for item in page["items"]] == found
    problem = await intake.get("/v1/tickets", 422, flag="severity_disputd")
    assert [error["field"] for error in problem["errors"]] == ["flag"]
