"""What a ticket costs when 1,000 to 1,000,000 others are open, and how late events are with that many.

Each of the measured tickets is posted in a batch, stored, published, evaluated, and warned about a few seconds later.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
from support.http_load import percentile
from support.polling import eventually
from tocsin.runtime.kafka.client import DEADLINES_TOPIC
from tocsin_local.stack import Stack

from bench.figures import FULL, Effort, Figure, show
from bench.open_tickets import OpenTickets
from bench.reference_runs import TITLES, reference_runs
from bench.stacks import bench_stack, cpu_per_second, cpu_seconds, port_of
from bench.tickets import WARNING_AFTER, due_at, post_batches, post_steadily, soon, spread, ticket_request
from bench.topic_reader import TopicReader

SERVICES: Final = ("intake", "sla-timer")
SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
RATE: Final = 500
POSTS: Final = 200
WAITING: Final = {"apscheduler": 100_000, "procrastinate": 100_000, "pgqueuer": 100_000, "celery": 2_000}
WARNED: Final = "clock.warned"
BROKER: Final = "kafka"


def measure(effort: Effort) -> list[Figure]:
    figures, lateness, posts = asyncio.run(_ours(effort))
    with reference_runs(*WAITING) as references:
        theirs = {
            name: references.run(name, "pace", RATE, effort.sized(10, 2), effort.sized(WAITING[name]))["lateness"]
            for name in references.names
        }
    note = (
        f"{RATE} events due a second, {SIZES[-1]:,} tickets open and {POSTS} posts a second; the references start "
        f"{RATE} jobs a second in their own process beside {WAITING['pgqueuer']:,} waiting ones (Celery, which keeps "
        f"them in memory: {WAITING['celery']:,}), and nothing is posted meanwhile"
    )
    for percent in (50, 99):
        ours = tuple(1000 * percentile(block, percent) for block in lateness)
        beside = {
            TITLES[name]: tuple(1000 * percentile(block, percent) for block in _blocks(values, effort.rounds))
            for name, values in theirs.items()
        }
        figures.append(Figure(f"lateness, p{percent}", "ms", ours, beside, note=note))
        taken = tuple(1000 * percentile(block, percent) for block in _blocks(posts, effort.rounds))
        figures.append(Figure(f"posts with 1,000,000 open, p{percent}", "ms", taken))
    return figures


async def _ours(effort: Effort) -> tuple[list[Figure], list[Sequence[float]], Sequence[float]]:
    figures = []
    with bench_stack(SERVICES) as stack:
        async with TopicReader(stack.run["kafka"], DEADLINES_TOPIC) as reader:
            tickets = OpenTicketsOfBoth(stack)
            await tickets.open_some(effort.sized(SIZES[0], 200))
            for size in SIZES:
                await tickets.fill(effort.sized(size, 200))
                await _cost(stack, reader, 200)  # warm up
                figures += await _figures(stack, reader, size, effort)
            lateness, posts = await _lateness(stack, reader, effort)
    return [*figures, _growth(figures)], lateness, posts


def _growth(figures: Sequence[Figure]) -> Figure:
    """The cost of a ticket among the most to that among the fewest."""
    costs = [figure for figure in figures if figure.unit == "ms CPU"]
    ratios = tuple(most / few for few, most in zip(costs[0].rounds, costs[-1].rounds, strict=True))
    return Figure("growth", "times", ratios, note="CPU a ticket with 1,000,000 open to that with 1,000")


class OpenTicketsOfBoth:
    """The open tickets of intake and of sla-timer."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._databases = [OpenTickets(stack.postgres, database) for database in ("intake", "sla_timer")]

    async def open_some(self, count: int) -> None:
        run, began = self._stack.run, soon(0)
        await post_batches(port_of(self._stack, "intake"), run["api_key"], [ticket_request() for _ in range(count)])
        await evaluated(self._stack, count, began)
        for database in self._databases:
            await database.keep_originals()

    async def fill(self, total: int) -> None:
        """Meanwhile the services are down: they would read tables without indexes."""
        parts = self._stack.parts
        for service in SERVICES:
            await asyncio.to_thread(parts.stop, service)
        await asyncio.gather(*(database.fill(total) for database in self._databases))
        for service in SERVICES:
            await asyncio.to_thread(parts.start, service)


