"""What an idle system costs: the CPU time of each part of `make run` while nothing happens.

    PYTHONPATH=tests python -m bench.idle

Prometheus and Alertmanager are not started, because they are not parts of tocsin.
"""

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from support.cpu_time import cpu_seconds
from tocsin_local.loopback import free_port_offset
from tocsin_local.stack import Stack, StackOptions

from bench.figures import FULL, Effort, Figure, show

WARM_UP_SECONDS: Final = 30
"""Until then the services join their groups and the JVM compiles what runs all the time."""
ROUND_SECONDS: Final = 15
UNIT: Final = "% of a core"


def measure(effort: Effort) -> list[Figure]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        stack = Stack(StackOptions(state=Path(name) / "state", port_offset=free_port_offset()), lambda _: None)
        with stack.running():
            time.sleep(WARM_UP_SECONDS)
            rounds = [_percent(stack, effort.sized(ROUND_SECONDS)) for _ in range(effort.rounds)]
        stack.postgres.remove()
    parts = {name: tuple(each[name] for each in rounds) for name in rounds[0]}
    note = "PostgreSQL with its backends; without Prometheus and Alertmanager"
    return [
        Figure("idle", UNIT, tuple(sum(each.values()) for each in rounds), note=note),
        *(Figure(f"idle, {name}", UNIT, values) for name, values in parts.items()),
    ]


def _percent(stack: Stack, seconds: float) -> Mapping[str, float]:
    """What each part uses within the next seconds. This process supervises the stack."""
    pids = {name: pid for name, pid in stack.parts.pids().items() if pid is not None}
    before, own, begun = {name: cpu_seconds(pid) for name, pid in pids.items()}, _own_seconds(), time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - begun
    used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    used["supervisor"] = _own_seconds() - own
    return {name: 100 * each / elapsed for name, each in used.items()}


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system


if __name__ == "__main__":
    show(measure(FULL))
