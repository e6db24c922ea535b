"""What one ticket uses in each part, from its post to a mail about it: CPU, bytes stored and sent, connections, memory.

docs/scaling.md computes with these numbers.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg
from support.polling import eventually
from support.servers import SERVICES, SharedSink
from tocsin.runtime.kafka.client import TOPICS
from tocsin_local.stack import Stack

from bench.figures import FULL, Effort, Figure, show
from bench.stacks import bench_stack, cpu_per_second, cpu_seconds, memory_bytes, port_of
from bench.tickets import due_at, post_batches, soon, spread

TICKETS: Final = 1_000
RATE: Final = 50
KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds by part, bytes of each database, of the write-ahead log and of each topic, since the start."""

    cpu: Mapping[str, float]
    databases: Mapping[str, int]
    wal: int
    topics: Mapping[str, int]


def measure(effort: Effort) -> list[Figure]:
    return asyncio.run(_measure(effort))


async def _measure(effort: Effort) -> list[Figure]:
    count = effort.sized(TICKETS, 50)
    with bench_stack() as stack:
        await _mailed(stack, 50)  # warm up
        idle = await cpu_per_second(stack, max(2.0, 10 * effort.scale))
        before, began = await _usage(stack), asyncio.get_running_loop().time()
        await _mailed(stack, count)
        passed = asyncio.get_running_loop().time() - began
        after = await _usage(stack)
        connections, memory = await _connections(stack), memory_bytes(stack)
    return [
        *_costs(before, after, {part: rate * passed for part, rate in idle.items()}, count),
        *(Figure(f"connections of {name}", "connections", (number,)) for name, number in connections.items()),
        *(Figure(f"memory of {name}", "MiB", (memory[name] / KIB**2,)) for name in SERVICES),
    ]


def _costs(before: Usage, after: Usage, idle: Mapping[str, float], count: int) -> Iterator[Figure]:
    for part in sorted(after.cpu):
        used = after.cpu[part] - before.cpu.get(part, 0.0) - idle.get(part, 0.0)
        yield Figure(f"CPU a ticket, {part}", "ms CPU", (max(0.0, 1000 * used / count),))
    for name in SERVICES.values():
        stored = (after.databases[name] - before.databases[name]) / count / KIB
        yield Figure(f"stored for a ticket, {name}", "KiB", (stored,), note="tables and indexes, as they lie on disk")
    yield Figure("write-ahead log of a ticket", "KiB", ((after.wal - before.wal) / count / KIB,))
    for topic in TOPICS:
        yield Figure(
            f"topic bytes of a ticket, {topic}", "KiB", ((after.topics[topic] - before.topics[topic]) / count / KIB,)
        )


async def _mailed(stack: Stack, count: int) -> None:
    """Tickets are posted, and each is warned about a little later."""
    sink = SharedSink(stack.smtp.address, stack.smtp.inbox)
    sink.clear()
    requests = due_at(spread(soon(2 + count / 400), RATE, count))
    await post_batches(port_of(stack, "intake"), stack.run["api_key"], requests)

    async def mailed() -> bool:
        return len(await asyncio.to_thread(sink.messages)) >= count

    await eventually(mailed, f"{count} mails", seconds=300, every=1)


async def _usage(stack: Stack) -> Usage:
    databases = {}
    wal = 0
    for service, package in SERVICES.items():
        connection = await _connect(stack, service)
        databases[package] = await connection.fetchval("SELECT pg_database_size(current_database())")
        wal = await connection.fetchval("SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
        await connection.close()
    return Usage(cpu_seconds(stack), databases, wal, _topic_bytes(stack))


def _topic_bytes(stack: Stack) -> dict[str, int]:
    data = stack.kafka.folder / "data"
    return {topic: sum(file.stat().st_size for file in data.glob(f"{topic}-*/*.log")) for topic in TOPICS}


async def _connections(stack: Stack) -> dict[str, int]:
    """The connections that each service holds to its database."""
    found = {}
    for service, package in SERVICES.items():
        connection = await _connect(stack, service)
        found[service] = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", package
        )
        await connection.close()
    return found


async def _connect(stack: Stack, service: str) -> asyncpg.Connection:
    return await asyncpg.connect(stack.run["databases"][service].replace("+asyncpg", ""))


if __name__ == "__main__":
    show(measure(FULL))
