"""One tenant neither sees nor touches another's tickets: tried on every call that any service describes.

A call that is not in the table below fails the test: say there what another tenant's key gets of it.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
from sqlalchemy import delete, func, select
from support.movable_stack import Clockwork
from support.story_world import World
from tocsin.runtime.database.dead_letters import DeadLetter, DeadLetterOrigin, DeadLetters
from tocsin.runtime.database.engine import engine, new_metadata
from tocsin.runtime.http.api_keys import add_key, issue
from tocsin.runtime.kafka.record_headers import pack

SECRET: Final = "quokka"  # in the ticket's summary, external id, customer and contact
OTHERS: Final = "elsewhere"
RECORDED: Final = Path(__file__).parents[1] / "recorded"


@dataclass(frozen=True)
class Sees:
    """A reading call: its own tenant finds the ticket by it, another's is told 404, or finds nothing of it."""

    path: str


@dataclass(frozen=True)
class Touches:
    """A writing call that names something of the ticket: another tenant's key gets 404."""

    path: str
    body: Mapping[str, Any] | None = None
    report: bool = False
    """Whether its body is a mail server's report about one of the ticket's mails."""


@dataclass(frozen=True)
class Makes:
    """A writing call that makes something: with another tenant's key it becomes that tenant's own."""

    path: str


class Open:
    """Needs no key: says nothing of tickets, or is protected by a proof of its own (a signature, a token)."""


class Shared:
    """Says nothing of tickets: the same for every tenant."""


Kind = Sees | Touches | Makes | Open | Shared
EVERYWHERE: Final[Mapping[str, Kind]] = {
    "get /livez": Open(),
    "get /readyz": Open(),
    "get /metrics": Open(),
    "get /v1/dead-letters": Sees("/v1/dead-letters"),
    "post /v1/dead-letters/{letter_id}/replay": Touches("/v1/dead-letters/{letter_id}/replay"),
    "get /v1/keys": Sees("/v1/keys"),
}
EVENT: Final = {"type": "responded", "actor": "mallory"}
CALLS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "intake": {
        "get /v1/tickets": Sees("/v1/tickets?limit=500"),
        "get /v1/tickets/{ticket_id}": Sees("/v1/tickets/{ticket_id}"),
        "post /v1/tickets": Makes("/v1/tickets"),
        "post /v1/tickets/batch": Makes("/v1/tickets/batch"),
        "post /v1/tickets/{ticket_id}/events": Touches("/v1/tickets/{ticket_id}/events", EVENT),
        "post /v1/tickets/by-external/{source}/{external_id}/events": Touches(
            "/v1/tickets/by-external/connectwise/{external_id}/events", EVENT
        ),
        "get /ack/{token}": Open(),
        "post /ack/{token}": Open(),
        "post /v1/hooks/{provider}/{tenant}": Open(),
        "post /v1/hooks/email/{tenant}": Open(),
        "get /v1/hooks/unmapped": Sees("/v1/hooks/unmapped"),
        "post /v1/hooks/unmapped/{delivery_id}/replay": Touches("/v1/hooks/unmapped/1/replay"),
    },
    "sla-timer": {
        "get /v1/tickets/{ticket_id}/clocks": Sees("/v1/tickets/{ticket_id}/clocks"),
        "get /v1/compliance": Sees(
            "/v1/compliance?from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z&group_by=customer"
        ),
        "post /v1/simulate": Shared(),
    },
    "escalator": {
        "get /v1/escalations": Sees("/v1/escalations?ticket_id={ticket_id}"),
        "get /v1/tickets/{ticket_id}/escalation": Sees("/v1/tickets/{ticket_id}/escalation"),
    },
    "notifier": {
        "get /v1/deliveries": Sees("/v1/deliveries?ticket_id={ticket_id}"),
        "get /v1/deliveries/{delivery_id}": Sees("/v1/deliveries/{delivery_id}"),
        "post /v1/deliveries/{delivery_id}/redeliver": Touches("/v1/deliveries/{delivery_id}/redeliver", {}),
        "post /v1/bounces": Touches("/v1/bounces", report=True),
        "get /v1/on-call": Shared(),
        "get /v1/on-call/calendar.ics": Shared(),
    },
}
NOTHING_YET: Final = {"get /v1/hooks/unmapped"}
"""Calls in which this story has nothing to be found by its own tenant."""


