"""Many tickets due at one instant: how long until their events are in the outbox, and what rendering ahead costs then.

    PYTHONPATH=tests python -m bench.sweep [ROUNDS [SCALE]]

Starts its own PostgreSQL. Each ticket has a breach and a first step at the instant, and six more steps later.
"""

import asyncio
import logging
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import psutil
import structlog
from sla_timer.handlers.sweep import fire_due, render_ahead
from sla_timer.store.tables import OUTBOX, PUBLISHED_EVENTS
from sqlalchemy import func, select
from support.fake_timer import moment, numbered_fact
from support.servers import private_database
from support.timer_world import TimerWorld, events, timer_world
from tocsin.runtime.kafka.client import PARTITIONS

from bench.figures import Effort, Figure, show

CHUNK: Final = 1000
OPENED: Final = moment("06-08 13:00")
UNTIL_DUE: Final = timedelta(hours=24)


class Spent(NamedTuple):
    """Seconds that passed, and seconds of CPU of this process and of PostgreSQL."""

    wall: float
    here: float
    postgres: float


@dataclass(frozen=True)
class Meter:
    """Measures what a block costs."""

    postgres: psutil.Process

    def read(self) -> Spent:
        processes = [self.postgres, *self.postgres.children(recursive=True)]
        times = [process.cpu_times() for process in processes]
        return Spent(time.perf_counter(), time.process_time(), sum(one.user + one.system for one in times))

    def since(self, begun: Spent) -> Spent:
        return Spent(*(after - before for before, after in zip(begun, self.read(), strict=True)))


def measure(effort: Effort) -> list[Figure]:
    """The time and the CPU for 50,000 tickets due at one instant; scaled, the time for as many."""
    with tempfile.TemporaryDirectory() as name, Path(os.devnull).open("w") as nowhere:
        # The level of an installation: at debug each event has a line.
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.PrintLoggerFactory(nowhere),
        )
        folder = Path(name)
        with private_database("sla-timer", folder, durable=True) as (server, url):
            return asyncio.run(_measure(url, folder, Meter(psutil.Process(server.pid)), effort))


async def _measure(url: str, folder: Path, meter: Meter, effort: Effort) -> list[Figure]:
    tickets = effort.sized(50_000)
    fired, rendered = [], []
    async with timer_world(url, folder) as world:
        for number in range(effort.rounds):
            due = await _receive(world, number, tickets)
            fired.append(await _fire(world, due, meter))
            await _check_published(world, due, tickets)
            rendered.append(await _render(world, meter))
    micros = 1e6 / tickets

    def cpu(name: str, spent: list[Spent], note: str) -> Figure:
        return Figure(name, "us CPU", tuple((one.here + one.postgres) * micros for one in spent), note=note)

    note = f"{tickets:,} tickets, two events each"
    return [
        Figure("due at one instant", "s", tuple(one.wall for one in fired), note=note),
        cpu("due at one instant, CPU a ticket", fired, "the timer and PostgreSQL"),
        Figure("due at one instant, CPU a ticket in the timer", "us CPU", tuple(one.here * micros for one in fired)),
        cpu("rendering ahead, CPU a ticket", rendered, "the next event of each ticket, after firing"),
    ]


async def _receive(world: TimerWorld, number: int, tickets: int) -> datetime:
    """New tickets, none of them due yet. Returns the instant at which all of them will be."""
    opened = OPENED + timedelta(minutes=number)
    facts = [numbered_fact(1, "opened", f"{opened:%m-%d %H:%M}", severity=1)]
    facts.append(numbered_fact(2, "responded", f"{opened:%m-%d %H:%M}"))
    for start in range(0, tickets, CHUNK):
        names = [f"SR-{number}-{ticket}" for ticket in range(start, min(start + CHUNK, tickets))]
        await world.receive(*(event for name in names for event in events(name, facts)))
    await world.advance(opened + UNTIL_DUE - timedelta(seconds=1))
    return opened + UNTIL_DUE


async def _fire(world: TimerWorld, due: datetime, meter: Meter) -> Spent:
    begun = meter.read()
    await fire_due(world.context, dict.fromkeys(range(PARTITIONS), due))
    return meter.since(begun)


async def _render(world: TimerWorld, meter: Meter) -> Spent:
    begun = meter.read()
    await render_ahead(world.context, range(PARTITIONS))
    return meter.since(begun)


async def _check_published(world: TimerWorld, due: datetime, tickets: int) -> None:
    log = PUBLISHED_EVENTS
    at_due = await world.rows(select(func.count()).select_from(log).where(log.c.at == due))
    queued = await world.rows(select(func.count()).select_from(OUTBOX.table))
    published = await world.rows(select(func.count()).select_from(log))
    assert at_due == [(2 * tickets,)], at_due
    assert queued == published, (queued, published)


def main() -> None:
    rounds, scale = [*sys.argv[1:], "1", "1"][:2]
    show(measure(Effort(int(rounds), float(scale))))


if __name__ == "__main__":
    main()
