"""A timer in the test's process: a real database, facts handed in as by the consumer, progress moved by the test."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sla_timer.api import routes
from sla_timer.domain.policy_history import PolicyBook
from sla_timer.handlers.handlers import Handlers
from sla_timer.store.policies import add_policy, all_policies
from sla_timer.store.tables import AGENDA, CLOCKS, OFFSETS, OUTBOX, TOLD
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.events import (
    EVENT_TYPES,
    Contact,
    Customer,
    DeadlineEvent,
    Event,
    Fact,
    FactType,
    Ticket,
    TicketChanged,
    TicketImported,
    TicketOpened,
    decode,
    ticket_id,
)
from tocsin.policy import Policy
from tocsin.runtime.database.engine import engine
from tocsin.runtime.database.offsets import Position
from tocsin.runtime.http.api_keys import KeyFile, KeyRing, issue, write_keys
from tocsin.runtime.http.app import create_app
from tocsin.runtime.kafka.client import PARTITIONS, TICKETS, partition_of
from tocsin.runtime.kafka.consumer import Received
from tocsin.runtime.kafka.record_headers import unpack
from tocsin.runtime.process.clock import BusinessClock

from support.stories import shipped_policy

CLOCK = BusinessClock(datetime(2026, 6, 8, tzinfo=UTC), datetime(2026, 6, 8, tzinfo=UTC), 1.0)


@dataclass
class Timer:
    """One database, the handlers on it, and its application. `unconfirmed` are partitions judged without proof."""

    writer: AsyncEngine
    book: PolicyBook
    handlers: Handlers
    clients: dict[str, httpx.AsyncClient]
    unconfirmed: set[int] = field(default_factory=set)

    async def receives(self, *events: Event) -> None:
        """A batch of the tickets topic, in one transaction."""
        async with self.writer.begin() as connection:
            await self.handlers.facts_received(connection, batch(events))

    async def progresses(self, through: datetime) -> None:
        """Everything that intake accepted up to then has been read."""
        async with self.writer.begin() as connection:
            await OFFSETS.store_missing(connection, TICKETS, dict.fromkeys(range(PARTITIONS), 0))
            await OFFSETS.store(connection, TICKETS, {number: Position(0, through) for number in range(PARTITIONS)})

    async def reaches(self, through: datetime) -> None:
        """The same, and what fell due is told."""
        await self.progresses(through)
        await self.handlers.sweep_all()

    async def stores(self, policy: Policy) -> None:
        """Another process was started with this policy."""
        async with self.writer.begin() as connection:
            await add_policy(connection, policy)

    async def told(self, ticket: UUID) -> list[DeadlineEvent]:
        """All that was told of a ticket, in order."""
        rows = await self.rows(select(TOLD.c.type, TOLD.c.event).where(TOLD.c.ticket_id == ticket).order_by(TOLD.c.id))
        events = [EVENT_TYPES[row.type].model_validate_json(row.event) for row in rows]
        return [event for event in events if isinstance(event, DeadlineEvent)]

    async def queued(self) -> list[DeadlineEvent]:
        """The events in the outbox, in order."""
        table = OUTBOX.table
        rows = await self.rows(select(table.c.headers, table.c.value).order_by(table.c.id))
        events = [decode(unpack(row.headers), row.value) for row in rows]
        return [event for event in events if isinstance(event, DeadlineEvent)]

    async def standing(self) -> tuple[Sequence[Any], Sequence[Any]]:
        """Every ticket's clocks, and its agenda."""
        key = (CLOCKS.c.ticket_id, CLOCKS.c.cycle, CLOCKS.c.clock)
        return await self.rows(select(CLOCKS).order_by(*key)), await self.rows(
            select(AGENDA).order_by(AGENDA.c.ticket_id)
        )

    async def rows(self, query: Any) -> Sequence[Any]:
        async with self.writer.connect() as connection:
            return (await connection.execute(query)).all()

    async def get(
        self, path: str, status: int = 200, *, key: str = "default", query: Mapping[str, str] | None = None
    ) -> Any:
        answer = await self.clients[key].get(path, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def post(self, path: str, body: object, status: int = 200) -> Any:
        answer = await self.clients["default"].post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()


@asynccontextmanager
async def timer(url: str, folder: Path) -> AsyncIterator[Timer]:
    """A timer by the shipped policy on that database, without a bus."""
    texts, entries = zip(issue("default"), issue("other"), strict=True)
    write_keys(folder / "keys.yaml", KeyFile(keys=entries))
    # Here several processes share one thread, and one that judges keeps the others' transactions idle.
    writer = engine(url, "sla-timer-writer", idle_seconds=60)
    reader = engine(url, "sla-timer-reader", pool_size=2)
    book = await _book(writer)
    app = create_app("sla-timer", "Tests", KeyRing(folder / "keys.yaml"), {})
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    clients = {
        name: httpx.AsyncClient(
            transport=transport, base_url="http://sla-timer", headers={"Authorization": f"Bearer {text}"}
        )
        for name, text in zip(("default", "other"), texts, strict=True)
    }
    one = Timer(writer, book, Handlers(writer, book, CLOCK), clients)
    app.include_router(routes.router(reader, book, CLOCK, one.unconfirmed.__contains__))
    yield one
    for client in clients.values():
        await client.aclose()
    await writer.dispose()
    await reader.dispose()


async def _book(writer: AsyncEngine) -> PolicyBook:
    book = PolicyBook()
    async with writer.begin() as connection:
        await add_policy(connection, shipped_policy())
        book.renew(await all_policies(connection))
    return book


def batch(events: Sequence[Event]) -> list[Received]:
    """As the consumer hands them over: sorted by partition."""
    received = [
        Received(event, TICKETS, partition_of(str(event.ticket_id).encode()), offset)
        for offset, event in enumerate(events)
    ]
    return sorted(received, key=lambda one: (one.partition, one.offset))


def ticket(name: str, facts: Sequence[Fact], **more: Any) -> Ticket:
    return Ticket.model_validate(
        {
            "tenant": "default",
            "ticket_id": ticket_id("default", "tests", name),
            "source": "tests",
            "external_id": name,
            "summary": "Mail is down",
            "affected_services": ["Email"],
            "contact": Contact(name="Ada"),
            "customer": Customer(id="acme", name="Acme"),
            "channel": "portal",
            "category": "incident",
            "opened_at": facts[0].occurred_at,
            "initial_severity": facts[0].severity,
            **more,
        }
    )


def events(name: str, facts: Sequence[Fact], **more: Any) -> list[Event]:
    """What intake publishes of a ticket with these facts, one by one."""
    about = ticket(name, facts, **more)
    changed = [TicketChanged(tenant=about.tenant, ticket_id=about.ticket_id, fact=fact) for fact in facts[1:]]
    return [TicketOpened(ticket=about, fact=facts[0]), *changed]


def imported(name: str, facts: Sequence[Fact], received_at: datetime, **more: Any) -> TicketImported:
    """What intake publishes of a ticket that is posted as history."""
    return TicketImported(ticket=ticket(name, facts, **more), facts=tuple(facts), received_at=received_at, history=True)


def facts_of(story: dict[str, Any]) -> list[Fact]:
    """The facts of a story as intake numbers and receives them: in its order, none before the one ahead of it."""
    facts: list[Fact] = []
    for number, told in enumerate(story["facts"], start=1):
        occurred_at = datetime.fromisoformat(told["occurred_at"])
        kind = FactType(told["type"])
        facts.append(
            Fact(
                number=number,
                event_id=str(number),
                type=kind,
                occurred_at=occurred_at,
                received_at=max(occurred_at, facts[-1].received_at) if facts else occurred_at,
                severity=told.get("severity"),
                resolution_kind=told.get("resolution_kind", "resolved") if kind is FactType.RESOLVED else None,
            )
        )
    return facts
