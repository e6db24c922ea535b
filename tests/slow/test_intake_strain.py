"""Intake under strain: idle sockets, slow bodies and endless headers slow nobody down, a flood is shed, and a hung
database is reported soon.
"""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text
from support.http_load import BEGUN, ENDLESS, Connection, LoadResult, exchange, percentile, post, run_load
from support.intake_world import ticket
from support.polling import eventually
from support.servers import MakeDatabase, intake_part, private_database, running, suspended
from tocsin.runtime.database.engine import engine

pytestmark = pytest.mark.long

IDLE = 200
SLOW = 50
PAIRS = 20
REQUESTS = 60  # a round is over before idle connections are closed, and one delay of all callers is 6 % of it
CALLERS = 4
SECONDS = 30
FULL_CALLERS = 64


@dataclass(frozen=True)
class RunningIntake:
    """A running intake, and an API key for it."""

    port: int
    key: str
    log: Path

    def ticket(self, external_id: str) -> bytes:
        return post("/v1/tickets", self.key, orjson.dumps(ticket(external_id)))


@contextmanager
def running_intake(url: str, folder: Path) -> Iterator[RunningIntake]:
    service, key = intake_part(url, folder)
    with running(service, folder):
        yield RunningIntake(service.port, key, folder / "intake.log")


async def publish_nothing(url: str) -> None:
    """Empty the outbox: without Kafka the process would wait for its events when it stops."""
    writer = engine(url, "test", pool_size=1)
    async with writer.begin() as connection:
        await connection.execute(text("DELETE FROM outbox"))
    await writer.dispose()


async def post_tickets(intake: RunningIntake, name: str) -> LoadResult:
    """One round: several callers post tickets, and all are created."""
    answered = await run_load(intake.port, CALLERS, REQUESTS, lambda number: intake.ticket(f"{name}-{number}"))
    assert set(answered.statuses) == {201}
    return answered


@asynccontextmanager
async def strain(intake: RunningIntake) -> AsyncIterator[None]:
    """200 connections that send nothing, and 50 whose bodies arrive byte by byte."""
    open_lines = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", intake.port) for _ in range(IDLE + SLOW)))
    slow = [writer for _, writer in open_lines[:SLOW]]
    head, _, body = intake.ticket("never").partition(b"\r\n\r\n")
    for writer in slow:
        writer.write(head + b"\r\n\r\n")

    async def trickle() -> None:
        for byte in body:
            for writer in slow:
                writer.write(bytes([byte]))
            await asyncio.sleep(0.1)  # the delay under test

    trickling = asyncio.create_task(trickle())
    try:
        yield
    finally:
        trickling.cancel()
        for reader, writer in open_lines:
            assert not reader.at_eof()
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in open_lines))


