"""Intake while others misbehave: idle sockets and slow bodies cost nobody anything, a frozen database is told soon."""

import asyncio
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
from callers import post, together
from intake_world import ROOT, ticket
from runtime_world import until
from servers import MakeDatabase, migrate, role_of, running, tell
from sqlalchemy import text
from tocsin.runtime.database import engine
from tocsin.runtime.keys import KeyFile, issue, write_keys
from tocsin_local.postgres import Postgres
from tocsin_local.processes import free_port
from tocsin_local.services import Service

IDLE = 200
SLOW = 50
ROUNDS = 5
MOST_ROUNDS = 15  # where the machine is so busy that five say nothing
REQUESTS = 150
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
    key, entry = issue("default")
    write_keys(folder / "keys.yaml", KeyFile(keys=(entry,)))
    settings = {
        "TOCSIN_DATABASE_URL": url,
        "TOCSIN_KAFKA": f"127.0.0.1:{free_port()}",
        "TOCSIN_KEYS": str(folder / "keys.yaml"),
        "TOCSIN_POLICY": str(ROOT / "deploy/policy/policy.yaml"),
        "TOCSIN_ACK_KEYS": "k" * 32,
    }
    service = Service("intake", "intake", free_port(), settings)
    with running(service, folder):
        yield Door(service.port, key, folder / "intake.log")


async def publish_nothing(url: str) -> None:
    """Empty the outbox, for whose events a process without Kafka would wait at its end."""
    writer = engine(url, "test", pool_size=1)
    async with writer.begin() as connection:
        await connection.execute(text("DELETE FROM outbox"))
    await writer.dispose()


async def p99(intake: Door, name: str) -> float:
    """Of the seconds that tickets take which several callers post."""
    answered = await together(intake.port, CALLERS, REQUESTS, lambda number: intake.ticket(f"{name}-{number}"))
    assert set(answered.statuses) == {201}
    return answered.percentile(99)


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
            await asyncio.sleep(0.1)

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
    url = make_database("intake")
    with door(url, tmp_path) as intake:
        await p99(intake, "warm")
        alone: list[float] = []
        beside: list[float] = []
        for number in range(MOST_ROUNDS):
            alone.append(await p99(intake, f"alone-{number}"))
            async with others(intake):
                beside.append(await p99(intake, f"beside-{number}"))
            if number + 1 >= ROUNDS and statistics.median(beside) < 2 * statistics.median(alone):
                break
        assert statistics.median(beside) < 2 * statistics.median(alone), (alone, beside)
        assert "request_failed" not in intake.log.read_text()
        await publish_nothing(url)


async def test_a_frozen_database_is_told_soon_and_what_was_taken_is_there_afterwards(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", free_port(), tell, durable=False)
    with running(server, tmp_path) as process:
        server.create_role(role_of("intake"))
        url = server.create_database("intake", role_of("intake"))
        migrate("intake", url)
        with door(url, tmp_path) as intake:
            await p99(intake, "before")
            frozen = [process.pid, *children(process.pid)]
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            try:
                began = time.monotonic()
                first = await together(intake.port, 8, 8, lambda number: intake.ticket(f"frozen-{number}"))
                later = await together(intake.port, 8, 8, lambda number: intake.ticket(f"later-{number}"))
                took = time.monotonic() - began
            finally:
                for pid in frozen:
                    os.kill(pid, signal.SIGCONT)
            assert set(first.statuses) | set(later.statuses) == {503}
            assert max(later.seconds) < 2
            assert took < 12

            async def taken() -> bool:
                again = await together(intake.port, 8, 8, lambda number: intake.ticket(f"frozen-{number}"))
                return set(again.statuses) <= {200, 201}

            await until(taken, SECONDS)
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {intake.key}"}) as client:
                listed = await client.get(f"http://127.0.0.1:{intake.port}/v1/tickets", params={"limit": 500})
            ids = [item["external_id"] for item in listed.json()["items"]]
            assert len(ids) == len(set(ids))
            assert intake.key not in intake.log.read_text()
            await publish_nothing(url)
    server.remove()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