async def test_no_call_shows_or_changes_what_is_another_tenants(world: World, clockwork: Clockwork) -> None:
    ticket = await world.opens(
        summary=f"The {SECRET} is ill",
        external_id=f"{SECRET}-{uuid4()}",
        customer={"id": SECRET, "name": SECRET},
        contact={"name": SECRET, "email": f"{SECRET}@acme.example"},
    )
    await world.climbs_to(world.after(hours=26))
    mails = await world.deliveries(ticket)
    delivery = mails[0]
    facts = await world.asks("intake", f"/v1/tickets/{ticket.id}")
    names = {"ticket_id": ticket.id, "external_id": ticket.external_id, "delivery_id": delivery["id"]}
    names["message_id"] = delivery["message_id"]
    run = clockwork.stack.run
    names["key_id"] = run["api_key"].split("_")[1]
    theirs, entry = issue(OTHERS)
    add_key(clockwork.stack.state.keys_file, entry)
    async with client(run["api_key"]) as own, client(theirs) as other, AsyncExitStack() as letters:
        for service, url in ((service, run["urls"][service]) for service in CALLS):
            names["letter_id"] = await letters.enter_async_context(dead_letter(run["databases"][service], ticket.id))
            described = (await own.get(f"{url}/openapi.json")).json()["paths"]
            operations = {f"{method} {path}" for path, item in described.items() for method in item}
            table = {**EVERYWHERE, **CALLS[service]}
            assert operations == set(table), f"{service}: say in the table what another tenant gets"
            for name, kind in sorted(table.items(), key=lambda entry: isinstance(entry[1], Makes)):
                await tried(name, kind, url, names, own, other)
        cancelled = f"/v1/tickets/by-external/connectwise/{ticket.external_id}/events"
        (await other.post(run["urls"]["intake"] + cancelled, json=EVENT | {"type": "cancelled"})).raise_for_status()
    assert await world.asks("intake", f"/v1/tickets/{ticket.id}") == facts
    assert await world.deliveries(ticket) == mails
    await world.settles()


async def tried(
    name: str,
    kind: Kind,
    url: str,
    names: Mapping[str, str],
    own: httpx.AsyncClient,
    other: httpx.AsyncClient,
) -> None:
    match kind:
        case Sees(path):
            path = path.format(**names)
            if name not in NOTHING_YET:
                found = await own.get(url + path)
                assert shows(found.text, names), f"{name}: its own tenant sees {found.text[:300]}"
            refused = await other.get(url + path)
            assert refused.status_code in (200, 404), name
            assert not shows(refused.text, names), name
        case Touches(path, body, report):
            told: dict[str, Any] = {"content": reported(names["message_id"])} if report else {"json": body}
            refused = await other.post(url + path.format(**names), **told)
            assert refused.status_code == 404, f"{name}: {refused.status_code} {refused.text[:300]}"
            assert SECRET not in refused.text, name
        case Makes(path):
            body = posted(names["external_id"])
            made = await other.post(url + path, json={"tickets": [body]} if path.endswith("batch") else body)
            assert made.is_success, name
            assert names["ticket_id"] not in made.text, name
        case Open() | Shared():
            pass


@asynccontextmanager
async def dead_letter(database: str, ticket_id: str) -> AsyncIterator[str]:
    """The id of an event of the ticket that could not go out."""
    stored = DeadLetters.define(new_metadata())
    value = json.dumps({"tenant": "default", "ticket_id": ticket_id, "summary": SECRET}).encode()
    letter = DeadLetter(DeadLetterOrigin.OUTBOX, "tests", 0, None, ticket_id.encode(), pack(()), value, "too large")
    source = engine(database, "tests", pool_size=1)
    async with source.begin() as connection:
        await stored.add(connection, [letter])
        made = (await connection.execute(select(func.max(stored.table.c.id)))).scalar_one()
    try:
        yield str(made)
    finally:
        async with source.begin() as connection:
            await connection.execute(delete(stored.table).where(stored.table.c.id == made))
        await source.dispose()


def shows(text: str, names: Mapping[str, str]) -> bool:
    telling = (value for name, value in names.items() if name != "letter_id")  # a small number stands in any text
    return SECRET in text or any(value in text for value in telling)


def reported(message_id: str) -> bytes:
    raw = (RECORDED / "bounces/postfix_failed.eml").read_bytes()
    return raw.replace(b"<5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>", message_id.encode())


def posted(external_id: str) -> dict[str, Any]:
    return {
        "source": "connectwise",
        "external_id": external_id,
        "severity": 4,
        "summary": "Another one with the same id",
        "affected_services": ["Email"],
        "contact": {"name": "Eve", "email": "eve@elsewhere.example"},
        "customer": {"id": "elsewhere", "name": "Elsewhere"},
    }


def client(key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60)
