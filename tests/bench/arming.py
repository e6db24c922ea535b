"""How fast deadlines are armed: from records in Kafka to every event of their future in the database, and stored alone.

A ticket has many instants: warnings, deadlines and ladder steps. A job of the references has one, which they are given.
"Stored" is the same task as theirs: the instants are computed before, and only storing them durably is measured.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from sla_timer.domain.ticket_evaluation import TicketEvaluation, TicketRecord, evaluate_ticket
from sla_timer.handlers.evaluation import CHUNK
from sla_timer.store.agenda import replace_agendas
from sqlalchemy.ext.asyncio import AsyncEngine
from support.fake_timer import FakeTimer, shipped_history
from support.servers import private_database
from support.timer_world import timer_world
from tocsin.events import Contact, Customer, Event, Fact, FactType, Ticket, TicketOpened, encode, ticket_id
from tocsin.runtime.kafka.client import TICKETS_TOPIC, partition_of
from tocsin_local.stack import Stack

from bench.figures import FULL, Effort, Figure, show
from bench.growth import evaluated
from bench.reference_runs import TITLES, reference_runs
from bench.stacks import bench_stack, cpu_seconds

TICKETS: Final = 10_000
JOBS: Final = {"apscheduler": 1_000, "procrastinate": 20_000, "pgqueuer": 20_000, "celery": 5_000}
HOW: Final = {
    "apscheduler": "one transaction a job",
    "procrastinate": "batch_defer of 1,000",
    "pgqueuer": "enqueue of 1,000",
    "celery": "apply_async, synced to disk",
}


def measure(effort: Effort) -> list[Figure]:
    ours: list[float] = []
    stored: list[float] = []
    cpu: list[float] = []
    with bench_stack(("sla-timer",)) as stack, reference_runs(*JOBS) as references:
        theirs: dict[str, list[float]] = {name: [] for name in references.names}
        asyncio.run(arm(stack, effort.sized(1_000)))  # warm up
        for _ in range(effort.rounds):
            seconds, worked = asyncio.run(arm(stack, effort.sized(TICKETS)))
            ours.append(seconds)
            cpu.append(worked)
            stored.append(asyncio.run(store(effort.sized(TICKETS))))
            for name, rounds in theirs.items():
                jobs = effort.sized(JOBS[name])
                rounds.append(jobs / references.run(name, "arm", jobs)["seconds"])
    instants = instants_of(opened())
    beside = {TITLES[name]: tuple(rounds) for name, rounds in theirs.items()}
    tickets = effort.sized(TICKETS)
    how = "the references: " + ", ".join(f"{TITLES[name]} {way}" for name, way in HOW.items())
    of_all = f"sla-timer from records in Kafka to its agenda, {instants} instants a ticket, which it computes; {how}"
    of_storing = (
        f"the same instants computed before, in transactions of {CHUNK} tickets; no Kafka, no ticket, fact or clock; "
        + how
    )
    return [
        Figure("arming, stored", "1/s", tuple(stored), beside, True, of_storing),
        Figure("arming, instants", "1/s", tuple(instants * tickets / one for one in ours), beside, True, of_all),
        Figure("arming, tickets", "1/s", tuple(tickets / one for one in ours), more_is_better=True),
        Figure(
            "arming, CPU a ticket",
            "ms CPU",
            tuple(1000 * one / tickets for one in cpu),
            note="sla-timer and its PostgreSQL backends",
        ),
    ]


async def arm(stack: Stack, count: int) -> tuple[float, float]:
    """Seconds, and CPU seconds of sla-timer and PostgreSQL, from the first record in Kafka to the last agenda."""
    opened_from = datetime.now(UTC)
    events = [opened() for _ in range(count)]
    parts = ("sla-timer", "postgres sla_timer")
    used, began = cpu_seconds(stack), time.perf_counter()
    await send(stack.run["kafka"], TICKETS_TOPIC, events)
    await evaluated(stack, count, opened_from)
    seconds = time.perf_counter() - began
    after = cpu_seconds(stack)
    return seconds, sum(after[part] - used.get(part, 0.0) for part in parts)


async def store(count: int) -> float:
    """Instants a second: the agendas of that many evaluated tickets, stored durably one transaction after another."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with private_database("sla-timer", folder, durable=True) as (_, url):
            async with timer_world(url, folder) as world:
                await _store(world.writer, _evaluations(CHUNK))  # warm up
                evaluations = _evaluations(count)
                began = time.perf_counter()
                await _store(world.writer, evaluations)
                return sum(len(one.agenda) for one in evaluations) / (time.perf_counter() - began)


async def _store(engine: AsyncEngine, evaluations: Sequence[TicketEvaluation]) -> None:
    for begin in range(0, len(evaluations), CHUNK):
        async with engine.begin() as connection:
            await replace_agendas(connection, evaluations[begin : begin + CHUNK])


def _evaluations(count: int) -> list[TicketEvaluation]:
    policies = shipped_history()
    events = [opened() for _ in range(count)]
    return [
        evaluate_ticket(
            replace(TicketRecord.opened(event.ticket, partition_of(str(event.ticket_id).encode())), facts=[event.fact]),
            None,
            policies,
        )
        for event in events
    ]


async def send(bootstrap: str, topic: str, events: Sequence[Event], source: str = "intake") -> None:
    """Appends the events to the topic, in order."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    await producer.start()
    for event in events:
        headers, value = encode(event, source)
        key = str(event.ticket_id).encode()
        await producer.send(topic, value, key, partition=partition_of(key), headers=headers)
    await producer.stop()


def opened() -> TicketOpened:
    """A new ticket of severity 1, received now."""
    now = datetime.now(UTC)
    external_id = str(uuid4())
    fact = Fact(number=1, event_id="opened", type=FactType.OPENED, occurred_at=now, received_at=now, severity=1)
    ticket = Ticket(
        tenant="default",
        ticket_id=ticket_id("default", "connectwise", external_id),
        source="connectwise",
        external_id=external_id,
        summary="Mail is down for everybody in the second building",
        affected_services=("Email", "Calendar"),
        contact=Contact(name="Ada Lovelace", email="ada@acme.example"),
        customer=Customer(id="acme", name="Acme Corporation"),
        channel="portal",
        category="incident",
        opened_at=now,
        initial_severity=1,
    )
    return TicketOpened(ticket=ticket, fact=fact)


def instants_of(event: TicketOpened) -> int:
    """How many events follow for this ticket if nobody ever answers it."""
    timer = FakeTimer()
    timer.receive([event.fact])
    return len(timer.agenda)


if __name__ == "__main__":
    show(measure(FULL))