async def test_idle_sockets_and_slow_bodies_do_not_slow_other_requests(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Compares the p99 of requests with and without the strain; endless headers are rejected.

    The rounds are short and alternate, so that other load on the machine affects both alike; their number is fixed.
    """
    url = make_database("intake")
    alone: list[float] = []
    beside: list[float] = []

    async def round_alone(name: str) -> None:
        alone.extend((await post_tickets(intake, f"alone-{name}")).seconds)

    async def round_beside(name: str) -> None:
        async with strain(intake):
            await run_load(intake.port, 1, 1, lambda _: intake.ticket("warm-0"))  # answered once all are connected
            beside.extend((await post_tickets(intake, f"beside-{name}")).seconds)

    with running_intake(url, tmp_path) as intake:
        half = asyncio.create_task(exchange(intake.port, BEGUN, seconds=SECONDS))
        assert (await exchange(intake.port, *ENDLESS)).startswith(b"HTTP/1.1 431 ")
        await post_tickets(intake, "warm")
        for pair in range(PAIRS):
            rounds = (round_alone, round_beside) if pair % 2 else (round_beside, round_alone)
            for one in rounds:
                await one(str(pair))
        normal, strained = percentile(alone, 99), percentile(beside, 99)
        assert strained < 2 * normal, f"{strained * 1000:.1f} ms under strain, {normal * 1000:.1f} ms alone"
        assert "request_failed" not in intake.log.read_text()
        assert (await half).startswith(b"HTTP/1.1 408 ")
        await publish_nothing(url)


OTHERS = ("/v1/tickets/by-external/connectwise/SR-1", "/readyz", "/metrics")
FLOOD_CALLERS = 640
"""Ten times as many as at capacity: if nothing were shed, a ticket would wait ten times as long."""
FLOOD_REQUESTS = 600
FLOOD_ROUNDS = 6


def log_lines(intake: RunningIntake) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in intake.log.read_text().splitlines()]


async def beside(load: Awaitable[LoadResult], intake: RunningIntake, seconds: list[float]) -> LoadResult:
    """The result of the load; adds the seconds that other calls take meanwhile."""
    loading = asyncio.ensure_future(load)

    async def call(path: str) -> None:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {intake.key}\r\n\r\n".encode()
        async with Connection(intake.port) as connection:
            while not loading.done():
                began = time.monotonic()
                assert await connection.send(request) == 200
                seconds.append(time.monotonic() - began)
                await asyncio.sleep(0.02)  # a caller of its own, not a load

    await asyncio.gather(*map(call, OTHERS))
    return await loading


async def test_a_flood_of_twice_the_capacity_is_shed_before_anybody_waits_long(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    """A flood, beside as many callers as the service can serve, in short rounds that alternate.

    A rejection comes in half the time of an acceptance (p50). What is accepted waits for a bounded queue, not for all
    callers. Other calls are slowed down by a factor, not by the whole queue. Each round measures the capacity again,
    because other load on the machine changes it.
    """
    url = make_database("intake")
    numbers = itertools.count()
    full: list[LoadResult] = []
    flood: list[LoadResult] = []
    others_at_capacity: list[float] = []
    others_in_flood: list[float] = []

    def next_ticket(_: int) -> bytes:
        return intake.ticket(f"SR-{next(numbers)}")

    with running_intake(url, tmp_path) as intake:
        await run_load(intake.port, 1, 2, next_ticket)
        await run_load(intake.port, FULL_CALLERS, FLOOD_REQUESTS, next_ticket)
        for _ in range(FLOOD_ROUNDS):
            load = run_load(intake.port, FULL_CALLERS, FLOOD_REQUESTS, next_ticket)
            full.append(await beside(load, intake, others_at_capacity))
            rate = 2 * full[-1].per_second
            load = run_load(intake.port, FLOOD_CALLERS, 3 * FLOOD_REQUESTS, next_ticket, per_second=rate)
            flood.append(await beside(load, intake, others_in_flood))
        assert {status for result in full for status in result.statuses} == {201}
        took: dict[int, list[float]] = defaultdict(list)
        for result in flood:
            for status, seconds in zip(result.statuses, result.seconds, strict=True):
                took[status].append(seconds)
        assert set(took) == {201, 503}
        at_capacity = [seconds for result in full for seconds in result.seconds]
        assert 2 * percentile(took[503], 50) < percentile(took[201], 50)
        assert percentile(took[201], 50) < 5 * percentile(at_capacity, 50)
        assert percentile(others_in_flood, 50) < 2 * percentile(others_at_capacity, 50)

        def shed() -> list[int]:
            return [line["count"] for line in log_lines(intake) if line["event"] == "requests_shed"]

        await eventually(lambda: sum(shed()) == len(took[503]))  # the last line comes a second after the last
        assert len(shed()) <= sum(result.duration + 3 for result in flood)
        assert "request_failed" not in {line["event"] for line in log_lines(intake)}
        await publish_nothing(url)


async def test_a_hung_database_is_503_soon_and_accepted_tickets_are_stored_once(tmp_path: Path) -> None:
    with private_database("intake", tmp_path) as (process, url), running_intake(url, tmp_path) as intake:
        await post_tickets(intake, "before")
        with suspended(process.pid):
            began = time.monotonic()
            first = await run_load(intake.port, 8, 8, lambda number: intake.ticket(f"frozen-{number}"))
            later = await run_load(intake.port, 8, 8, lambda number: intake.ticket(f"later-{number}"))
            took = time.monotonic() - began
        assert set(first.statuses) | set(later.statuses) == {503}
        assert max(later.seconds) < 2
        assert took < 12

        async def accepted() -> bool:
            again = await run_load(intake.port, 8, 8, lambda number: intake.ticket(f"frozen-{number}"))
            return set(again.statuses) <= {200, 201}

        await eventually(accepted, seconds=SECONDS)
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {intake.key}"}) as client:
            listed = await client.get(f"http://127.0.0.1:{intake.port}/v1/tickets", params={"limit": 500})
        ids = [item["external_id"] for item in listed.json()["items"]]
        assert len(ids) == len(set(ids))
        assert intake.key not in intake.log.read_text()
        await publish_nothing(url)
