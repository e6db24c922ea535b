"""Many tickets due at one instant: how long a sweep takes, and where the time goes.

    PYTHONPATH=tests python -m bench.sweep [TICKETS] [profile]

Starts its own PostgreSQL. For each ticket a breach and a step are published, with their outbox rows.
"""

import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

from sla_timer.store.tables import OUTBOX, PUBLISHED_EVENTS
from sqlalchemy import func, select
from support.fake_timer import moment, numbered_fact
from support.servers import private_database
from support.timer_world import TimerWorld, events, timer_world

CHUNK = 1000
DUE = moment("06-09 13:00")


async def measure(url: str, folder: Path, tickets: int, profile: bool) -> None:
    opened = numbered_fact(1, "opened", "06-08 13:00", severity=1)
    responded = numbered_fact(2, "responded", "06-08 13:00")
    async with timer_world(url, folder) as world:
        begun = now()
        for start in range(0, tickets, CHUNK):
            names = [f"SR-{number}" for number in range(start, start + CHUNK)]
            await world.receive(*(event for name in names for event in events(name, [opened, responded])))
        say(f"{tickets:,} tickets of two facts received:      {elapsed(begun, tickets)}")
        await world.advance(DUE - timedelta(seconds=1))
        begun = now()
        with cProfile.Profile() if profile else nullcontext() as profiler:
            await world.advance(DUE)
        say(f"{tickets:,} breaches and first steps published: {elapsed(begun, tickets)}")
        if profiler is not None:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(35)
        await check_published(world, tickets)


async def check_published(world: TimerWorld, tickets: int) -> None:
    log = PUBLISHED_EVENTS
    at_due = await world.rows(select(func.count()).select_from(log).where(log.c.at == DUE))
    queued = await world.rows(select(func.count()).select_from(OUTBOX.table))
    assert at_due == [(2 * tickets,)], at_due
    say(f"{queued[0][0]:,} events in the outbox, each once")


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def elapsed(begun: tuple[float, float], tickets: int) -> str:
    """Wall-clock seconds, and the CPU seconds of this process; PostgreSQL and other processes use the rest."""
    seconds, worked = (after - before for before, after in zip(begun, now(), strict=True))
    return f"{seconds:6.1f} s, {tickets / seconds:8,.0f} tickets/s ({worked:.1f} s of CPU here)"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    tickets = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with private_database("sla-timer", folder, durable=True) as (_, url):
            asyncio.run(measure(url, folder, tickets, "profile" in sys.argv))


if __name__ == "__main__":
    main()
