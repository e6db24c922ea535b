"""Tickets and events per second of one intake worker, beside two servers that do less, in the same rounds.

    PYTHONPATH=tests python -m bench.intake

The no-op (`bench.noop`) only validates a ticket; the reference (`bench.transaction_per_request`) stores it with an
outbox row in a transaction of its own. PostgreSQL is real and durable; each server is a process; without Kafka the
outbox only grows. The kinds of requests alternate, so that a slow phase of the machine affects all of them.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import orjson
import psutil
from support.http_load import LoadResult, percentile, post, run_load
from support.servers import intake_part, private_database, running
from tocsin_local.loopback import free_port, is_listening
from tocsin_local.processes import LaunchCommand

from bench.figures import FULL, Effort, Figure, show
from bench.transaction_per_request import create_tables

TESTS = Path(__file__).parents[1]
CALLERS = 64
REQUESTS = 1600
"""Of each kind in a round."""
BATCHES = 8
"""In a round, one after the other from two callers."""
BATCH_TICKETS = 500
NOOP, REFERENCE, TICKETS, EVENTS, BATCHED = "no-op", "reference", "tickets", "events", "batches"
EVENT = orjson.dumps({"type": "escalated", "actor": "Bob", "reason": "The customer called again"})


def measure(effort: Effort) -> list[Figure]:
    """Rates, latencies and CPU times of the intake worker, and of PostgreSQL in a batch."""
    with _servers() as servers:
        rounds = asyncio.run(_measure(servers, effort))
    return [
        *(_beside(f"{kind} by HTTP", "1/s", rounds, kind, "per_second", more_is_better=True) for kind in _SINGLE),
        *(_beside(f"{kind} by HTTP, p99", "ms", rounds, kind, "p99") for kind in _SINGLE),
        *(_beside(f"{kind} by HTTP, CPU of the worker", "ms CPU", rounds, kind, "worker_cpu") for kind in _SINGLE),
        Figure("tickets in batches", "1/s", _values(rounds, BATCHED, "per_second"), more_is_better=True),
        Figure("tickets in batches, CPU of the worker", "ms CPU", _values(rounds, BATCHED, "worker_cpu")),
        Figure("tickets in batches, CPU of PostgreSQL", "ms CPU", _values(rounds, BATCHED, "database_cpu")),
    ]


_SINGLE = (TICKETS, EVENTS)


@dataclass(frozen=True, slots=True)
class Round:
    """One kind of request in one round: items a second, p99 in ms, and CPU ms for each item."""

    per_second: float
    p99: float
    worker_cpu: float
    database_cpu: float


Rounds = dict[str, list[Round]]


def _values(rounds: Rounds, kind: str, name: str) -> tuple[float, ...]:
    return tuple(getattr(each, name) for each in rounds[kind])


def _beside(title: str, unit: str, rounds: Rounds, kind: str, name: str, *, more_is_better: bool = False) -> Figure:
    beside = {other: _values(rounds, other, name) for other in (NOOP, REFERENCE)}
    return Figure(title, unit, _values(rounds, kind, name), beside, more_is_better, note=f"{CALLERS} connections")


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    process: psutil.Process


@dataclass(frozen=True, slots=True)
class Servers:
    noop: Server
    reference: Server
    intake: Server
    database: psutil.Process
    key: str


@dataclass(frozen=True, slots=True)
class Kind:
    """`items`: how many tickets or events one request has."""

    server: Server
    request: Callable[[int], bytes]
    callers: int = CALLERS
    items: int = 1


async def _measure(servers: Servers, effort: Effort) -> Rounds:
    kinds = _kinds(servers)
    requests = dict.fromkeys(kinds, effort.sized(REQUESTS, CALLERS)) | {BATCHED: effort.sized(BATCHES, 2)}
    for name, kind in kinds.items():
        await run_load(kind.server.port, kind.callers, min(requests[name], 4 * CALLERS), kind.request)
    rounds: Rounds = defaultdict(list)
    for _ in range(effort.rounds):
        for name, kind in kinds.items():
            rounds[name].append(await _round(kind, servers.database, requests[name]))
    return rounds


async def _round(kind: Kind, database: psutil.Process, requests: int) -> Round:
    before = _cpu(kind.server.process), _cpu(database)
    result: LoadResult = await run_load(kind.server.port, kind.callers, requests, kind.request)
    worker, postgres = _cpu(kind.server.process) - before[0], _cpu(database) - before[1]
    assert set(result.statuses) <= {200, 201}, set(result.statuses)
    items = requests * kind.items
    return Round(
        per_second=items / result.duration,
        p99=1000 * percentile(result.seconds, 99),
        worker_cpu=1000 * worker / items,
        database_cpu=1000 * postgres / items,
    )


def _kinds(servers: Servers) -> dict[str, Kind]:
    numbers = count()

    def ticket(_: int) -> bytes:
        return post("/v1/tickets", servers.key, _ticket(f"SR-{next(numbers)}"))

    def event(number: int) -> bytes:
        return post(f"/v1/tickets/by-external/connectwise/SR-{number % CALLERS}/events", servers.key, EVENT)

    def batch(_: int) -> bytes:
        tickets = b",".join(_ticket(f"SR-{next(numbers)}") for _ in range(BATCH_TICKETS))
        return post("/v1/tickets/batch", servers.key, b'{"tickets":[' + tickets + b"]}")

    return {
        TICKETS: Kind(servers.intake, ticket),
        NOOP: Kind(servers.noop, ticket),
        REFERENCE: Kind(servers.reference, ticket),
        EVENTS: Kind(servers.intake, event),
        BATCHED: Kind(servers.intake, batch, callers=2, items=BATCH_TICKETS),
    }


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


def _cpu(process: psutil.Process) -> float:
    """Seconds of CPU of a process and of its children, those included that have ended."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times) + times[0].children_user + times[0].children_system


class Comparison:
    """A server of this folder as a part for `running`."""

    stop_signal = signal.SIGTERM

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        self.port = free_port()
        self._arguments = arguments

    def launch(self) -> LaunchCommand:
        command = (sys.executable, "-m", f"bench.{self.name}", str(self.port), *self._arguments)
        return LaunchCommand(command, {**os.environ, "PYTHONPATH": str(TESTS)})

    def ready(self) -> bool:
        return is_listening(self.port)


@contextmanager
def _servers() -> Iterator[Servers]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with private_database("intake", folder, durable=True) as (database, url):
            asyncio.run(create_tables(url))
            noop, reference = Comparison("noop"), Comparison("transaction_per_request", url)
            service, key = intake_part(url, folder)
            with running(noop, folder) as one, running(reference, folder) as two, running(service, folder) as three:
                yield Servers(
                    Server(noop.port, psutil.Process(one.pid)),
                    Server(reference.port, psutil.Process(two.pid)),
                    Server(service.port, psutil.Process(three.pid)),
                    psutil.Process(database.pid),
                    key,
                )


if __name__ == "__main__":
    show(measure(FULL))
