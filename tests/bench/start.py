"""How long a service takes from its start until it is ready, beside an interpreter that only imports its libraries.

    PYTHONPATH=tests python -m bench.start

PostgreSQL and Kafka run as for `make run`. Each service is stopped cleanly and started again, alone.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import psutil
from support.servers import SERVICES, log_line
from tocsin_local.loopback import free_port_offset, responds
from tocsin_local.stack import Stack, StackOptions

from bench.figures import FULL, Effort, Figure, show

LIBRARIES: Final = "import os, fastapi, uvicorn, sqlalchemy.ext.asyncio, asyncpg, aiokafka; os._exit(0)"
BESIDE: Final = "imports of its libraries"
POLL_SECONDS: Final = 0.005


class Start(NamedTuple):
    """Seconds until ready, and the CPU seconds used until then."""

    wall: float
    cpu: float


def measure(effort: Effort) -> list[Figure]:
    """The start of each service: wall and CPU seconds."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        stack = Stack(StackOptions(state=Path(folder), port_offset=free_port_offset()), log_line)
        try:
            with stack.running():
                return _measure(stack, effort)
        finally:
            stack.postgres.remove()


def _measure(stack: Stack, effort: Effort) -> list[Figure]:
    for service in SERVICES:
        stack.parts.stop(service)
    beside: list[Start] = []
    starts: Mapping[str, list[Start]] = {service: [] for service in SERVICES}
    for _ in range(effort.rounds):
        beside.append(_import_libraries())
        for service, rounds in starts.items():
            rounds.append(_start(stack, service))
            stack.parts.stop(service)
    return [figure for service, rounds in starts.items() for figure in _figures(service, rounds, beside)]


def _figures(service: str, starts: Sequence[Start], beside: Sequence[Start]) -> list[Figure]:
    figure = partial(Figure, unit="s")
    return [
        figure(
            f"start of {service}",
            rounds=tuple(each.wall for each in starts),
            beside={BESIDE: tuple(each.wall for each in beside)},
        ),
        figure(
            f"start of {service}, CPU",
            rounds=tuple(each.cpu for each in starts),
            beside={BESIDE: tuple(each.cpu for each in beside)},
        ),
    ]


def _start(stack: Stack, service: str) -> Start:
    port = urlsplit(stack.run["urls"][service]).port
    assert port is not None
    with ThreadPoolExecutor(1) as pool:
        begun = time.perf_counter()
        started = pool.submit(stack.parts.start, service)  # returns up to 50 ms later than needed
        while not responds(port, "/readyz"):
            time.sleep(POLL_SECONDS)
        wall = time.perf_counter() - begun
        used = psutil.Process(stack.parts.pids()[service]).cpu_times()
        started.result()
    return Start(wall, used.user + used.system)


def _import_libraries() -> Start:
    """An interpreter that imports the libraries, and ends without taking itself down in order."""
    begun, before = time.perf_counter(), os.times()
    subprocess.run((sys.executable, "-c", LIBRARIES), check=True)
    wall, after = time.perf_counter() - begun, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Start(wall, cpu)


if __name__ == "__main__":
    show(measure(FULL))
