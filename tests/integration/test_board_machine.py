"""The board's calls for machines, on rows that the APIs of sla-timer and the escalator have filled."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import icalendar
import orjson
import pytest
from board.domain.board_filter import BoardFilter
from board.store.tables import TICKETS
from board.store.tickets import load_open, load_version
from sla_timer.api.ticket_clocks import current_clocks_json
from structlog.testing import capture_logs
from support.board_rows import BoardRows, board_row, board_rows
from support.evaluated_board_tickets import evaluated
from support.fake_timer import moment, numbered_fact, shipped_history
from support.loop_time import longest_turn
from support.polling import eventually
from support.servers import MakeDatabase
from support.stories import at
from tocsin.events import DeliveryEvent, Recipient
from tocsin.runtime.database import bulk
from tocsin.runtime.http.server import create_server, listen

NOW = moment("06-09 14:30")
DIRECTORY = """
people:
  maya: { name: Maya Lindqvist, email: maya@example.com }
  ruth: { name: Ruth Adeyemi, email: ruth@example.com }
  noor: { name: Noor Haddad, email: noor@example.com }
roles:
  service_desk_team_lead:
    - { person: maya }
    - { person: noor, customer: zeta }
  it_operations_director: [{ person: ruth }]
  account_manager: [{ person: noor, customer: acme }]
