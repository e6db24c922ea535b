"""The sweep: publishes the due events of the agenda. It reads no facts (docs/architecture.md#time)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tocsin.business_time import micros
from tocsin.runtime.kafka.client import TICKETS_TOPIC

from sla_timer.domain.event_mapping import EventContext, published_event
from sla_timer.domain.ticket_evaluation import PublishedEvent
from sla_timer.handlers.context import TimerContext
from sla_timer.handlers.reporting import report_events
from sla_timer.store.agenda import DueTicket, lock_due, partitions_with_due, remove_due
from sla_timer.store.clocks import store_fired
from sla_timer.store.published_events import publish
from sla_timer.store.tables import OFFSETS

_BATCH: Final = 300


async def sweep(
    context: TimerContext, partition: int, *, through: datetime, confirmed_through: datetime | None = None
) -> None:
    """Publish the events of a partition that are due by `through`, in batches of one transaction each.

    Events after `confirmed_through` are published as unconfirmed; None means that all are confirmed.
    """
    while True:
        async with context.writer.begin() as connection:
            tickets = await lock_due(connection, partition=partition, through=through, limit=_BATCH)
            if tickets:
                await context.policies.refresh(connection)
            events = [
                event for ticket in tickets for event in _due_events(context, ticket, confirmed_through or through)
            ]
            published = await publish(connection, events, context.clock.now())
            await store_fired(connection, [event for _, event in published])
            await remove_due(connection, tickets)
            report_events(context.clock, connection, [(event, event.at) for _, event in published])
        if len(tickets) < _BATCH:
            return


async def sweep_partitions(context: TimerContext, watermarks: Mapping[int, datetime | None]) -> None:
    """Sweep the partitions that have events due by their watermark; usually there are none."""
    known = {partition: watermark for partition, watermark in watermarks.items() if watermark is not None}
    async with context.writer.connect() as connection:
        partitions = await partitions_with_due(connection, known)
    for partition in partitions:
        await sweep(context, partition, through=known[partition])


async def sweep_all(context: TimerContext) -> None:
    """Sweep every partition up to its stored watermark."""
    async with context.writer.connect() as connection:
        positions = await OFFSETS.load(connection, TICKETS_TOPIC)
    await sweep_partitions(context, {number: position.accepted_through for number, position in positions.items()})


def _due_events(context: TimerContext, due: DueTicket, confirmed_through: datetime) -> list[PublishedEvent]:
    about = EventContext(
        ticket=due.ticket,
        policies=context.policies.history(due.ticket.customer.id),
        severity=due.severity,
        historic_through=None if due.historic_through is None else micros(due.historic_through),
        confirmed_through=micros(confirmed_through),
    )
    return [PublishedEvent(keyed.key, published_event(keyed, details, about)) for keyed, details in due.due]
