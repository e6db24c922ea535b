"""Evaluates tickets, publishes the changes and stores the results; used when facts or policy versions arrive."""

from collections.abc import Collection, Iterable, Iterator, Sequence
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
from sla_timer.store.tickets import add_tickets, store_evaluations

CHUNK: Final = 250
"""Tickets loaded together."""
_FACTS: Final = 1000
"""Facts evaluated between two statements: PostgreSQL ends a transaction that is idle for 5 s, and other tasks wait."""


async def evaluate_and_publish(
    context: TimerContext,
    connection: AsyncConnection,
    records: Sequence[TicketRecord],
    *,
    new: Collection[UUID] = (),
) -> None:
    """Evaluate tickets that this transaction has locked, and store the results. Those in `new` are not stored yet."""
    if not records:
        return
    await context.policies.refresh(connection)
    positions = await OFFSETS.load(connection, TICKETS_TOPIC)
    watermarks = {partition: position.accepted_through for partition, position in positions.items()}
    for part in _parts(records):
        judged = [
            (
                record,
                evaluate_ticket(
                    record, watermarks.get(record.partition), context.policies.history(record.ticket.customer.id)
                ),
            )
            for record in part
        ]
        await _publish(context, connection, judged)
        await add_tickets(connection, [one for one in judged if one[0].ticket.ticket_id in new])
        await store_evaluations(connection, [one for record, one in judged if record.ticket.ticket_id not in new])
        evaluations = [evaluation for _, evaluation in judged]
        await replace_clocks(connection, evaluations)
        await replace_agendas(connection, evaluations)


def _parts(records: Iterable[TicketRecord]) -> Iterator[list[TicketRecord]]:
    """The records in parts of `_FACTS` facts at most, or one record."""
    part: list[TicketRecord] = []
    facts = 0
    for record in records:
        facts += len(record.facts)
        if part and facts > _FACTS:
            yield part
            part, facts = [], len(record.facts)
        part.append(record)
    if part:
        yield part


async def _publish(
    context: TimerContext, connection: AsyncConnection, judged: Sequence[tuple[TicketRecord, TicketEvaluation]]
) -> None:
    events = [event for _, evaluation in judged for event in evaluation.events]
    published = await publish(connection, events, context.clock.now())
    by_ticket = {record.ticket.ticket_id: record for record, _ in judged}
    report_events(
        context.clock,
        connection,
        [_summarize(context, by_ticket[one.event.ticket_id], one) for one in published],
    )
    report_responses(connection, [one for one in judged if _is_newly_responded(*one)])


def _summarize(context: TimerContext, record: TicketRecord, published: PublishedEvent) -> tuple[EventSummary, datetime]:
    """The event, and the instant since which it could have been published."""
    summary = EventSummary.of(published.event)
    if isinstance(published.key, NoticeKind) or not summary.is_timed:
        return summary, summary.at
    policies = context.policies.history(record.ticket.customer.id)
    return summary, publishable_since(record, policies, published.key, summary.at)


def _is_newly_responded(record: TicketRecord, evaluation: TicketEvaluation) -> bool:
    return record.responded_at is None and evaluation.responded_at is not None and record.historic_through is None
