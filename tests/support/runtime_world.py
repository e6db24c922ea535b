"""A small service for the runtime's tests: its tables, events and handler, and helpers that read a topic."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import Column, Integer, Table, Uuid, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import Event, Fact, FactType, TicketChanged, decode
from tocsin.runtime.database.dead_letters import DeadLetters
from tocsin.runtime.database.engine import engine, new_metadata
from tocsin.runtime.database.key_uses import KeyUses
from tocsin.runtime.database.offsets import Offsets
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.kafka.client import TICKETS_TOPIC
from tocsin.runtime.kafka.records import Received

AT = datetime(2026, 6, 8, 12, tzinfo=UTC)

metadata = new_metadata()
OUTBOX = Outbox.define(metadata, topic=TICKETS_TOPIC, source="intake")
OFFSETS = Offsets.define(metadata)
DEAD_LETTERS = DeadLetters.define(metadata)
KEY_USES = KeyUses.define(metadata)
SEEN = Table("seen", metadata, Column("ticket", Uuid, primary_key=True), Column("number", Integer, primary_key=True))


@asynccontextmanager
async def runtime_database(url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a database that has the runtime's tables."""
    made = engine(url, "intake-writer")
    async with made.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield made
    await made.dispose()


def ticket(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, name)


def event(name: str, number: int) -> TicketChanged:
    """The event with this fact number."""
    fact = Fact(number=number, event_id=f"{name}-{number}", type=FactType.PAUSED, occurred_at=AT, received_at=AT)
    return TicketChanged(tenant="default", ticket_id=ticket(name), fact=fact)


def number_of(known: Event) -> int:
    assert isinstance(known, TicketChanged)
    return known.fact.number


async def add_to_outbox(writer: AsyncEngine, *events: Event) -> None:
    async with writer.begin() as connection:
        await OUTBOX.add(connection, events)


@dataclass
class RecordingHandler:
    """A handler that stores the events in the table `seen`. `fails` makes it raise."""

    fails: Callable[[Received], Exception | None] = lambda _: None
    calls: list[list[Received]] = field(default_factory=list)

    async def on_batch(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        self.calls.append(list(batch))
        for received in batch:
            error = self.fails(received)
            if error is not None:
                raise error
        rows = [{"ticket": r.event.ticket_id, "number": number_of(r.event)} for r in batch]
        await connection.execute(insert(SEEN).on_conflict_do_nothing(), rows)


async def seen(reader: AsyncEngine) -> set[tuple[UUID, int]]:
    async with reader.connect() as connection:
        return {(row.ticket, row.number) for row in await connection.execute(select(SEEN))}


async def rows(reader: AsyncEngine, table: Table) -> list[Any]:
    async with reader.connect() as connection:
        return list((await connection.execute(select(table))).all())


async def read_topic(bootstrap: str, topic: str = TICKETS_TOPIC, partitions: int = 6) -> list[list[Event]]:
    """The current events of the topic, by partition, in order."""
    found: list[list[Event]] = [[] for _ in range(partitions)]
    where = [TopicPartition(topic, partition) for partition in range(partitions)]
    client = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await client.start()
    try:
        client.assign(where)
        ends = await client.end_offsets(where)
        await client.seek_to_beginning(*where)
        while any([await client.position(one) < ends[one] for one in where]):
            for one, records in (await client.getmany(timeout_ms=200)).items():
                found[one.partition] += [decode(record.headers, record.value) for record in records]
    finally:
        await client.stop()
    return found


@asynccontextmanager
async def background_tasks(*work: Awaitable[None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Runs the work as tasks while the block runs."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
