"""Queries of reports: the clocks decided in a period one by one, and the terms that they are measured by."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tocsin.business_time import micros
from tocsin.policy import Rules
from tocsin.runtime.kafka.client import TICKETS_TOPIC

from sla_timer.domain.compliance import ReportFilter
from sla_timer.domain.decided_clock import DecidedClock, OutcomeKey
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.ticket_evaluation import TicketRecord
from sla_timer.domain.timeline import Timeline
from sla_timer.handlers.context import TimerContext
from sla_timer.store.agenda import oldest_due_at
from sla_timer.store.clocks import list_outcomes
from sla_timer.store.tables import OFFSETS
from sla_timer.store.tickets import load_tickets

_MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TermsInForce:
    """What the policy promises at an instant, and the time zone in which reports count months."""

    policy_version: str
    zone: str
    rules: Rules


def terms_in_force(context: TimerContext, *, customer: str | None, at: datetime) -> TermsInForce:
    """The terms of a customer at an instant; of one without special terms, and for None, the general ones."""
    history = context.policies.history(customer)
    index = history.index_at(micros(at))
    return TermsInForce(
        policy_version=history.versions[index],
        zone=context.policies.zone_at(context.clock.now()),
        rules=history.rules[index],
    )


async def complete_through(context: TimerContext) -> datetime | None:
    """The instant up to which every outcome is decided, null while a partition has no watermark.

    It is the lowest watermark, or just before the earliest deadline below it that the sweep has not stored yet. Load it
    before the outcomes: it must not be newer. Late evidence may still change an outcome.
    """
    async with context.reader.connect() as connection:
        positions = await OFFSETS.load(connection, TICKETS_TOPIC)
        oldest = await oldest_due_at(connection)  # after the watermarks, so that nothing below them can be added
    watermarks = [position.accepted_through for position in positions.values()]
    known = [at for at in watermarks if at is not None]
    if not known or len(known) < len(watermarks):
        return None
    return min(known) if oldest is None else min(*known, oldest - _MOMENT)


async def decided_clocks(
    context: TimerContext,
    wanted: ReportFilter,
    *,
    begin: datetime,
    end: datetime,
    after: OutcomeKey | None,
    limit: int,
) -> AsyncIterator[DecidedClock]:
    """At most `limit` clocks with an outcome in `[begin, end)`, sorted by it, from `after` on.

    They are those that `compliance` counts: all statements read one snapshot. Other tasks run after each evaluation.
    """
    async with context.reader.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        positions = await OFFSETS.load(connection, TICKETS_TOPIC)
        outcomes = await list_outcomes(connection, wanted, begin=begin, end=end, after=after, limit=limit)
        ids = sorted({outcome.key.ticket_id for outcome in outcomes})
        records = {record.ticket.ticket_id: record for record in await load_tickets(connection, ids)}
    timelines: dict[object, tuple[Timeline, datetime]] = {}
    for outcome in outcomes:
        record = records[outcome.key.ticket_id]
        if outcome.key.ticket_id not in timelines:
            position = positions.get(record.partition)
            accepted_through = None if position is None else position.accepted_through
            timelines[outcome.key.ticket_id] = _evaluate(context, record, accepted_through)
            await asyncio.sleep(0)
        timeline, confirmed_through = timelines[outcome.key.ticket_id]
        found = DecidedClock.of(outcome, record, timeline, confirmed_through=confirmed_through)
        if found is not None:
            yield found


def _evaluate(
    context: TimerContext, record: TicketRecord, accepted_through: datetime | None
) -> tuple[Timeline, datetime]:
    """The timeline, and the instant through which its facts are complete. The timeline includes what is published."""
    confirmed_through = record.complete_through(accepted_through)
    until = max([micros(confirmed_through), *map(micros, record.published.values())])
    policies = context.policies.history(record.ticket.customer.id)
    return evaluate(record.fact_log(policies), policies, until), confirmed_through
