"""What the board says to machines is what the services behind it say, from intake to the mails."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import icalendar
import pytest
from support.board_world import TENANTS, BoardWorld, board_world
from support.fake_timer import moment
from support.servers import MakeDatabase

START = moment("06-08 13:30")
HOUR = timedelta(hours=1)
KINDS = ("response_missed", "escalation")


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[BoardWorld]:
    async with board_world(make_database, tmp_path, START) as made:
        yield made


async def get(world: BoardWorld, path: str) -> httpx.Response:
    """The board's response to the key with which the other services are called."""
    headers = world.clients["sla-timer", TENANTS[0]].headers
    transport = httpx.ASGITransport(world.board.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://board", headers=headers) as client:
        response = await client.get(path)
    assert response.status_code == httpx.codes.OK, response.text
    return response


async def test_deadlines_and_escalation_are_those_of_their_owners(world: BoardWorld) -> None:
    await world.open_ticket("SR-1")
    await world.open_ticket("SR-2", severity=4, channel="email")
    await world.record("SR-2", "assigned", assignee={"name": "Dana"})
    world.set_clock(START + HOUR / 2)
    await world.settle()
    listed = (await get(world, "/v1/at-risk?within=31d")).json()["items"]
    assert [item["left_seconds"] for item in listed] == sorted(item["left_seconds"] for item in listed)
    ids = sorted({item["ticket_id"] for item in listed})
    clocks = {
        (ticket["ticket_id"], clock["clock"]): clock
        for ticket in await world.clocks(TENANTS[0], ids)
        for clock in ticket["clocks"]
    }
    assert {(item["ticket_id"], item["clock"]) for item in listed} == clocks.keys()
    for item in listed:
        clock = clocks[item["ticket_id"], item["clock"]]
        assert (item["due_at"], item["left_seconds"]) == (clock["due_at"], clock["remaining_seconds"])
    calendar: Any = icalendar.Calendar.from_ical((await get(world, "/v1/deadlines.ics?within=31d")).content)
    assert len(calendar.walk("VEVENT")) == len(listed)


async def test_the_one_who_would_be_notified_is_the_one_who_is(world: BoardWorld) -> None:
    await world.open_ticket("SR-1")
    await world.settle()
    named: dict[str, list[tuple[str, str]]] = {
        item["clock"]: [(one["role"], one["name"]) for one in item["would_notify"]]
        for item in (await get(world, "/v1/at-risk?within=2d")).json()["items"]
    }
    for hours in (2, 25.5):
        world.set_clock(START + hours * HOUR)
        await world.advance_timer()
        await world.publish()
        await world.settle()
    found = (await get(world, "/v1/tickets/by-external/tests/SR-1")).json()
    deliveries = (await world.get("notifier", TENANTS[0], "/v1/deliveries"))["items"]
    mailed = {kind: [(mail["role"], mail["person"]) for mail in deliveries if mail["kind"] == kind] for kind in KINDS}
    people = {person.name: name for name, person in world.directory.current().people.items()}  # type: ignore[union-attr]
    for clock, kind in (("response", "response_missed"), ("resolution", "escalation")):
        assert [(role, people[name]) for role, name in named[clock]] == mailed[kind]
    escalation = await world.get("escalator", TENANTS[0], f"/v1/tickets/{found['ticket_id']}/escalation")
    assert [(step["tier"], step["at"]) for step in found["ladder"]["steps"]] == [
        (step["tier"], step["at"]) for step in escalation["told"]
    ]
    assert [[people[name] for name in step["names"]] for step in found["ladder"]["steps"]] == [
        [person] for _, person in mailed["escalation"]
    ]
    assert found["deliveries"] == {"total": len(deliveries), "by_state": {"sent": len(deliveries)}}
    assert (found["tier"], found["state"]) == (escalation["tier"], "open")
