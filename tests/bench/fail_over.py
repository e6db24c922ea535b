"""How long the partitions of a consumer that was killed with -9 go unread: sla-timer, which reads like the others."""

import asyncio
import time
from typing import Final

from tocsin.runtime.kafka.client import TICKETS_TOPIC
from tocsin_local.stack import Stack

from bench.arming import opened, send
from bench.figures import FULL, Effort, Figure, show
from bench.growth import evaluated
from bench.stacks import bench_stack
from bench.tickets import soon

SERVICE: Final = "sla-timer"
TICKETS: Final = 60
"""So many that every partition has some."""


def measure(effort: Effort) -> list[Figure]:
    restarted, replaced = asyncio.run(_rounds(effort))
    what = f"from kill -9 until {TICKETS} new tickets of all partitions are evaluated"
    return [
        Figure("fail-over by a restart", "s", tuple(restarted), note=f"{what}; the process is started again at once"),
        Figure("fail-over to a second replica", "s", tuple(replaced), note=f"{what}; the killed one stays down"),
    ]


async def _rounds(effort: Effort) -> tuple[list[float], list[float]]:
    with bench_stack((SERVICE,)) as stack:
        await _all_read(stack)
        restarted = [await _killed(stack, SERVICE, restart=True) for _ in range(effort.rounds)]
        other = await asyncio.to_thread(stack.add_replica, SERVICE)
        replaced = []
        for number in range(effort.rounds):
            victim = (SERVICE, other)[number % 2]
            await _all_read(stack)
            replaced.append(await _killed(stack, victim, restart=False))
            await asyncio.to_thread(stack.parts.start, victim)
        return restarted, replaced


async def _killed(stack: Stack, part: str, *, restart: bool) -> float:
    began = time.perf_counter()
    await asyncio.to_thread(stack.parts.kill, part)
    starting = asyncio.create_task(asyncio.to_thread(stack.parts.start, part)) if restart else None
    await _all_read(stack)
    seconds = time.perf_counter() - began
    if starting is not None:
        await starting
    return seconds


async def _all_read(stack: Stack) -> None:
    """Every partition is read: returns when new tickets of all of them are evaluated."""
    began = soon(0)
    await send(stack.run["kafka"], TICKETS_TOPIC, [opened() for _ in range(TICKETS)])
    await evaluated(stack, TICKETS, began)


if __name__ == "__main__":
    show(measure(FULL))
