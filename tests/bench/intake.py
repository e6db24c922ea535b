"""Tickets and events per second of one intake worker, compared with a FastAPI no-op in the same run.

    PYTHONPATH=tests python -m bench.intake [--callers 50] [--requests 4000]

PostgreSQL is real and durable; intake and the no-op run as separate processes; without Kafka the outbox only grows. The
three alternate, so that a slow phase of the machine affects all of them.
"""

import asyncio
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import orjson
import typer
from support.http_load import LoadResult, percentile, post, run_load
from support.servers import intake_part, log_line, private_database, running
from tocsin_local.loopback import free_port, is_listening
from tocsin_local.processes import LaunchCommand

ROOT = Path(__file__).parents[2]
ROUNDS = 5


def main(callers: Annotated[int, typer.Option()] = 50, requests: Annotated[int, typer.Option()] = 4000) -> None:
    with _servers() as (noop, intake, key):
        asyncio.run(_measure(noop, intake, key, callers, requests))


async def _measure(noop: int, intake: int, key: str, callers: int, requests: int) -> None:
    tickets: list[bytes] = []

    def ticket(number: int) -> bytes:
        tickets.append(_ticket(f"SR-{len(tickets)}"))
        return post("/v1/tickets", key, tickets[-1])

    def event(number: int) -> bytes:
        return post(f"/v1/tickets/by-external/connectwise/SR-{number % callers}/events", key, EVENT)

    kinds: dict[str, tuple[int, Callable[[int], bytes]]] = {
        "no-op": (noop, lambda number: post("/v1/tickets", key, _ticket(f"SR-{number}"))),
        "tickets": (intake, ticket),
        "events": (intake, event),
    }
    for port, request in kinds.values():
        await run_load(port, callers, 20 * callers, request)
    found: dict[str, list[LoadResult]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, (port, request) in kinds.items():
            answered = await run_load(port, callers, requests // ROUNDS, request)
            assert set(answered.statuses) == {201}, set(answered.statuses)
            found[name].append(answered)
    least = statistics.median(answered.per_second for answered in found["no-op"])
    for name, rounds in found.items():
        rate = statistics.median(answered.per_second for answered in rounds)
        p50, p99 = (
            1000 * statistics.median(percentile(one.seconds, percent) for one in rounds) for percent in (50, 99)
        )
        log_line(f"{name:8} {rate:6.0f}/s   {rate / least:4.2f} of the no-op   p50 {p50:5.1f} ms   p99 {p99:5.1f} ms")


EVENT = orjson.dumps({"type": "escalated", "actor": "Bob", "reason": "The customer called again"})


def _ticket(external_id: str) -> bytes:
    return orjson.dumps(
        {
            "source": "connectwise",
            "external_id": external_id,
            "severity": 2,
            "summary": "Mail is down for everybody in the second building",
            "description": "Since the switch was replaced nobody can open a mailbox. " * 4,
            "affected_services": ["Email", "Calendar"],
            "contact": {"name": "Ada Lovelace", "email": "ada@acme.example"},
            "customer": {"id": "acme", "name": "Acme Corporation"},
        }
    )


class Noop:
    name = "noop"
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.port = free_port()

    def launch(self) -> LaunchCommand:
        return LaunchCommand(
            (sys.executable, str(Path(__file__).with_name("noop.py")), str(self.port)), dict(os.environ)
        )

    def ready(self) -> bool:
        return is_listening(self.port)


@contextmanager
def _servers() -> Iterator[tuple[int, int, str]]:
    noop = Noop()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with private_database("intake", folder, durable=True) as (_, url), running(noop, folder):
            service, key = intake_part(url, folder, TOCSIN_LOG_LEVEL="warning")
            with running(service, folder):
                yield noop.port, service.port, key


if __name__ == "__main__":
    typer.run(main)
