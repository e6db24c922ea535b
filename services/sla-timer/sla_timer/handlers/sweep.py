"""The sweep: publishes the due events of the agenda. It reads no facts (docs/architecture.md#time)."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from tocsin.business_time import micros, to_datetime
from tocsin.runtime.kafka.client import TICKETS_TOPIC
from tocsin.runtime.process.tasks import cancel_all

from sla_timer.domain.event_mapping import DueEvent, EventContext
from sla_timer.domain.ticket_evaluation import render_next
from sla_timer.handlers.context import TimerContext
from sla_timer.handlers.reporting import report_events
from sla_timer.store.agenda import (
    UnrenderedAgenda,
    earliest_instants,
    load_unrendered,
    lock_unrendered,
    store_rendered,
)
from sla_timer.store.firing import load_due, lock_due, publish_due
from sla_timer.store.tables import OFFSETS

_FIRED_TOGETHER: Final = 500
_FIRED_AT_ONCE: Final = 2
"""Batches. More would leave facts that arrive fewer connections."""
_RENDERED_TOGETHER: Final = 100
"""Rendering takes this process's time, and other tasks wait for it."""


async def sweep(
    context: TimerContext, throughs: Mapping[int, datetime], *, confirmed_through: datetime | None = None
) -> None:
    """Publish the events that are due by the instant of their partition, in batches of one transaction each.

    Events after `confirmed_through` are published as unconfirmed; None means that all are confirmed.
    """
    due = dict(throughs)
    while due:
        await fire_due(context, due, confirmed_through)
        # Only then, so that no event waits until others are rendered.
        next_at = await render_ahead(context, due)
        due = {number: due[number] for number, at in next_at.items() if at <= due[number]}


async def sweep_partitions(
    context: TimerContext, watermarks: Mapping[int, datetime | None]
) -> dict[int, datetime | None]:
    """Sweep the partitions that have events due by their watermark; usually there are none.

    Returns the earliest instant that is then on the agenda of each partition with a watermark; None: there is none.
    """
    known = {partition: watermark for partition, watermark in watermarks.items() if watermark is not None}
    earliest = await _earliest_instants(context, known)
    due = {number: through for number, through in known.items() if (at := earliest[number]) and at <= through}
    if not due:
        return earliest
    await sweep(context, due)
    return earliest | await _earliest_instants(context, due)


async def sweep_all(context: TimerContext) -> None:
    """Sweep every partition up to its stored watermark."""
    async with context.writer.connect() as connection:
        positions = await OFFSETS.load(connection, TICKETS_TOPIC)
    await sweep_partitions(context, {number: position.accepted_through for number, position in positions.items()})


async def _earliest_instants(context: TimerContext, partitions: Mapping[int, datetime]) -> dict[int, datetime | None]:
    async with context.writer.connect() as connection:
        return await earliest_instants(connection, partitions)


async def fire_due(
    context: TimerContext, throughs: Mapping[int, datetime], confirmed_through: datetime | None = None
) -> None:
    """Publish the rendered events that are due by the instant of their partition."""
    partitions = sorted(throughs)

    async def fire(share: Sequence[int]) -> None:
        limit = _FIRED_TOGETHER // len(share)
        while await _fire_batch(context, {number: throughs[number] for number in share}, confirmed_through, limit):
            pass

    # While PostgreSQL executes a batch of some partitions, this process prepares that of the others.
    firing = [
        asyncio.create_task(fire(partitions[first::_FIRED_AT_ONCE]))
        for first in range(min(len(partitions), _FIRED_AT_ONCE))
    ]
    try:
        await asyncio.gather(*firing)
    finally:
        await cancel_all(firing)


async def _fire_batch(
    context: TimerContext, throughs: Mapping[int, datetime], confirmed_through: datetime | None, limit: int
) -> bool:
    """Publish the events of at most `limit` tickets of each partition. Returns whether there may be more."""
    async with context.writer.begin() as connection:
        tickets = await lock_due(connection, throughs, limit=limit)
        due = await load_due(connection, tickets, throughs)
        now = context.clock.now()
        events = await publish_due(connection, due, confirmed_through=confirmed_through, published_at=now)
        report_events(context.clock, connection, [(event, event.at) for event in events])
    if events:
        context.wake_relay()
    return len(tickets) >= limit


async def render_ahead(context: TimerContext, partitions: Collection[int]) -> dict[int, datetime]:
    """Render the next events of the tickets whose last ones were published.

    Returns the earliest of their instants in each partition that has such tickets.
    """
    earliest: dict[int, datetime] = {}
    limit = max(1, _RENDERED_TOGETHER // len(partitions))
    while True:
        async with context.writer.begin() as connection:
            tickets = await lock_unrendered(connection, partitions, limit=limit)
            agendas = await load_unrendered(connection, tickets)
            if agendas:
                await context.policies.refresh(connection)
                await store_rendered(connection, [(agenda, _render(context, agenda)) for agenda in agendas])
        for agenda in agendas:
            at = to_datetime(agenda.next_events[0].keyed.event.at)
            earliest[agenda.partition] = min(at, earliest.get(agenda.partition, at))
        if len(tickets) < limit:
            return earliest


def _render(context: TimerContext, unrendered: UnrenderedAgenda) -> list[DueEvent]:
    historic_through = unrendered.historic_through
    about = EventContext(
        ticket=unrendered.ticket,
        policies=context.policies.history(unrendered.ticket.customer.id),
        severity=unrendered.severity,
        historic_through=None if historic_through is None else micros(historic_through),
        confirmed_through=unrendered.next_events[0].keyed.event.at,
    )
    return render_next(unrendered.next_events, about)