"""
ZETA = {"id": "zeta", "name": "Zeta"}
URLS = {"tests": "https://psa.example.com/{external_id}"}


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[BoardRows]:
    urls: Any = orjson.dumps(URLS).decode()
    settings = {"public_url": "https://sla.example.com", "ticket_urls": urls}
    async with board_rows(make_database, tmp_path, NOW, DIRECTORY, **settings) as made:
        yield made


def opened(when: str, severity: int = 1) -> Any:
    return numbered_fact(1, "opened", when, severity=severity)


def listed(page: dict[str, Any]) -> list[tuple[str, str, float]]:
    return [(item["external_id"], item["clock"], item["left_seconds"]) for item in page["items"]]


async def add_tickets(world: BoardRows) -> None:
    """SR-1 has 30 minutes left, SR-2 ten; SR-3 has a business day, and its response is due tomorrow morning."""
    assigned = numbered_fact(2, "assigned", "06-09 14:10", assignee={"name": "Dana"})
    await world.add("SR-1", [opened("06-09 14:00"), assigned])
    await world.add("SR-2", [opened("06-09 13:40")], customer=ZETA)
    await world.add("SR-3", [opened("06-09 14:00", 4)], channel="email")


async def test_deadlines_are_listed_by_the_time_left_as_their_clocks_count(world: BoardRows) -> None:
    await add_tickets(world)
    assert listed(await world.get("/v1/at-risk")) == [("SR-2", "response", 600.0), ("SR-1", "response", 1800.0)]
    assert listed(await world.get("/v1/at-risk", within="15m")) == [("SR-2", "response", 600.0)]
    day = listed(await world.get("/v1/at-risk", within="2d"))
    assert ("SR-3", "response", 8.5 * 3600) in day
    assert day == sorted(day, key=lambda item: item[2])
    assert listed(await world.get("/v1/at-risk", customer="zeta")) == [("SR-2", "response", 600.0)]
    assert {name for name, _, _ in listed(await world.get("/v1/at-risk", within="2d", severity=4))} == {"SR-3"}
    assert listed(await world.get("/v1/at-risk", tenant="other")) == []


async def test_an_item_says_what_is_due_and_who_would_be_notified(world: BoardRows) -> None:
    await add_tickets(world)
    page = await world.get("/v1/at-risk", within="4h")
    assert (page["as_of"], page["within_seconds"], page["next_cursor"]) == (at("06-09 14:30"), 14400.0, None)
    zeta, item = page["items"]
    lead = {"tier": None, "role": "service_desk_team_lead", "title": "Service Desk Team Lead"}
    assert item == {
        "ticket_id": item["ticket_id"],
        "source": "tests",
        "external_id": "SR-1",
        "customer": {"id": "acme", "name": "Acme"},
        "severity": 1,
        "summary": "Mail is down",
        "assignee": "Dana",
        "clock": "response",
        "cycle": 1,
        "provisional": False,
        "state": "running",
        "target": "1 hour",
        "due_at": at("06-09 15:00"),
        "left_seconds": 1800.0,
        "elapsed_left_seconds": 1800.0,
        "would_notify": [lead | {"name": "Maya Lindqvist"}],
    }
    assert (zeta["state"], zeta["would_notify"]) == ("warned", [lead | {"name": "Noor Haddad"}])
    day = (await world.get("/v1/at-risk", within="31d", severity=4))["items"]
    response = next(one for one in day if one["clock"] == "response")
    assert (response["left_seconds"], response["elapsed_left_seconds"]) == (8.5 * 3600, 23.5 * 3600)
    resolution = next(one for one in day if one["clock"] == "resolution")
    assert resolution["would_notify"] == [lead | {"tier": 1, "name": "Maya Lindqvist"}]
    assert resolution["provisional"]


async def test_pages_continue_as_of_the_same_instant(world: BoardRows) -> None:
    await add_tickets(world)
    whole = (await world.get("/v1/at-risk", within="31d"))["items"]
    assert len(whole) > 5
    page = await world.get("/v1/at-risk", within="31d", limit=2)
    pages = [page]
    while page["next_cursor"] is not None:
        page = await world.get("/v1/at-risk", within="31d", limit=2, cursor=page["next_cursor"])
        pages.append(page)
    assert [item for each in pages for item in each["items"]] == whole
    assert {len(each["items"]) for each in pages[:-1]} == {2}
    as_of = str(int((NOW - timedelta(minutes=5)).timestamp() * 1_000_000))
    earlier = await world.get("/v1/at-risk", within="31d", cursor=f"{as_of}.0.{UUID(int=0)}.answer")
    assert earlier["as_of"] == at("06-09 14:25")
    assert listed(earlier)[0] == ("SR-2", "response", 900.0)


async def test_an_invalid_parameter_is_a_422_that_names_it(world: BoardRows) -> None:
    wrong: dict[str, tuple[Any, ...]] = {
        "within": ("4", "0h", "32d", "PT4H", ""),
        "limit": (0,),
        "severity": (5,),
        "cursor": ("2",),
        "customer": ("a\0",),
        "custmer": ("acme",),
    }
    for name, values in wrong.items():
        for value in values:
            problem = await world.get("/v1/at-risk", 422, **{name: value})
            assert [error["field"] for error in problem["errors"]] == [name], value


async def calendar(world: BoardRows, *, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
    return await world.client.get("/v1/deadlines.ics", params=query or None, headers=headers)


async def test_the_calendar_has_the_deadlines_of_the_next_day(world: BoardRows) -> None:
    await add_tickets(world)
    response = await calendar(world, key=world.keys["default"])
    assert response.status_code == httpx.codes.OK
    assert response.headers["content-type"] == "text/calendar; charset=utf-8"
    assert response.headers["cache-control"] == "private, max-age=60"
    assert response.headers["referrer-policy"] == "no-referrer"
    parsed: Any = icalendar.Calendar.from_ical(response.content)
    events = [(event["DTSTART"].dt, event["SUMMARY"], event["URL"]) for event in parsed.walk("VEVENT")]
    page = await world.get("/v1/at-risk", within="31d")
    within_a_day = sorted(
        (item for item in page["items"] if item["elapsed_left_seconds"] <= 86400),
        key=lambda item: (item["due_at"], item["ticket_id"], item["clock"]),
    )
    assert events == [
        (
            moment(item["due_at"][5:16].replace("T", " ")),
            f"Severity {item['severity']} {item['clock']} due: Mail is down ({item['customer']['name']})",
            f"https://sla.example.com/tickets/{item['ticket_id']}",
        )
        for item in within_a_day
    ]
    assert {summary.split()[2] for _, summary, _ in events} == {"response", "answer"}
    short = await calendar(world, key=world.keys["default"], within="20m", customer="zeta")
    assert short.text.count("BEGIN:VEVENT") == 1


async def test_an_unchanged_calendar_is_not_sent_again(world: BoardRows) -> None:
    await add_tickets(world)
    key = {"Authorization": f"Bearer {world.keys['default']}"}
    etag = (await calendar(world, headers=key)).headers["etag"]
    for seen in (etag, f'W/{etag}, "other"', "*"):
        again = await calendar(world, headers=key | {"If-None-Match": seen})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert (await calendar(world, headers=key | {"If-None-Match": '"other"'})).status_code == httpx.codes.OK
    await world.add("SR-1", [opened("06-09 14:00"), numbered_fact(2, "responded", "06-09 14:20")])

    async def is_sent() -> bool:
        changed = await calendar(world, headers=key | {"If-None-Match": etag})
        return changed.status_code == httpx.codes.OK and changed.headers["etag"] != etag

    await eventually(is_sent)


async def test_a_key_in_the_address_may_only_read(world: BoardRows) -> None:
    assert (await calendar(world, key=world.keys["default"])).status_code == httpx.codes.OK
    writer = await calendar(world, key=world.keys["writer"])
    assert writer.status_code == httpx.codes.FORBIDDEN
    assert "tickets:read alone" in writer.json()["detail"]
    in_header = {"Authorization": f"Bearer {world.keys['writer']}"}
    assert (await calendar(world, headers=in_header)).status_code == httpx.codes.OK
    for wrong in (None, "wrong", ""):
        refused = await calendar(world) if wrong is None else await calendar(world, key=wrong)
        assert (refused.status_code, refused.headers["www-authenticate"][:6]) == (401, "Bearer")
    problem = await calendar(world, key=world.keys["default"], custmer="acme")
    assert [error["field"] for error in problem.json()["errors"]] == ["custmer"]
    elsewhere = await world.client.get("/v1/at-risk", params={"key": world.keys["default"]})
    assert elsewhere.status_code == httpx.codes.UNAUTHORIZED


async def test_a_key_in_the_address_is_never_logged(world: BoardRows, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    listening = listen("127.0.0.1", 0)
    server = create_server(world.board.app)
    serving = asyncio.create_task(server.serve([listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/deadlines.ics"
    secret = world.keys["default"].rpartition("_")[2]
    with capture_logs() as logs:
        async with httpx.AsyncClient() as client:
            caplog.set_level(logging.WARNING, logger="httpx")
            caplog.set_level(logging.WARNING, logger="httpcore")
            statuses = [
                (await client.get(url, params={"key": world.keys["default"]} | query)).status_code
                for query in ({}, {"within": "x"}, {"custmer": "acme"})
            ]
            statuses.append((await client.get(url, params={"key": f"{world.keys['default']}x"})).status_code)
            await world.board.runtime.reader.dispose()
            world.board.app.state.keys = None  # the next request fails with an error that nobody expected
            statuses.append((await client.get(url, params={"key": world.keys["default"]})).status_code)
    server.should_exit = True
    await serving
    assert statuses == [200, 422, 422, 401, 500]
    assert any(entry["event"] == "request_failed" for entry in logs)
    assert secret not in repr(logs)
    assert secret not in caplog.text


async def test_a_ticket_by_the_id_in_its_tool_has_dues_ladder_deliveries_and_links(world: BoardRows) -> None:
    responded = numbered_fact(2, "responded", "06-08 12:20")
    acknowledged = numbered_fact(3, "acknowledged", "06-09 13:50", actor="maya")
    ticket_id = await world.add("SR/10 42", [opened("06-08 12:00"), responded, acknowledged])
    path = "/v1/tickets/by-external/tests/SR%2F10%2042"
    assert [step["names"] for step in (await world.get(path))["ladder"]["steps"]] == [[], []]
    notification = await notification_id(world, ticket_id)
    await world.add_deliveries(
        delivery(ticket_id, notification, "Maya Lindqvist", "sent"),
        delivery(ticket_id, notification, "Maya Lindqvist", "bounced"),
        delivery(ticket_id, notification, "Ruth Adeyemi", "cancelled"),
        delivery(ticket_id, uuid4(), "Dana", "sent"),
    )
    found = await world.get(path)
    assert found == {
        "ticket_id": str(ticket_id),
        "source": "tests",
        "external_id": "SR/10 42",
        "customer": {"id": "acme", "name": "Acme"},
        "severity": 1,
        "summary": "Mail is down",
        "assignee": None,
        "as_of": at("06-09 14:30"),
        "state": "open",
        "opened_at": at("06-08 12:00"),
        "dues": [
            due("response", "1 hour", at("06-08 13:00"), "met", None, None),
            due("resolution", "24 hours", at("06-09 12:20"), "breached", 0.0, -7800.0),
        ],
        "tier": 3,
        "ladder": {
            "cycle": 1,
            "run": 1,
            "state": "held",
            "steps": [
                step(1, 1, "service_desk_team_lead", "Service Desk Team Lead", at("06-09 12:20"), "Maya Lindqvist"),
                step(2, 3, "it_operations_director", "IT Operations Director", at("06-09 13:20")),
            ],
            "next": {
                "at": at("06-09 14:50"),
                "tier": 4,
                "role": "account_manager",
                "title": "Account Manager",
                "name": "Noor Haddad",
            },
            "acknowledgements": [{"at": at("06-09 13:50"), "by": "maya", "held_until": at("06-09 14:50")}],
            "exhausted_at": None,
            "ended_at": None,
        },
        "deliveries": {"total": 4, "by_state": {"sent": 2, "bounced": 1, "cancelled": 1}},
        "links": {
            "url": "https://psa.example.com/SR%2F10%2042",
            "board_url": f"https://sla.example.com/tickets/{ticket_id}",
        },
    }


def step(number: int, tier: int, role: str, title: str, when: str, *names: str) -> dict[str, object]:
    return {
        "step": number, "tier": tier, "role": role, "title": title, "at": when, "reason": "resolution_breached",
        "voided": False, "names": list(names),
    }  # fmt: skip


def due(
    clock: str, target: str, due_at: str, outcome: str, left: float | None, elapsed: float | None
) -> dict[str, object]:
    return {
        "clock": clock, "cycle": 1, "provisional": False, "target": target, "due_at": due_at, "outcome": outcome,
        "left_seconds": left, "elapsed_left_seconds": elapsed,
    }  # fmt: skip


async def notification_id(world: BoardRows, ticket_id: UUID) -> UUID:
    headers = {"Authorization": f"Bearer {world.keys['default']}"}
    response = await world.escalator_client.get(f"/v1/tickets/{ticket_id}/escalation", headers=headers)
    return UUID(response.json()["told"][0]["notification_id"])


def delivery(ticket_id: UUID, notification: UUID, name: str, state: Any) -> DeliveryEvent:
    return DeliveryEvent(
        event_id=uuid4(),
        delivery_id=uuid4(),
        notification_id=notification,
        tenant="default",
        ticket_id=ticket_id,
        kind="escalation",
        cycle=1,
        recipient=Recipient(role="service_desk_team_lead", name=name),
        state=state,
        attempts=1,
        scheduled_at=NOW,
        at=NOW,
    )


async def test_the_dues_are_those_of_the_last_cycle_and_a_pause_makes_one_unknown(world: BoardRows) -> None:
    facts = [
        opened("06-09 12:00"),
        numbered_fact(2, "responded", "06-09 12:10"),
        numbered_fact(3, "resolved", "06-09 12:30"),
        numbered_fact(4, "reopened", "06-09 13:00"),
        numbered_fact(5, "paused", "06-09 13:30"),
    ]
    await world.add("SR-1", facts, state="paused")
    found = await world.get("/v1/tickets/by-external/tests/SR-1")
    assert (found["state"], found["tier"], found["ladder"]) == ("paused", None, None)
    response, resolution = found["dues"]
    assert (response["cycle"], response["outcome"]) == (1, "met")
    left = 24 * 3600 - 20 * 60 - 30 * 60
    assert (resolution["cycle"], resolution["outcome"], resolution["due_at"]) == (2, "paused", None)
    assert (resolution["left_seconds"], resolution["elapsed_left_seconds"]) == (left, None)
    assert listed(await world.get("/v1/at-risk", within="31d")) == []


async def test_an_unknown_ticket_and_one_of_another_tenant_are_not_found(world: BoardRows) -> None:
    await world.add("SR-1", [opened("06-09 14:00")])
    await world.get("/v1/tickets/by-external/tests/SR-2", 404)
    await world.get("/v1/tickets/by-external/jira/SR-1", 404)
    await world.get("/v1/tickets/by-external/tests/SR-1", 404, tenant="other")


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage collection: the objects of all tests make it longer than what is measured."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
async def test_other_requests_are_served_while_many_tickets_are_loaded(world: BoardRows) -> None:
    facts = [opened("06-09 14:00")]
    found = [evaluated(facts, NOW, shipped_history(), name=f"SR-{number}") for number in range(500)]
    rows = [board_row(each.record.ticket, facts, current_clocks_json(each), None) for each in found]
    async with world.board.runtime.writer.begin() as connection:
        await bulk.insert(connection, TICKETS, rows)
    async with world.board.runtime.reader.connect() as connection:
        await load_version(connection)  # connected: what follows is the load alone
        loaded, longest, total = await longest_turn(load_open(connection, BoardFilter("default")))
    assert len(loaded) == len(rows)
    assert longest < total / 2
    page = await world.get("/v1/at-risk", limit=500)
    assert len(page["items"]) == len(rows)
