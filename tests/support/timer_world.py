"""sla-timer in the test's process: its own service on a real database, without Kafka. The test moves the watermark."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sla_timer.handlers.context import PolicyCache, TimerContext
from sla_timer.handlers.facts import receive_facts
from sla_timer.handlers.policies import store_policy
from sla_timer.handlers.sweep import sweep, sweep_all
from sla_timer.service import SlaTimerService, build
from sla_timer.settings import Settings
from sla_timer.store.tables import AGENDA, CLOCKS, OFFSETS, OUTBOX, PUBLISHED_EVENTS
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
from tocsin.runtime.database.offsets import Position
from tocsin.runtime.http.api_keys import KeyFile, issue, write_keys
from tocsin.runtime.kafka.client import PARTITIONS, TICKETS_TOPIC, partition_of
from tocsin.runtime.kafka.record_headers import unpack
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import BusinessClock, TimeSource

from support.stories import DEFAULT_POLICY

CLOCK = BusinessClock(datetime(2026, 6, 8, tzinfo=UTC), datetime(2026, 6, 8, tzinfo=UTC), 1.0)


@dataclass(frozen=True)
class TimerWorld:
    """The service, and HTTP clients with a key of two tenants, `default` and `other`."""

    service: SlaTimerService
    clients: Mapping[str, httpx.AsyncClient]

    @property
    def context(self) -> TimerContext:
        return self.service.context

    @property
    def writer(self) -> AsyncEngine:
        return self.service.runtime.writer

    async def receive(self, *events: Event) -> None:
        """A batch of the tickets topic arrives."""
        async with self.writer.begin() as connection:
            await receive_facts(self.context, connection, batch(events))

    async def set_watermark(self, through: datetime) -> None:
        """Everything that intake accepted up to then has been read; nothing is swept yet."""
        async with self.writer.begin() as connection:
            await OFFSETS.store_missing(connection, TICKETS_TOPIC, dict.fromkeys(range(PARTITIONS), 0))
            positions = {number: Position(0, through) for number in range(PARTITIONS)}
            await OFFSETS.store(connection, TICKETS_TOPIC, positions)

    async def advance(self, through: datetime) -> None:
        """The watermark arrives, and what has fallen due by then is published."""
        await self.set_watermark(through)
        await sweep_all(self.context)

    async def sweep_unconfirmed(self, through: datetime, confirmed_through: datetime) -> None:
        """What has fallen due by `through` is published although the watermark is at `confirmed_through`."""
        for partition in range(PARTITIONS):
            await sweep(self.context, {partition: through}, confirmed_through=confirmed_through)

    async def store_policy(self, policy: Policy) -> None:
        """Another process is started with this policy. Its cache is its own."""
        await store_policy(self.another_process(), policy)

    def another_process(self) -> TimerContext:
        """The context of another replica on the same database."""
        return replace(self.context, policies=PolicyCache())

    async def published(self, ticket: UUID) -> list[DeadlineEvent]:
        """Everything that was published of a ticket, in order."""
        c = PUBLISHED_EVENTS.c
        rows = await self.rows(select(c.type, c.event).where(c.ticket_id == ticket).order_by(c.position))
        events = [EVENT_TYPES[row.type].model_validate_json(row.event) for row in rows]
        return [event for event in events if isinstance(event, DeadlineEvent)]

    async def outbox(self) -> list[DeadlineEvent]:
        """The events in the outbox, in order."""
        table = OUTBOX.table
        rows = await self.rows(select(table.c.headers, table.c.value).order_by(table.c.id))
        events = [decode(unpack(row.headers), row.value) for row in rows]
        return [event for event in events if isinstance(event, DeadlineEvent)]

    async def clocks_and_agendas(self) -> tuple[Sequence[Any], Sequence[Any]]:
        """The stored clocks and agendas of all tickets."""
        key = (CLOCKS.c.ticket_id, CLOCKS.c.cycle, CLOCKS.c.clock)
        return await self.rows(select(CLOCKS).order_by(*key)), await self.rows(
            select(AGENDA).order_by(AGENDA.c.ticket_id)
        )

    async def rows(self, query: Any) -> Sequence[Any]:
        async with self.writer.connect() as connection:
            return (await connection.execute(query)).all()

    async def get(
        self, path: str, status: int = 200, *, tenant: str = "default", query: Mapping[str, str] | None = None
    ) -> Any:
        response = await self.clients[tenant].get(path, params=query)
        assert response.status_code == status, response.text
        return response.json()

    async def post(self, path: str, body: object, status: int = 200, *, tenant: str = "default") -> Any:
        response = await self.clients[tenant].post(path, json=body)
        assert response.status_code == status, response.text
        return response.json()


@asynccontextmanager
async def timer_world(url: str, folder: Path, clock: TimeSource = CLOCK) -> AsyncIterator[TimerWorld]:
    """sla-timer with the shipped policy on that database; `folder` gets its keys.yaml."""
    texts, entries = zip(issue("default"), issue("other"), strict=True)
    write_keys(folder / "keys.yaml", KeyFile(keys=entries))
    settings = Settings(database_url=url, kafka="127.0.0.1:1", keys=folder / "keys.yaml", policy=DEFAULT_POLICY)
    # Here several processes share one thread, and one that evaluates keeps the others' transactions idle.
    service = build(settings, clock=clock, idle_seconds=60)
    assert service.prepare is not None
    await service.prepare()
    transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
    clients = {
        tenant: httpx.AsyncClient(
            transport=transport, base_url="http://sla-timer", headers={"Authorization": f"Bearer {text}"}
        )
        for tenant, text in zip(("default", "other"), texts, strict=True)
    }
    yield TimerWorld(service, clients)
    for client in clients.values():
        await client.aclose()
    await service.runtime.dispose()


def batch(events: Sequence[Event]) -> list[Received]:
    """The events as the consumer hands them over: sorted by partition."""
    received = [
        Received(event, TICKETS_TOPIC, partition_of(str(event.ticket_id).encode()), offset)
        for offset, event in enumerate(events)
    ]
    return sorted(received, key=lambda one: (one.partition, one.offset))


def ticket(name: str, facts: Sequence[Fact], **fields: Any) -> Ticket:
    """The ticket with that external id that these facts belong to."""
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
            **fields,
        }
    )


def events(name: str, facts: Sequence[Fact], **fields: Any) -> list[Event]:
    """What intake publishes of a ticket with these facts, one by one."""
    about = ticket(name, facts, **fields)
    changed = [TicketChanged(tenant=about.tenant, ticket_id=about.ticket_id, fact=fact) for fact in facts[1:]]
    return [TicketOpened(ticket=about, fact=facts[0]), *changed]


def imported(name: str, facts: Sequence[Fact], received_at: datetime, **fields: Any) -> TicketImported:
    """What intake publishes of a ticket that is posted as history."""
    about = ticket(name, facts, **fields)
    return TicketImported(ticket=about, facts=tuple(facts), received_at=received_at, history=True)


def fields_of(story: dict[str, Any]) -> dict[str, Any]:
    """The fields of the ticket of a story that affect its timeline."""
    opened = story["facts"][0]
    return {name: opened[name] for name in ("channel", "category", "starts_at") if name in opened}


def facts_of(story: dict[str, Any]) -> list[Fact]:
    """The facts of a story as intake numbers and receives them: in its order, each no earlier than the one before."""
    facts: list[Fact] = []
    for number, fact in enumerate(story["facts"], start=1):
        occurred_at = datetime.fromisoformat(fact["occurred_at"])
        kind = FactType(fact["type"])
        facts.append(
            Fact(
                number=number,
                event_id=str(number),
                type=kind,
                occurred_at=occurred_at,
                received_at=max(occurred_at, facts[-1].received_at) if facts else occurred_at,
                actor=fact.get("actor"),
                impact=fact.get("impact"),
                assignee=fact.get("assignee"),
                severity=fact.get("severity"),
                resolution_kind=fact.get("resolution_kind", "resolved") if kind is FactType.RESOLVED else None,
            )
        )
    return facts
