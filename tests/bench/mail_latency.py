"""From the instant at which a warning is due to the mail server's 250, through all services."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from support.http_load import percentile
from support.polling import eventually
from support.servers import SharedSink
from tocsin_local.stack import Stack

from bench.figures import FULL, Effort, Figure, show
from bench.growth import evaluated
from bench.stacks import bench_stack, port_of
from bench.tickets import WARNING_AFTER, due_at, post_batches, soon, spread

BURSTS: Final = {1: 10, 50: 10}
"""For each rate of mails a second, the seconds of one round."""


def measure(effort: Effort) -> list[Figure]:
    found = asyncio.run(_rounds(effort))
    return [
        Figure(
            f"deadline to SMTP 250 at {rate} a second, p{percent}",
            "ms",
            tuple(1000 * percentile(one, percent) for one in rounds),
            note=f"rounds of {len(rounds[0])} mails",
        )
        for rate, rounds in found.items()
        for percent in (50, 99)
    ]


async def _rounds(effort: Effort) -> dict[int, list[Sequence[float]]]:
    with bench_stack() as stack:
        sink = SharedSink(stack.smtp.address, stack.smtp.inbox)
        await _latencies(stack, sink, 20, 20)  # warm up
        return {
            rate: [
                await _latencies(stack, sink, rate, max(3, effort.sized(rate * seconds))) for _ in range(effort.rounds)
            ]
            for rate, seconds in BURSTS.items()
        }


async def _latencies(stack: Stack, sink: SharedSink, rate: int, count: int) -> Sequence[float]:
    """Seconds from the due instant of each warning to its mail."""
    instants = spread(soon(3 + count / 200), rate, count)
    requests = due_at(instants)
    due = {request["external_id"]: instant for request, instant in zip(requests, instants, strict=True)}
    await post_batches(port_of(stack, "intake"), stack.run["api_key"], requests)
    await evaluated(stack, count, instants[0] - WARNING_AFTER)
    assert datetime.now(instants[0].tzinfo) < instants[0], "evaluated too late: the machine is too slow"
    await asyncio.sleep((instants[-1] - datetime.now(instants[0].tzinfo)).total_seconds())

    async def mails() -> list[dict[str, Any]] | None:
        received = await asyncio.to_thread(sink.messages)
        return received if len(received) >= count else None

    received = await eventually(mails, f"{count} mails", seconds=300, every=0.5)
    sink.clear()
    return [
        (datetime.fromisoformat(mail["received_at"]) - due[dict(mail["headers"])["Tocsin-External-Id"]]).total_seconds()
        for mail in received
    ]


if __name__ == "__main__":
    show(measure(FULL))
