"""What it costs to get events through the outbox: stored in it, and published from it by the relay.

    PYTHONPATH=tests python -m bench.relay [profile]

The reference is a bare producer of aiokafka that sends the same records, one `send` for each.
"""

import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from intake.store.tables import DEAD_LETTERS, OUTBOX
from sqlalchemy.ext.asyncio import AsyncEngine
from support.cpu_time import cpu_seconds
from support.fake_timer import ticket
from support.polling import eventually
from support.runtime_world import background_tasks
from support.servers import private_database, running
from tocsin.events import Event, Fact, FactType, TicketOpened, encode
from tocsin.runtime.database.engine import engine
from tocsin.runtime.kafka.client import TICKETS_TOPIC, create_topics, discard, new_producer, partition_of
from tocsin.runtime.kafka.record_headers import header
from tocsin.runtime.kafka.relay import Relay
from tocsin_local.kafka import Kafka
from tocsin_local.loopback import free_port

from bench.figures import FULL, Effort, Figure, show

EVENTS = 20_000
TRANSACTION = 500
AT = datetime(2026, 6, 8, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Servers:
    """The database, its process, and the broker."""

    url: str
    postgres: int
    kafka: str


@dataclass(frozen=True)
class Spent:
    """Seconds per event: elapsed, and of CPU of this process and of PostgreSQL."""

    elapsed: float
    process: float
    postgres: float


def measure(effort: Effort) -> list[Figure]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, _servers(Path(name)) as servers:
        rounds = asyncio.run(_measure(servers, effort.rounds, _events(effort.sized(EVENTS))))
    stored, relayed, bare = zip(*rounds, strict=True)

    def micros(part: Sequence[Spent], name: str) -> tuple[float, ...]:
        return tuple(1000 * getattr(each, name) for each in part)

    return [
        Figure(
            "relay",
            "1/s",
            tuple(1 / each.elapsed for each in relayed),
            {"bare producer": tuple(1 / each.elapsed for each in bare)},
            more_is_better=True,
            note="events from the outbox to Kafka's acknowledgement; the reference reads no database",
        ),
        Figure("relay, CPU an event", "ms CPU", micros(relayed, "process"), {"bare producer": micros(bare, "process")}),
        Figure("relay, PostgreSQL's CPU an event", "ms CPU", micros(relayed, "postgres")),
        Figure("outbox, CPU an event", "ms CPU", micros(stored, "process"), note=f"{TRANSACTION} in a transaction"),
        Figure("outbox, PostgreSQL's CPU an event", "ms CPU", micros(stored, "postgres")),
    ]


async def _measure(servers: Servers, rounds: int, events: Sequence[Event]) -> list[tuple[Spent, Spent, Spent]]:
    writer = engine(servers.url, "intake-writer")
    relay_engine = engine(servers.url, "intake-relay", pool_size=4)
    try:
        await create_topics(servers.kafka)
        relay = Relay(relay_engine, servers.kafka, OUTBOX, DEAD_LETTERS)
        await _round(servers, writer, relay, events[:1000])
        return [await _round(servers, writer, relay, events) for _ in range(rounds)]
    finally:
        await writer.dispose()
        await relay_engine.dispose()


async def _round(
    servers: Servers, writer: AsyncEngine, relay: Relay, events: Sequence[Event]
) -> tuple[Spent, Spent, Spent]:
    async def store() -> None:
        for start in range(0, len(events), TRANSACTION):
            async with writer.begin() as connection:
                await OUTBOX.add(connection, events[start : start + TRANSACTION])

    async def publish() -> None:
        async with background_tasks(relay.run()):
            await eventually(is_empty, seconds=120, every=0.05)

    async def is_empty() -> bool:
        async with writer.connect() as connection:
            return await OUTBOX.is_empty(connection)

    async def spent(work: asyncio.Task[None]) -> Spent:
        begun, own, theirs = time.perf_counter(), time.process_time(), cpu_seconds(servers.postgres)
        await work
        each = len(events)
        return Spent(
            (time.perf_counter() - begun) / each,
            (time.process_time() - own) / each,
            (cpu_seconds(servers.postgres) - theirs) / each,
        )

    return (
        await spent(asyncio.create_task(store())),
        await spent(asyncio.create_task(publish())),
        await spent(asyncio.create_task(_send_bare(servers.kafka, events))),
    )


async def _send_bare(kafka: str, events: Sequence[Event]) -> None:
    producer = new_producer(kafka)
    await producer.start()
    try:
        for start in range(0, len(events), 1000):
            sending = []
            for event in events[start : start + 1000]:
                headers, value = encode(event, "bare")
                key = header(headers, "ce_subject") or b""
                sending.append(
                    await producer.send(TICKETS_TOPIC, value, key=key, partition=partition_of(key), headers=headers)
                )
            await asyncio.gather(*sending)
    finally:
        await discard(producer)


def _events(count: int) -> list[Event]:
    return [_opened(number) for number in range(count)]


def _opened(number: int) -> TicketOpened:
    about = ticket().model_copy(update={"ticket_id": uuid5(NAMESPACE_URL, str(number)), "external_id": f"SR-{number}"})
    fact = Fact(number=1, event_id="opened", type=FactType.OPENED, occurred_at=AT, received_at=AT, severity=1)
    return TicketOpened(ticket=about, fact=fact)


@contextmanager
def _servers(folder: Path) -> Iterator[Servers]:
    broker = Kafka(folder / "kafka", free_port(), free_port(), lambda _: None)
    with private_database("intake", folder, durable=True) as (process, url), running(broker, folder):
        yield Servers(url, process.pid, broker.bootstrap)


def _profiled() -> None:
    with cProfile.Profile() as profiler:
        show(measure(Effort(rounds=1)))
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    _profiled() if "profile" in sys.argv else show(measure(FULL))
