"""No tenant can read or change another tenant's tickets, on any operation of any service's OpenAPI document.

An operation that is missing from the tables below fails the test: add what another tenant's key gets there.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
from sqlalchemy import delete, func, select
from support.movable_stack import MovableStack
from support.scenario import Scenario
from tocsin.runtime.database.dead_letters import DeadLetter, DeadLetterOrigin, DeadLetters
from tocsin.runtime.database.engine import engine, new_metadata
from tocsin.runtime.http.api_keys import add_key, issue
from tocsin.runtime.kafka.record_headers import pack

SECRET: Final = "quokka"  # in the ticket's summary, external id, customer and contact
OTHER_TENANT: Final = "elsewhere"
RECORDED: Final = Path(__file__).parents[1] / "recorded"


@dataclass(frozen=True)
class Reads:
    """Shows the ticket to its own tenant. Another tenant's key gets 404, or a response without the ticket.

    With a `body`, the ids in it may also be in the response.
    """

    path: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Changes:
    """Changes something of the ticket. Another tenant's key gets 404."""

    path: str
    body: Mapping[str, Any] | None = None
    is_bounce: bool = False
    """Whether the body is a bounce of one of the ticket's mails. It is kept as one about an unknown mail."""


@dataclass(frozen=True)
class Creates:
    """Creates something that belongs to the tenant of the key."""

    path: str


class Open:
    """Needs no API key: contains nothing about tickets, or is protected by a signature or a token."""


class Shared:
    """Contains nothing about tickets: the same for every tenant."""


Access = Reads | Changes | Creates | Open | Shared
EVERY_SERVICE: Final[Mapping[str, Access]] = {
    "get /livez": Open(),
    "get /readyz": Open(),
    "get /metrics": Open(),
    "get /v1/dead-letters": Reads("/v1/dead-letters"),
    "get /v1/dead-letters/{letter_id}": Reads("/v1/dead-letters/{letter_id}"),
    "post /v1/dead-letters/{letter_id}/replay": Changes("/v1/dead-letters/{letter_id}/replay"),
    "get /v1/keys": Reads("/v1/keys"),
}
EVENT: Final = {"type": "responded", "actor": "mallory"}
OPERATIONS: Final[Mapping[str, Mapping[str, Access]]] = {
    "intake": {
        "get /v1/tickets": Reads("/v1/tickets?limit=500"),
        "get /v1/tickets/{ticket_id}": Reads("/v1/tickets/{ticket_id}"),
        "get /v1/tickets/by-external/{source}/{external_id}": Reads(
            "/v1/tickets/by-external/connectwise/{external_id}"
        ),
        "post /v1/tickets": Creates("/v1/tickets"),
        "post /v1/tickets/batch": Creates("/v1/tickets/batch"),
        "post /v1/tickets/{ticket_id}/events": Changes("/v1/tickets/{ticket_id}/events", EVENT),
        "post /v1/tickets/by-external/{source}/{external_id}/events": Changes(
            "/v1/tickets/by-external/connectwise/{external_id}/events", EVENT
        ),
        "get /ack/{token}": Open(),
        "post /ack/{token}": Open(),
        "post /v1/hooks/{provider}/{tenant}": Open(),
        "post /v1/hooks/email/{tenant}": Open(),
        "get /v1/hooks/unmapped": Reads("/v1/hooks/unmapped"),
        "post /v1/hooks/unmapped/{delivery_id}/replay": Changes("/v1/hooks/unmapped/1/replay"),
        "post /v1/hooks/unmapped/{delivery_id}/dismiss": Changes("/v1/hooks/unmapped/1/dismiss"),
        "get /v1/hooks/ignored": Reads("/v1/hooks/ignored"),
    },
    "sla-timer": {
        "get /v1/tickets/{ticket_id}/clocks": Reads("/v1/tickets/{ticket_id}/clocks"),
        "get /v1/tickets/by-external/{source}/{external_id}/clocks": Reads(
            "/v1/tickets/by-external/connectwise/{external_id}/clocks"
        ),
        "get /v1/compliance": Reads(
            "/v1/compliance?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z&group_by=customer"
        ),
        "post /v1/clocks": Reads("/v1/clocks", {"ticket_ids": ["{ticket_id}"]}),
        "get /v1/outcomes": Reads(f"/v1/outcomes?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z&customer={SECRET}"),
        "get /v1/terms": Shared(),
        "post /v1/simulate": Shared(),
    },
    "escalator": {
        "get /v1/escalations": Reads("/v1/escalations?ticket_id={ticket_id}"),
        "get /v1/tickets/{ticket_id}/escalation": Reads("/v1/tickets/{ticket_id}/escalation"),
        "get /v1/tickets/by-external/{source}/{external_id}/escalation": Reads(
            "/v1/tickets/by-external/connectwise/{external_id}/escalation"
        ),
        "post /v1/ladders": Reads("/v1/ladders", {"items": [{"ticket_id": "{ticket_id}", "event_id": None}]}),
    },
    "notifier": {
        "get /v1/deliveries": Reads("/v1/deliveries?ticket_id={ticket_id}"),
        "get /v1/deliveries/{delivery_id}": Reads("/v1/deliveries/{delivery_id}"),
        "post /v1/deliveries/{delivery_id}/redeliver": Changes("/v1/deliveries/{delivery_id}/redeliver", {}),
        "get /v1/bounces": Reads("/v1/bounces"),
        "get /v1/bounces/{report_id}": Reads("/v1/bounces/1"),
        "post /v1/bounces": Changes("/v1/bounces", is_bounce=True),
        "get /v1/on-call": Shared(),
        "get /v1/on-call/calendar.ics": Shared(),
    },
}
EMPTY: Final = {
    "get /v1/hooks/unmapped",
    "get /v1/hooks/ignored",
    "get /v1/bounces",
    "get /v1/bounces/{report_id}",
}
"""Operations that have nothing to show to the ticket's own tenant in this test."""