_OPENED: Final = "SELECT count(*) FROM tickets WHERE opened_at >= $1 AND opened_at < $2"


async def evaluated(stack: Stack, count: int, since: datetime, before: datetime | None = None) -> None:
    """Returns when sla-timer has this many tickets that were opened between two instants, by default until now."""
    connection = await asyncpg.connect(stack.run["databases"]["sla-timer"].replace("+asyncpg", ""))

    async def known() -> bool:
        found = await connection.fetchval(_OPENED, since, before or soon(0))
        return bool(found >= count)

    try:
        await eventually(known, f"{count} tickets evaluated", seconds=300, every=0.05)
    finally:
        await connection.close()


async def _figures(stack: Stack, reader: TopicReader, size: int, effort: Effort) -> list[Figure]:
    idle = await cpu_per_second(stack, max(1.0, 5 * effort.scale))
    costs = [await _cost(stack, reader, effort.sized(1_000, 50), idle) for _ in range(effort.rounds)]
    at_rest = sum(rate for part, rate in idle.items() if part != BROKER)
    return [
        Figure(
            f"CPU a ticket, {size:,} open",
            "ms CPU",
            tuple(1000 * cost for cost in costs),
            note="intake, sla-timer and PostgreSQL, from post to warning, less what they use when idle",
        ),
        Figure(f"idle, {size:,} open", "% of a core", (100 * at_rest,), note="intake, sla-timer and PostgreSQL"),
    ]


async def _cost(stack: Stack, reader: TopicReader, count: int, idle: Mapping[str, float] | None = None) -> float:
    """CPU seconds a ticket of intake, sla-timer and PostgreSQL."""
    requests = due_at(spread(soon(count / 400 + 2), count, count))
    warned = reader.count(WARNED) + count
    before, began = cpu_seconds(stack), asyncio.get_running_loop().time()
    await post_batches(port_of(stack, "intake"), stack.run["api_key"], requests)
    await eventually(lambda: reader.count(WARNED) >= warned, f"{count} warnings", seconds=120, every=0.05)
    passed = asyncio.get_running_loop().time() - began
    after = cpu_seconds(stack)
    used = sum(after[part] - before.get(part, 0.0) for part in after if part != BROKER)
    return (used - passed * sum(rate for part, rate in (idle or {}).items() if part != BROKER)) / count


async def _lateness(stack: Stack, reader: TopicReader, effort: Effort) -> tuple[list[Sequence[float]], Sequence[float]]:
    """The lateness of each event in seconds, in blocks of equal time; and the seconds of each post."""
    seconds = effort.sized(30, 2)
    port, key = port_of(stack, "intake"), stack.run["api_key"]
    begin = soon(3 + RATE * seconds / 400)
    await post_batches(port, key, due_at(spread(begin, RATE, RATE * seconds)))
    opened_from = begin - WARNING_AFTER
    await evaluated(stack, RATE * seconds, opened_from, opened_from + timedelta(seconds=seconds))
    assert datetime.now(begin.tzinfo) < begin, "the tickets were evaluated too late: the machine is too slow"
    already = reader.count(WARNED)
    await asyncio.sleep((begin - datetime.now(begin.tzinfo)).total_seconds())
    posts = await post_steadily(port, key, POSTS, seconds)
    done = already + RATE * seconds
    await eventually(lambda: reader.count(WARNED) >= done, "all warnings", seconds=300, every=0.1)
    events = sorted(
        (event for event in reader.appended(WARNED) if event.at >= begin.timestamp()), key=lambda event: event.at
    )
    return _blocks([event.lateness for event in events], effort.rounds), posts


def _blocks(values: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """The values in `count` parts of equal size, in order."""
    return [values[len(values) * number // count : len(values) * (number + 1) // count] for number in range(count)]


if __name__ == "__main__":
    show(measure(FULL))
