"""A stack for a benchmark: durable, in real time, with its own state; and what its processes have used."""

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import psutil
from support.movable_stack import SHIPPED_POLICY
from support.servers import log_line
from tocsin_local.loopback import free_port_offset
from tocsin_local.services import PIPELINE
from tocsin_local.stack import Stack, StackOptions

SINGLE_MAILS = ("single_per_minute: 5", "single_per_minute: 100000")


@contextmanager
def bench_stack(services: Sequence[str] = PIPELINE) -> Iterator[Stack]:
    """A running stack with these services. Its policy never joins mails into digests."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        policy = folder / "policy.yaml"
        policy.write_text(SHIPPED_POLICY.read_text().replace(*SINGLE_MAILS))
        settings = {"TOCSIN_LOG_LEVEL": "warning"}
        offset = free_port_offset()
        options = StackOptions(folder / "state", offset, services=services, policy=policy, settings=settings)
        stack = Stack(options, log_line)
        try:
            with stack.running():
                # No checkpoint in the middle of a round, as an administrator sets it for a busy server.
                stack.postgres.execute("ALTER SYSTEM SET max_wal_size = '8GB'", "SELECT pg_reload_conf()")
                yield stack
        finally:
            stack.postgres.remove()


def port_of(stack: Stack, service: str) -> int:
    return int(stack.run["urls"][service].rpartition(":")[2])


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """CPU seconds by part since its start. PostgreSQL's are those of its backends by database (`postgres sla_timer`),
    and of the server's other processes (`postgres`).
    """
    used: dict[str, float] = defaultdict(float)
    for name, pid in stack.parts.pids().items():
        for owner, seconds in _tree(name, psutil.Process(pid)) if pid is not None else ():
            used[owner] += seconds
    return used


async def cpu_per_second(stack: Stack, seconds: float) -> dict[str, float]:
    """CPU seconds a second of each part, over this time."""
    before, began = cpu_seconds(stack), time.perf_counter()
    await asyncio.sleep(seconds)
    passed = time.perf_counter() - began
    return {part: (used - before.get(part, 0.0)) / passed for part, used in cpu_seconds(stack).items()}


async def count_rows(stack: Stack, service: str, table: str) -> int:
    connection = await asyncpg.connect(stack.run["databases"][service].replace("+asyncpg", ""))
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()


def memory_bytes(stack: Stack) -> dict[str, int]:
    """Resident bytes of each part's main process."""
    return {name: psutil.Process(pid).memory_info().rss for name, pid in stack.parts.pids().items() if pid is not None}


def _tree(name: str, process: psutil.Process) -> Iterator[tuple[str, float]]:
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times, title = each.cpu_times(), " ".join(each.cmdline())
            yield _owner(name, title), times.user + times.system
            yield name, times.children_user + times.children_system


def _owner(name: str, title: str) -> str:
    """`postgres: sla_timer sla_timer 127.0.0.1(40000) idle` belongs to `postgres sla_timer`."""
    words = title.split()
    is_backend = name == "postgres" and len(words) > 3 and "(" in words[3]
    return f"postgres {words[2]}" if is_backend else name
