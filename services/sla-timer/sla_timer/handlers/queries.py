"""Queries of the API: the timelines of stored tickets, and compliance."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.business_time import micros
from tocsin.runtime.kafka.client import TICKETS_TOPIC

from sla_timer.domain.compliance import (
    ChannelAverage,
    Grouping,
    OutcomeShare,
    ReportFilter,
    channel_averages,
    measured_channels,
    outcome_shares,
)
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.ticket_evaluation import TicketRecord
from sla_timer.domain.timeline import Timeline
from sla_timer.errors import UnknownTicketError
from sla_timer.handlers.context import TimerContext
from sla_timer.store.clocks import count_outcomes
from sla_timer.store.tables import OFFSETS
from sla_timer.store.tickets import count_channel_tickets, load_tickets


@dataclass(frozen=True, slots=True)
class TicketTimeline:
    """The timeline of a stored ticket, by these policies. `unconfirmed`: evaluated beyond the watermark, because intake
    is silent.
    """

    record: TicketRecord
    policies: PolicyHistory
    timeline: Timeline
    evaluated_to: datetime
    accepted_through: datetime | None
    unconfirmed: bool


@dataclass(frozen=True, slots=True)
class Compliance:
    """The outcomes of clocks, and the averages of channels, in a period."""

    outcomes: Sequence[OutcomeShare]
    channels: Sequence[ChannelAverage]


async def ticket_timeline(
    context: TimerContext, *, tenant: str, ticket_id: UUID, silent_partitions: frozenset[int]
) -> TicketTimeline:
    """The timeline of a ticket up to the watermark, or up to now if its partition is silent.

    Raises UnknownTicketError.
    """
    timelines = ticket_timelines(context, tenant=tenant, ticket_ids=[ticket_id], silent_partitions=silent_partitions)
    async for found in timelines:
        return found
    raise UnknownTicketError("No ticket with this id has arrived yet.")


async def ticket_timelines(
    context: TimerContext, *, tenant: str, ticket_ids: Sequence[UUID], silent_partitions: frozenset[int]
) -> AsyncIterator[TicketTimeline]:
    """The timelines of the tenant's tickets, as `ticket_timeline`, in this order, each once.

    Tickets that have not arrived are left out. Other tasks run after each evaluation.
    """
    async with context.reader.connect() as connection:
        # Watermarks first: they must not be newer than the facts.
        positions = await OFFSETS.load(connection, TICKETS_TOPIC)
        records = {record.ticket.ticket_id: record for record in await load_tickets(connection, ticket_ids)}
    for ticket_id in dict.fromkeys(ticket_ids):
        record = records.get(ticket_id)
        if record is None or record.ticket.tenant != tenant:
            continue
        position = positions.get(record.partition)
        yield _evaluate(
            context,
            record,
            accepted_through=None if position is None else position.accepted_through,
            silent=record.partition in silent_partitions,
        )
        await asyncio.sleep(0)


def _evaluate(
    context: TimerContext, record: TicketRecord, *, accepted_through: datetime | None, silent: bool
) -> TicketTimeline:
    evaluated_to = record.complete_through(accepted_through)
    if silent:
        evaluated_to = max(evaluated_to, context.clock.now())
    policies = context.policies.history(record.ticket.customer.id)
    return TicketTimeline(
        record=record,
        policies=policies,
        timeline=evaluate(record.fact_log(policies), policies, micros(evaluated_to)),
        evaluated_to=evaluated_to,
        accepted_through=accepted_through,
        unconfirmed=silent,
    )


async def compliance(
    context: TimerContext, wanted: ReportFilter, *, begin: datetime, end: datetime, groupings: Sequence[Grouping]
) -> Compliance:
    """The compliance in `[begin, end)`."""
    now = context.clock.now()
    async with context.reader.connect() as connection:
        zone = context.policies.zone_at(now)
        outcomes = await count_outcomes(connection, wanted, begin=begin, end=end, zone=zone)
        channels = await load_channel_averages(context, connection, wanted, begin=begin, end=end, now=now)
    return Compliance(outcomes=outcome_shares(outcomes, groupings), channels=channels)


async def load_channel_averages(
    context: TimerContext,
    connection: AsyncConnection,
    wanted: ReportFilter,
    *,
    begin: datetime,
    end: datetime,
    now: datetime,
) -> list[ChannelAverage]:
    """The averages of channels by month, of the tickets that were opened in `[begin, end)`."""
    policies, zone = context.policies.policies, context.policies.zone_at(now)
    counts = await count_channel_tickets(
        connection, wanted, channels=sorted(measured_channels(policies)), begin=begin, end=end, zone=zone, now=now
    )
    return channel_averages(counts, policies, wanted, zone=zone, now=now)
