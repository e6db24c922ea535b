"""How many tickets and events a second one worker of intake takes, beside a no-op of FastAPI in the same run.

    PYTHONPATH=tests python -m bench.intake [--callers 50] [--requests 4000]

PostgreSQL is real and durable, intake and the no-op are processes of their own; Kafka is away, so that what is stored
waits. The three take turns, so that a machine that is slow for a while is slow for all.
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
from support.http_load import Answered, percentile, post, together
from support.servers import intake_part, log_line, private_database, running
from tocsin_local.processes import Launch, answers, free_port

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
        await together(port, callers, 20 * callers, request)
    found: dict[str, list[Answered]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, (port, request) in kinds.items():
            answered = await together(port, callers, requests // ROUNDS, request)
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

    def launch(self) -> Launch:
        return Launch((sys.executable, str(Path(__file__).with_name("noop.py")), str(self.port)), dict(os.environ))

    def ready(self) -> bool:
        return answers(self.port)


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