async def test_no_operation_shows_or_changes_another_tenants_ticket(
    scenario: Scenario, movable_stack: MovableStack
) -> None:
    ticket = await scenario.open_ticket(
        summary=f"The {SECRET} is ill",
        external_id=f"{SECRET}-{uuid4()}",
        customer={"id": SECRET, "name": SECRET},
        contact={"name": SECRET, "email": f"{SECRET}@acme.example"},
    )
    await scenario.advance_stepwise_past(scenario.after(hours=26))
    deliveries = await scenario.deliveries(ticket)
    stored = await scenario.get("intake", f"/v1/tickets/{ticket.id}")
    run = movable_stack.stack.run
    ids = {
        "ticket_id": ticket.id,
        "external_id": ticket.external_id,
        "delivery_id": deliveries[0]["id"],
        "message_id": deliveries[0]["message_id"],
        "key_id": run["api_key"].split("_")[1],
    }
    other_key, entry = issue(OTHER_TENANT)
    add_key(movable_stack.stack.state.keys_file, entry)
    async with client(run["api_key"]) as own, client(other_key) as other:
        for service, own_operations in OPERATIONS.items():
            operations = {**EVERY_SERVICE, **own_operations}
            url = run["urls"][service]
            paths = (await own.get(f"{url}/openapi.json")).json()["paths"]
            documented = {f"{method} {path}" for path, item in paths.items() for method in item}
            assert documented == set(operations), f"{service}: add to the table what another tenant gets"
            async with dead_letter(run["databases"][service], ticket.id) as letter_id:
                service_ids = ids | {"letter_id": letter_id}
                for operation, access in sorted(operations.items(), key=lambda item: isinstance(item[1], Creates)):
                    await check_access(operation, access, url, service_ids, own, other)
        their_ticket = f"/v1/tickets/by-external/connectwise/{ticket.external_id}/events"
        response = await other.post(run["urls"]["intake"] + their_ticket, json=EVENT | {"type": "cancelled"})
        response.raise_for_status()
    assert await scenario.get("intake", f"/v1/tickets/{ticket.id}") == stored
    assert await scenario.deliveries(ticket) == deliveries
    await scenario.wait_until_idle()


async def check_access(
    operation: str,
    access: Access,
    url: str,
    ids: Mapping[str, str],
    own: httpx.AsyncClient,
    other: httpx.AsyncClient,
) -> None:
    match access:
        case Reads(path, body):
            url += path.format(**ids)
            asked = json.dumps(body).replace("{ticket_id}", ids["ticket_id"])
            request: dict[str, Any] = (
                {"method": "GET"} if body is None else {"method": "POST", "json": json.loads(asked)}
            )
            unknown = {name: value for name, value in ids.items() if value not in asked}
            if operation not in EMPTY:
                response = await own.request(url=url, **request)
                assert shows_ticket(response.text, ids), f"{operation}: its own tenant gets {response.text[:300]}"
            response = await other.request(url=url, **request)
            assert response.status_code in (200, 404), operation
            assert not shows_ticket(response.text, unknown), operation
        case Changes(path, body, is_bounce):
            content: dict[str, Any] = {"content": bounce_of(ids["message_id"])} if is_bounce else {"json": body}
            response = await other.post(url + path.format(**ids), **content)
            expected = 202 if is_bounce else 404
            assert response.status_code == expected, f"{operation}: {response.status_code} {response.text[:300]}"
            assert SECRET not in response.text, operation
        case Creates(path):
            request = ticket_request(ids["external_id"])
            response = await other.post(url + path, json={"tickets": [request]} if path.endswith("batch") else request)
            assert response.is_success, operation
            assert ids["ticket_id"] not in response.text, operation
        case Open() | Shared():
            pass


@asynccontextmanager
async def dead_letter(database: str, ticket_id: str) -> AsyncIterator[str]:
    """The id of a dead letter with an event of the ticket, stored for the time of the test."""
    stored = DeadLetters.define(new_metadata())
    value = json.dumps({"tenant": "default", "ticket_id": ticket_id, "summary": SECRET}).encode()
    letter = DeadLetter(DeadLetterOrigin.OUTBOX, "tests", 0, None, ticket_id.encode(), pack(()), value, "too large")
    source = engine(database, "tests", pool_size=1)
    async with source.begin() as connection:
        await stored.add(connection, [letter])
        letter_id = (await connection.execute(select(func.max(stored.table.c.id)))).scalar_one()
    try:
        yield str(letter_id)
    finally:
        async with source.begin() as connection:
            await connection.execute(delete(stored.table).where(stored.table.c.id == letter_id))
        await source.dispose()


def shows_ticket(text: str, ids: Mapping[str, str]) -> bool:
    unmistakable = (value for name, value in ids.items() if name != "letter_id")  # a small number, found in any text
    return SECRET in text or any(value in text for value in unmistakable)


def bounce_of(message_id: str) -> bytes:
    raw = (RECORDED / "bounces/postfix_failed.eml").read_bytes()
    return raw.replace(b"<5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>", message_id.encode())


def ticket_request(external_id: str) -> dict[str, Any]:
    return {
        "source": "connectwise",
        "external_id": external_id,
        "severity": 4,
        "summary": "Another tenant's ticket with the same id",
        "affected_services": ["Email"],
        "contact": {"name": "Eve", "email": "eve@elsewhere.example"},
        "customer": {"id": "elsewhere", "name": "Elsewhere"},
    }


def client(key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60)
