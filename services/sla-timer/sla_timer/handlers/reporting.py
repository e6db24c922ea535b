"""Metrics and log lines about facts and published events, once their transaction has committed."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact
from tocsin.instants import render_instant
from tocsin.runtime.database.engine import on_commit
from tocsin.runtime.process.clock import TimeSource

from sla_timer import metrics
from sla_timer.domain.event_summary import EventSummary
from sla_timer.domain.ticket_evaluation import TicketEvaluation, TicketRecord

log = structlog.stdlib.get_logger(__name__)

_OUTCOMES: Final[Mapping[str, str]] = {
    "clock.met": "met",
    "clock.breached": "breached",
    "clock.cancelled": "cancelled",
    "clock.voided": "voided",
}
_NAMED: Final = 20
"""Tickets that a line in the log names."""


def report_events(
    clock: TimeSource, connection: AsyncConnection, events: Sequence[tuple[EventSummary, datetime]]
) -> None:
    """Count and log these events if and when the transaction commits. Each with the instant since which it was due."""

    def report() -> None:
        now = clock.now()
        for event, due_since in events:
            if event.is_timed:
                metrics.FIRE_LATENESS.observe(max(0.0, clock.lateness(due_since, now).total_seconds()))
        summaries = [event for event, _ in events]
        _count(summaries)
        _log(summaries)

    if events:
        on_commit(connection, report)


def report_responses(connection: AsyncConnection, responded: Sequence[tuple[TicketRecord, TicketEvaluation]]) -> None:
    """Count these first responses if and when the transaction commits."""

    def report() -> None:
        for record, evaluation in responded:
            assert evaluation.responded_at is not None
            wait = evaluation.responded_at - record.ticket.opened_at
            metrics.ANSWER_SECONDS.labels(record.ticket.channel).observe(wait.total_seconds())

    if responded:
        on_commit(connection, report)


def report_receipts(connection: AsyncConnection, facts: Iterable[Fact]) -> None:
    """Count how late each of these live facts was received, if and when the transaction commits."""
    delays = [max(0.0, (fact.received_at - fact.occurred_at).total_seconds()) for fact in facts]

    def report() -> None:
        for delay in delays:
            metrics.RECEIPT_DELAY.observe(delay)

    if delays:
        on_commit(connection, report)


def _count(events: Sequence[EventSummary]) -> None:
    # A warning is not an outcome, and neither is that it was voided.
    outcomes = Counter(
        (event.historic, event.clock, str(event.severity), _OUTCOMES[event.type])
        for event in events
        if event.type in _OUTCOMES and event.voids != "warned"
    )
    for (historic, *labels), number in outcomes.items():
        counter = metrics.HISTORIC_OUTCOMES if historic else metrics.CLOCK_OUTCOMES
        counter.labels(*labels).inc(number)


def _log(events: Sequence[EventSummary]) -> None:
    """One line a batch, with some of its tickets: at one instant tens of thousands of events may be due.

    At level debug, one an event as well.
    """
    log.info(
        "events_published",
        events=len(events),
        types=dict(Counter(event.type for event in events)),
        oldest_at=render_instant(min(event.at for event in events)),
        ticket_ids=[str(ticket_id) for ticket_id in islice(dict.fromkeys(event.ticket_id for event in events), _NAMED)],
    )
    if log.is_enabled_for(logging.DEBUG):
        for event in events:
            fields = {name: value for name, value in event._asdict().items() if value is not None}
            log.debug("event_published", **fields | {"ticket_id": str(event.ticket_id), "at": render_instant(event.at)})
