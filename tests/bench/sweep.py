"""50,000 tickets due at one instant: how long one sweep takes, and where the time goes.

    .venv/bin/python tests/bench/sweep.py [TICKETS] [profile]

Starts a PostgreSQL of its own. DESIGN knows 2.8 s to be possible for the bare agenda; here every ticket is told a
breach and a step, with its outbox rows and what was told.
"""

import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sla_timer.store.tables import OUTBOX, TOLD
from sqlalchemy import func, select
from support.fake_timer import moment, said
from support.servers import log_line, migrate, running, service_role
from support.timer_world import Timer, events, timer
from tocsin_local.loopback import free_port
from tocsin_local.postgres import Postgres

CHUNK = 1000
DUE = moment("06-09 13:00")


async def work(url: str, folder: Path, tickets: int, profile: bool) -> None:
    opened = said(1, "opened", "06-08 13:00", severity=1)
    answered = said(2, "responded", "06-08 13:00")
    async with timer(url, folder) as one:
        begun = now()
        for start in range(0, tickets, CHUNK):
            batch = [
                event for number in range(start, start + CHUNK) for event in events(f"SR-{number}", [opened, answered])
            ]
            await one.receives(*batch)
        say(f"{tickets:,} tickets of two facts taken in: {taken(begun, tickets)}")
        await one.reaches(DUE - timedelta(seconds=1))
        begun = now()
        with cProfile.Profile() if profile else Nothing() as profiler:
            await one.reaches(DUE)
        say(f"{tickets:,} breaches and first steps told:    {taken(begun, tickets)}")
        if isinstance(profiler, cProfile.Profile):
            pstats.Stats(profiler).sort_stats("tottime").print_stats(35)
        await told(one, tickets)


async def told(one: Timer, tickets: int) -> None:
    at_due = await one.rows(select(func.count()).select_from(TOLD).where(TOLD.c.at == DUE))
    queued = await one.rows(select(func.count()).select_from(OUTBOX.table))
    assert at_due == [(2 * tickets,)], at_due
    say(f"{queued[0][0]:,} events in the outbox, each once")


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def taken(begun: tuple[float, float], tickets: int) -> str:
    """By the clock on the wall, and how much of it this process worked; the rest is PostgreSQL, and other people."""
    seconds, worked = (after - before for before, after in zip(begun, now(), strict=True))
    return f"{seconds:6.1f} s, {tickets / seconds:8,.0f} tickets/s ({worked:.1f} s of work here)"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


class Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def main() -> None:
    tickets = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server, owner = Postgres(folder / "postgres", free_port(), log_line, durable=True), service_role("sla-timer")
        with running(server, folder):
            server.create_role(owner)
            url = server.create_database("sla_timer", owner)
            migrate("sla-timer", url)
            asyncio.run(work(url, folder, tickets, "profile" in sys.argv))
        server.remove()


if __name__ == "__main__":
    main()
