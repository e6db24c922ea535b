"""What one, two and three replicas of each service do in a second with a backlog.

On few cores the replicas share them with Kafka, PostgreSQL and this program. Whether they hinder each other shows in
the CPU time of an item.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import orjson
from support.deadline_events import DeadlineEventFactory
from support.deadline_events import ticket as deadline_ticket
from support.http_load import Connection, post
from support.notifier_events import escalation
from support.notifier_events import ticket as notified_ticket
from support.polling import eventually
from tocsin.events import LadderStepDue, Notify
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, ESCALATIONS_TOPIC, TICKETS_TOPIC
from tocsin_local.services import PACKAGES
from tocsin_local.stack import Stack

from bench.arming import opened, send
from bench.figures import FULL, Effort, Figure, show
from bench.stacks import bench_stack, count_rows, cpu_seconds
from bench.tickets import ticket_request

MOST_REPLICAS: Final = 3
MOST_ROUNDS: Final = 3
CALLERS: Final = 64
ITEMS: Final = {"intake": 2_000, "sla-timer": 5_000, "escalator": 2_000, "notifier": 500}
UNITS: Final = {"intake": "tickets", "sla-timer": "tickets", "escalator": "steps", "notifier": "mails"}
DONE: Final = {"sla-timer": "tickets", "escalator": "handled", "notifier": "deliveries WHERE state = 'sent'"}
MIDDLE: Final = (0.1, 0.9)
"""The part of a backlog that is measured: neither the waking up nor the last stragglers."""


def measure(effort: Effort) -> list[Figure]:
    return [figure for service in ITEMS for figure in asyncio.run(_figures(service, effort))]


async def _figures(service: str, effort: Effort) -> list[Figure]:
    figures = []
    with bench_stack((service,)) as stack:
        parts = [service]
        for replicas in range(1, MOST_REPLICAS + 1):
            if replicas > 1:
                parts.append(await asyncio.to_thread(stack.add_replica, service))
            await _rate(stack, service, parts, 300)  # warm up, and let every replica join
            found = [
                await _rate(stack, service, parts, effort.sized(ITEMS[service], 200))
                for _ in range(min(MOST_ROUNDS, effort.rounds))
            ]
            name = f"{service}, {replicas} {'replica' if replicas == 1 else 'replicas'}"
            rates, costs = zip(*found, strict=True)
            figures += [
                Figure(name, f"{UNITS[service]}/s", rates, more_is_better=True),
                Figure(f"{name}: CPU", "ms CPU", costs, note="the service and its PostgreSQL backends, an item"),
            ]
    return figures


async def _rate(stack: Stack, service: str, parts: list[str], count: int) -> tuple[float, float]:
    """Items a second, and milliseconds of CPU an item."""
    owners = (*parts, f"postgres {PACKAGES[service]}")
    before = cpu_seconds(stack)
    if service == "intake":
        rate = await _post(stack, parts, count)
    else:
        done = await count_rows(stack, service, DONE[service])
        rate, _ = await asyncio.gather(_drain(stack, service, done, count), _send(stack, service, count))
    after = cpu_seconds(stack)
    return rate, 1000 * sum(after[owner] - before.get(owner, 0.0) for owner in owners) / count


async def _drain(stack: Stack, service: str, done: int, count: int) -> float:
    reached: list[tuple[int, float]] = []
    for share in MIDDLE:

        async def has(wanted: float = done + share * count) -> bool:
            found = await count_rows(stack, service, DONE[service])
            if found >= wanted:
                reached.append((found, time.perf_counter()))
            return found >= wanted

        await eventually(has, f"{share:.0%} of the backlog of {service}", seconds=300, every=0.02)
    (first, began), (last, ended) = reached
    await eventually(_all_done(stack, service, done + count), f"the backlog of {service}", seconds=300)
    return (last - first) / (ended - began) if last > first else count / max(1e-3, ended - began)


def _all_done(stack: Stack, service: str, wanted: int) -> Callable[[], Awaitable[bool]]:
    async def done() -> bool:
        return await count_rows(stack, service, DONE[service]) >= wanted

    return done


async def _send(stack: Stack, service: str, count: int) -> None:
    bootstrap = stack.run["kafka"]
    if service == "sla-timer":
        await send(bootstrap, TICKETS_TOPIC, [opened() for _ in range(count)])
    elif service == "escalator":
        await send(bootstrap, DEADLINES_TOPIC, [_step_due() for _ in range(count)], "sla-timer")
    else:
        await send(bootstrap, ESCALATIONS_TOPIC, [_notify() for _ in range(count)], "escalator")


def _step_due() -> LadderStepDue:
    return DeadlineEventFactory(deadline_ticket(str(uuid4()))).step(1)


def _notify() -> Notify:
    now = datetime.now(UTC)
    return escalation(notified_ticket(ticket_id=uuid4()), event_id=uuid4(), at=now, due_at=now)


async def _post(stack: Stack, parts: list[str], count: int) -> float:
    """Tickets a second over connections that are spread over the replicas."""
    ports = [stack.parts.port(part) for part in parts]
    numbers = iter(range(count))
    key = stack.run["api_key"]

    async def caller(port: int) -> None:
        async with Connection(port) as connection:
            for _ in numbers:
                status = await connection.send(post("/v1/tickets", key, orjson.dumps(ticket_request())))
                assert status == 201, status

    began = time.perf_counter()
    await asyncio.gather(*(caller(ports[number % len(ports)]) for number in range(CALLERS)))
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    show(measure(FULL))
