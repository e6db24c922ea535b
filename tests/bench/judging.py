"""What sla-timer needs for new tickets, and for facts of known ones: its CPU time and that of PostgreSQL.

    PYTHONPATH=tests python -m bench.judging [ROUNDS [SCALE]]

Starts its own PostgreSQL. Records arrive as the consumer hands them over: decoded, stored, evaluated and committed with
their offsets, one transaction a batch.
"""

import asyncio
import gc
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import orjson
import psutil
import structlog
from sla_timer.handlers.facts import receive_facts
from sla_timer.store.tables import AGENDA, DEAD_LETTERS, OFFSETS
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from support.servers import private_database
from support.timer_world import TimerWorld, ticket, timer_world
from tocsin.events import Event, Fact, FactType, TicketChanged, TicketOpened, encode
from tocsin.runtime.kafka.batch import BatchHandler
from tocsin.runtime.kafka.client import TICKETS_TOPIC, partition_of
from tocsin.runtime.kafka.record_headers import Headers
from tocsin.runtime.kafka.records import Received, decode_partition
from tocsin.runtime.process.service import YOUNG_OBJECTS

from bench.figures import Effort, Figure, show
from bench.sweep import Meter, Spent

BATCH: Final = 1000
FACTS_A_BATCH: Final = 20
"""200 facts a second arrive in ten batches."""
OPENED: Final = datetime(2026, 6, 8, 13, tzinfo=UTC)
PLOT: Final = (FactType.RESPONDED, FactType.ASSIGNED, FactType.PAUSED, FactType.RESUMED, FactType.RESOLVED)
"""What happens to a ticket, a minute between two facts."""


def measure(effort: Effort) -> list[Figure]:
    """New tickets a second and the instants that they arm, and the CPU for a ticket and for a fact."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with private_database("sla-timer", folder, durable=True) as (server, url):
            return asyncio.run(_measure(url, folder, Meter(psutil.Process(server.pid)), effort))


async def _measure(url: str, folder: Path, meter: Meter, effort: Effort) -> list[Figure]:
    tickets, facts = effort.sized(5000, least=BATCH), effort.sized(2000, least=100)
    opened: list[Spent] = []
    changed: list[Spent] = []
    armed: list[float] = []
    async with timer_world(url, folder) as world:
        await world.set_watermark(OPENED - timedelta(seconds=1))
        topic = Topic(world)
        await _receive(topic, _openings("warm-up", BATCH), BATCH, meter)
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])  # as in the service
        for number in range(effort.rounds):
            before = await _agenda_items(world)
            openings = _openings(f"round-{number}", tickets)
            opened.append(await _receive(topic, openings, BATCH, meter))
            armed.append((await _agenda_items(world) - before) / opened[-1].wall)
            changed.append(await _receive(topic, [*_later_facts(openings, facts)], FACTS_A_BATCH, meter))

    def cpu(name: str, count: int, spent: Iterable[Spent], note: str) -> Figure:
        return Figure(name, "us CPU", tuple((one.here + one.postgres) * 1e6 / count for one in spent), note=note)

    note = f"{tickets:,} new tickets in batches of {BATCH:,} records"
    of_facts = f"{facts:,} facts of known tickets in batches of {FACTS_A_BATCH}"
    return [
        Figure("judging", "1/s", tuple(tickets / one.wall for one in opened), more_is_better=True, note=note),
        Figure("armed by judging", "1/s", tuple(armed), more_is_better=True, note="instants on the agendas"),
        cpu("judging, CPU a ticket", tickets, opened, "the timer and PostgreSQL"),
        Figure("judging, CPU a ticket in the timer", "us CPU", tuple(one.here * 1e6 / tickets for one in opened)),
        cpu("judging, CPU a fact", facts, changed, of_facts),
    ]


class Topic:
    """Hands records to sla-timer as its consumer does."""

    def __init__(self, world: TimerWorld) -> None:
        async def on_batch(connection: AsyncConnection, batch: Sequence[Received]) -> None:
            await receive_facts(world.context, connection, batch)

        self._handler = BatchHandler(world.writer, TICKETS_TOPIC, OFFSETS, DEAD_LETTERS, on_batch, is_ordered=False)
        self._ends: Counter[int] = Counter()

    def publish(self, events: Iterable[Event]) -> Callable[[], Awaitable[None]]:
        """The records of these events. The result handles them as one batch."""
        records: dict[int, list[_TopicRecord]] = {}
        for event in events:
            headers, value = encode(event, "intake")
            key = str(event.ticket_id).encode()
            partition = partition_of(key)
            records.setdefault(partition, []).append(_TopicRecord(self._ends[partition], key, value, headers))
            self._ends[partition] += 1

        async def handle() -> None:
            batches = [decode_partition(TICKETS_TOPIC, number, records[number]) for number in sorted(records)]
            result = await self._handler.handle(batches, dict.fromkeys(records, 0))
            assert result.positions.keys() == records.keys(), result

        return handle


@dataclass(slots=True)
class _TopicRecord:
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int = 1_780_923_600_000


async def _receive(topic: Topic, events: Sequence[Event], size: int, meter: Meter) -> Spent:
    batches = [topic.publish(events[start : start + size]) for start in range(0, len(events), size)]
    begun = meter.read()
    for handle in batches:
        await handle()
    return meter.since(begun)


def _openings(prefix: str, count: int) -> list[TicketOpened]:
    return [_opening(f"{prefix}-{number}", number) for number in range(count)]


def _opening(name: str, number: int) -> TicketOpened:
    fact = Fact(
        number=1,
        event_id="opened",
        type=FactType.OPENED,
        occurred_at=OPENED + timedelta(milliseconds=number),
        received_at=OPENED + timedelta(milliseconds=number + 5),
        severity=1 + number % 4,
    )
    about = ticket(
        name,
        [fact],
        summary="Mail is down for everybody in the second building",
        description="Since the switch was replaced nobody can open a mailbox. " * 4,
        affected_services=["Email", "Calendar"],
        contact={"name": "Ada Lovelace", "email": "ada@acme.example"},
        channel="email" if number % 3 == 0 else "portal",
        impact={"users_affected_percent": 40, "work_stoppage": "significant"},
    )
    return TicketOpened(ticket=about, fact=fact)


def _later_facts(opened: Sequence[TicketOpened], count: int) -> Iterator[TicketChanged]:
    """That many facts: the plot, of as many of the tickets as it takes."""
    tickets = opened[: count // len(PLOT)]
    for number, kind in enumerate(PLOT, start=2):
        for one in tickets:
            at = one.fact.received_at + timedelta(minutes=number)
            resolved = "resolved" if kind is FactType.RESOLVED else None
            fact = Fact(
                number=number,
                event_id=str(number),
                type=kind,
                occurred_at=at,
                received_at=at,
                actor="Bob",
                resolution_kind=resolved,
            )
            yield TicketChanged(tenant=one.ticket.tenant, ticket_id=one.ticket_id, fact=fact)


async def _agenda_items(world: TimerWorld) -> int:
    rows = await world.rows(select(AGENDA.c.due, AGENDA.c.later))
    return sum(len(orjson.loads(due or b"[]")) + len(orjson.loads(later)) for due, later in rows)


def main() -> None:
    rounds, scale = [*sys.argv[1:], "1", "1"][:2]
    show(measure(Effort(int(rounds), float(scale))))


if __name__ == "__main__":
    main()
