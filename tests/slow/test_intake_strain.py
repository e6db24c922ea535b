"""Intake while others misbehave: idle sockets, slow bodies and headers cost nobody anything, a frozen database is told
soon.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import pytest
from sqlalchemy import text
from support.http_load import BEGUN, ENDLESS, Answered, percentile, post, said, together
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


@dataclass(frozen=True)
class Door:
    """A running intake, and a key for it."""

    port: int
    key: str
    log: Path

    def ticket(self, external_id: str) -> bytes:
        return post("/v1/tickets", self.key, orjson.dumps(ticket(external_id)))


@contextmanager
def door(url: str, folder: Path) -> Iterator[Door]:
    service, key = intake_part(url, folder)
    with running(service, folder):
        yield Door(service.port, key, folder / "intake.log")


async def publish_nothing(url: str) -> None:
    """Empty the outbox, for whose events a process without Kafka would wait at its end."""
    writer = engine(url, "test", pool_size=1)
    async with writer.begin() as connection:
        await connection.execute(text("DELETE FROM outbox"))
    await writer.dispose()


async def tickets(intake: Door, name: str) -> Answered:
    """A round: several callers post tickets, all of which are taken."""
    answered = await together(intake.port, CALLERS, REQUESTS, lambda number: intake.ticket(f"{name}-{number}"))
    assert set(answered.statuses) == {201}
    return answered


@asynccontextmanager
async def others(intake: Door) -> AsyncIterator[None]:
    """200 connections that say nothing, and 50 whose bodies come byte by byte."""
    open_lines = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", intake.port) for _ in range(IDLE + SLOW)))
    slow = [writer for _, writer in open_lines[:SLOW]]
    head, _, body = intake.ticket("never").partition(b"\r\n\r\n")
    for writer in slow:
        writer.write(head + b"\r\n\r\n")

    async def trickle() -> None:
        for byte in body:
            for writer in slow:
                writer.write(bytes([byte]))
            await asyncio.sleep(0.1)  # which is what makes them slow

    trickling = asyncio.create_task(trickle())
    try:
        yield
    finally:
        trickling.cancel()
        for reader, writer in open_lines:
            assert not reader.at_eof()
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in open_lines))


async def test_idle_sockets_and_slow_bodies_leave_the_others_their_speed(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    """The p99 of all requests beside them, against that of all requests alone; headers without end are refused.

    Short rounds in alternating order, so that what else the machine does falls on both alike; their number is fixed.
    """
    url = make_database("intake")
    alone: list[float] = []
    beside: list[float] = []

    async def round_alone(name: str) -> None:
        alone.extend((await tickets(intake, f"alone-{name}")).seconds)

    async def round_beside(name: str) -> None:
        async with others(intake):
            await together(intake.port, 1, 1, lambda _: intake.ticket("warm-0"))  # answered when all were let in
            beside.extend((await tickets(intake, f"beside-{name}")).seconds)

    with door(url, tmp_path) as intake:
        half = asyncio.create_task(said(intake.port, BEGUN, seconds=SECONDS))
        assert (await said(intake.port, *ENDLESS)).startswith(b"HTTP/1.1 431 ")
        await tickets(intake, "warm")
        for pair in range(PAIRS):
            rounds = (round_alone, round_beside) if pair % 2 else (round_beside, round_alone)
            for one in rounds:
                await one(str(pair))
        normal, strained = percentile(alone, 99), percentile(beside, 99)
        assert strained < 2 * normal, f"{strained * 1000:.1f} ms beside them, {normal * 1000:.1f} ms alone"
        assert "request_failed" not in intake.log.read_text()
        assert (await half).startswith(b"HTTP/1.1 408 ")
        await publish_nothing(url)


async def test_a_frozen_database_is_told_soon_and_what_was_taken_is_there_afterwards(tmp_path: Path) -> None:
    with private_database("intake", tmp_path) as (process, url), door(url, tmp_path) as intake:
        await tickets(intake, "before")
        with suspended(process.pid):
            began = time.monotonic()
            first = await together(intake.port, 8, 8, lambda number: intake.ticket(f"frozen-{number}"))
            later = await together(intake.port, 8, 8, lambda number: intake.ticket(f"later-{number}"))
            took = time.monotonic() - began
        assert set(first.statuses) | set(later.statuses) == {503}
        assert max(later.seconds) < 2
        assert took < 12

        async def taken() -> bool:
            again = await together(intake.port, 8, 8, lambda number: intake.ticket(f"frozen-{number}"))
            return set(again.statuses) <= {200, 201}

        await eventually(taken, seconds=SECONDS)
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {intake.key}"}) as client:
            listed = await client.get(f"http://127.0.0.1:{intake.port}/v1/tickets", params={"limit": 500})
        ids = [item["external_id"] for item in listed.json()["items"]]
        assert len(ids) == len(set(ids))
        assert intake.key not in intake.log.read_text()
        await publish_nothing(url)
