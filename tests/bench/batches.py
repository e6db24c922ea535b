"""Tickets posted in batches until sla-timer knows every deadline of theirs, through HTTP, both databases and Kafka."""

import asyncio
import time
from typing import Final

from tocsin_local.stack import Stack

from bench.figures import FULL, Effort, Figure, show
from bench.growth import evaluated
from bench.stacks import bench_stack, cpu_seconds, port_of
from bench.tickets import BATCH, post_batches, soon, ticket_request

TICKETS: Final = 10_000
PARTS: Final = ("intake", "sla-timer", "postgres intake", "postgres sla_timer")


def measure(effort: Effort) -> list[Figure]:
    tickets = effort.sized(TICKETS)
    rates, posted, costs = zip(*asyncio.run(_rounds(tickets, effort.rounds)), strict=True)
    note = f"{tickets:,} tickets in batches of {BATCH}, one process of each service"
    return [
        Figure("batches until judged", "1/s", rates, more_is_better=True, note=note),
        Figure("batches until accepted", "1/s", posted, more_is_better=True, note="by intake, in the same rounds"),
        *(
            Figure(
                f"batches, CPU of {part}",
                "ms CPU",
                tuple(1000 * cost[part] / tickets for cost in costs),
                note="of one ticket",
            )
            for part in PARTS
        ),
    ]


async def _rounds(tickets: int, rounds: int) -> list[tuple[float, float, dict[str, float]]]:
    with bench_stack(("intake", "sla-timer")) as stack:
        await _round(stack, 1_000)  # warm up
        return [await _round(stack, tickets) for _ in range(rounds)]


async def _round(stack: Stack, tickets: int) -> tuple[float, float, dict[str, float]]:
    """Tickets a second until judged and until accepted, and the CPU seconds of each part."""
    opened_from = soon(0)
    requests = [ticket_request() for _ in range(tickets)]
    before, began = cpu_seconds(stack), time.perf_counter()
    await post_batches(port_of(stack, "intake"), stack.run["api_key"], requests)
    posted = tickets / (time.perf_counter() - began)
    await evaluated(stack, tickets, opened_from)
    rate = tickets / (time.perf_counter() - began)
    after = cpu_seconds(stack)
    return rate, posted, {part: after[part] - before.get(part, 0.0) for part in PARTS}


if __name__ == "__main__":
    show(measure(FULL))
