"""Waits until the pipeline is idle, by the services' metrics and open deliveries (docs/architecture.md#metrics)."""

import asyncio
import time
from typing import Final

from tocsin_local.services import BOARD

from tocsin_tools.client import StackClient
from tocsin_tools.errors import NotIdleError

SERVICES: Final = ("intake", "sla-timer", "escalator", "notifier")
OPEN_STATES: Final = ("queued", "held", "claimed", "in_data", "deferred")
GAUGE_SECONDS: Final = 6.0
"""The services measure the gauges that are read here every 5 s or more often: in 6 s each has been measured anew."""
TOPIC_WITH_WATERMARKS: Final = "tocsin.tickets.v1"
WATERMARK_LAG: Final = 20
"""The largest lag that watermarks alone make in a partition of the tickets topic, twice over: the board stores theirs
once a second.
"""
STALLED_SECONDS: Final = 180.0
POLL_SECONDS: Final = 0.5
MAX_READING_SECONDS: Final = 1.0
"""From the measurement of a gauge that changed to the end of the poll that reads it first."""


async def wait_until_idle(client: StackClient) -> float:
    """Wait until everything that was received, or due, before the call has been handled and mailed.

    Gauges can be old, so every reading of 6 s in a row must be idle. Returns the beginning of these seconds, by
    time.monotonic(). Raises NotIdleError after 3 minutes without progress.
    """
    began = since = time.monotonic()
    busy: tuple[str, ...] = ()
    while True:
        before, busy = busy, await _busy(client, time.monotonic() - began - MAX_READING_SECONDS)
        if busy != before:
            since = time.monotonic()
        if not busy and time.monotonic() - since >= GAUGE_SECONDS:
            return since
        if busy and time.monotonic() - since >= STALLED_SECONDS:
            raise NotIdleError(f"The pipeline does not become idle: {'; '.join(busy)}.")
        await asyncio.sleep(POLL_SECONDS)


async def _busy(client: StackClient, seconds: float) -> tuple[str, ...]:
    """What is not idle, in words. The wait began at least `seconds` before the gauges were measured."""
    metrics = {service: await client.metrics(service) for service in SERVICES}
    found = []
    for service in SERVICES:
        if pending := sum(metrics[service]["sla_outbox_pending"]):
            found.append(f"{service} has {pending:.0f} events in its outbox")
    for service in ("escalator", "notifier"):
        if lag := sum(metrics[service]["sla_consumer_lag"]):
            found.append(f"{service} is {lag:.0f} records behind")
    # Watermarks must have passed the beginning of the wait; so must the oldest deadline that is overdue.
    if not all(age <= seconds for age in metrics["sla-timer"]["sla_progress_age_seconds"]):
        found.append("sla-timer has not received everything")
    if (overdue := max(metrics["sla-timer"]["sla_oldest_overdue_seconds"])) and overdue >= seconds:
        found.append("sla-timer has overdue deadlines")
    if client.has_board:
        found += await _busy_board(client)
    for state in OPEN_STATES:
        if (await client.get("notifier", "/v1/deliveries", state=state, limit=1))["items"]:
            found.append(f"notifier has deliveries in state {state}")
    return tuple(found)


async def _busy_board(client: StackClient) -> list[str]:
    """What the board has still to read: records, or the clocks and ladders of tickets."""
    metrics, found = await client.metrics(BOARD), []
    for topic, lag in (await client.lags(BOARD)).items():
        if not lag <= (WATERMARK_LAG if topic == TOPIC_WITH_WATERMARKS else 0):
            found.append(f"board is {lag:.0f} records behind on {topic}")
    if (stale := max(metrics["sla_board_stale_tickets"])) != 0:
        found.append(f"board shows old clocks of {stale:.0f} tickets")
    return found
