"""Evaluates tickets, publishes the changes and stores the results; used when facts or policy versions arrive."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.kafka.client import TICKETS_TOPIC

from sla_timer.domain.event_summary import EventSummary
from sla_timer.domain.receipt import publishable_since
from sla_timer.domain.request_notices import NoticeKind
from sla_timer.domain.ticket_evaluation import PublishedEvent, TicketEvaluation, TicketRecord, evaluate_ticket
from sla_timer.handlers.context import TimerContext
from sla_timer.handlers.reporting import report_events, report_responses
from sla_timer.store.agenda import replace_agendas
from sla_timer.store.clocks import replace_clocks
from sla_timer.store.published_events import publish
from sla_timer.store.tables import OFFSETS
from sla_timer.store.tickets import load_tickets, store_evaluations

_CHUNK: Final = 100
"""Tickets evaluated between two statements: PostgreSQL ends a transaction that is idle for 5 s."""


async def evaluate_and_publish(
    context: TimerContext, connection: AsyncConnection, ticket_ids: Collection[UUID]
) -> None:
    """Evaluate tickets that this transaction has locked."""
    if not ticket_ids:
        return
    await context.policies.refresh(connection)
    positions = await OFFSETS.load(connection, TICKETS_TOPIC)
    ordered = sorted(ticket_ids)
    for begin in range(0, len(ordered), _CHUNK):
        records = await load_tickets(connection, ordered[begin : begin + _CHUNK])
        evaluations = []
        for record in records:
            position = positions.get(record.partition)
            watermark = None if position is None else position.accepted_through
            evaluations.append(evaluate_ticket(record, watermark, context.policies.history(record.ticket.customer.id)))
        events = [event for evaluation in evaluations for event in evaluation.events]
        published = await publish(connection, events, context.clock.now())
        await _store(connection, evaluations)
        responded = [
            (record, evaluation)
            for record, evaluation in zip(records, evaluations, strict=True)
            if _is_newly_responded(record, evaluation)
        ]
        by_ticket = {record.ticket.ticket_id: record for record in records}
        report_events(
            context.clock,
            connection,
            [_summarize(context, by_ticket[one.event.ticket_id], one) for one in published],
        )
        report_responses(connection, responded)


async def _store(connection: AsyncConnection, evaluations: Sequence[TicketEvaluation]) -> None:
    if evaluations:
        await store_evaluations(connection, evaluations)
        await replace_clocks(connection, evaluations)
        await replace_agendas(connection, evaluations)


def _summarize(context: TimerContext, record: TicketRecord, published: PublishedEvent) -> tuple[EventSummary, datetime]:
    """The event, and the instant since which it could have been published."""
    summary = EventSummary.of(published.event)
    if isinstance(published.key, NoticeKind) or not summary.is_timed:
        return summary, summary.at
    policies = context.policies.history(record.ticket.customer.id)
    return summary, publishable_since(record, policies, published.key, summary.at)


def _is_newly_responded(record: TicketRecord, evaluation: TicketEvaluation) -> bool:
    return record.responded_at is None and evaluation.responded_at is not None and record.historic_through is None
