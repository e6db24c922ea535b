"""Tickets for a running stack: posted in batches or at a steady rate, with a warning due at a chosen instant."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import orjson
from support.http_load import Connection, post

WARNING_AFTER: Final = timedelta(minutes=45)
"""A ticket of severity 1 that nobody answers is warned about so long after its opening."""
BATCH: Final = 250
CONNECTIONS: Final = 4
_RUN: Final = uuid4().hex[:8]
_numbers = itertools.count(1)


def ticket_request(opened_at: datetime | None = None) -> dict[str, Any]:
    """A ticket of severity 1, by default opened now."""
    return {
        "source": "connectwise",
        "external_id": f"{_RUN}-{next(_numbers)}",
        "severity": 1,
        "summary": "Mail is down for everybody in the second building",
        "description": "Since the switch was replaced nobody can open a mailbox. " * 4,
        "affected_services": ["Email", "Calendar"],
        "contact": {"name": "Ada Lovelace", "email": "ada@acme.example"},
        "customer": {"id": "acme", "name": "Acme Corporation"},
        **({} if opened_at is None else {"opened_at": opened_at.isoformat()}),
    }


def due_at(instants: Sequence[datetime]) -> list[dict[str, Any]]:
    """One ticket for each instant, about which a warning falls due then."""
    return [ticket_request(instant - WARNING_AFTER) for instant in instants]


def spread(begin: datetime, rate: float, count: int) -> list[datetime]:
    return [begin + timedelta(seconds=number / rate) for number in range(count)]


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def post_batches(port: int, key: str, requests: Sequence[dict[str, Any]]) -> None:
    """Posts all tickets over a few connections; each must be accepted."""
    starts = iter(range(0, len(requests), BATCH))

    async def caller() -> None:
        async with Connection(port) as connection:
            for start in starts:
                body = orjson.dumps({"tickets": requests[start : start + BATCH]})
                status = await connection.send(post("/v1/tickets/batch", key, body))
                assert status == 200, status

    await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))


async def post_steadily(port: int, key: str, rate: float, seconds: float, connections: int = 16) -> list[float]:
    """Posts single tickets at this rate, whatever the responses take. Returns the seconds of each, from the instant at
    which it should have been sent.
    """
    began = time.perf_counter()
    numbers = iter(range(int(rate * seconds)))
    taken: list[float] = []

    async def caller() -> None:
        async with Connection(port) as connection:
            for number in numbers:
                planned = began + number / rate
                await asyncio.sleep(max(0.0, planned - time.perf_counter()))
                status = await connection.send(post("/v1/tickets", key, orjson.dumps(ticket_request())))
                assert status == 201, status
                taken.append(time.perf_counter() - planned)

    await asyncio.gather(*(caller() for _ in range(connections)))
    return taken
