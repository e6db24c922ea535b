"""Metrics and log lines about facts and published events, once their transaction has committed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import (
    ClockBreached,
    ClockCancelled,
    ClockEvent,
    ClockMet,
    ClockVoided,
    ClockWarned,
    DeadlineEvent,
    Fact,
    LadderExhausted,
    LadderStepDue,
    event_type,
)
from tocsin.instants import render_instant
from tocsin.runtime.database.engine import on_commit
from tocsin.runtime.process.clock import TimeSource

from sla_timer import metrics
from sla_timer.domain.ticket_evaluation import TicketEvaluation, TicketRecord

log = structlog.get_logger(__name__)

_FALLS_DUE: Final = (ClockWarned, ClockBreached, LadderStepDue, LadderExhausted)
_OUTCOMES: Final[Mapping[type[DeadlineEvent], str]] = {
    ClockMet: "met",
    ClockBreached: "breached",
    ClockCancelled: "cancelled",
    ClockVoided: "voided",
}


def is_timed(event: DeadlineEvent) -> bool:
    """Whether the lateness of this event is measured: it falls due, and is not history."""
    return isinstance(event, _FALLS_DUE) and not event.historic


def report_events(
    clock: TimeSource, connection: AsyncConnection, events: Sequence[tuple[DeadlineEvent, datetime]]
) -> None:
    """Count and log these events if and when the transaction commits. Each with the instant since which it was due."""

    def report() -> None:
        now = clock.now()
        for event, due_since in events:
            _log(event)
            _count(event)
            if is_timed(event):
                metrics.FIRE_LATENESS.observe(max(0.0, clock.lateness(due_since, now).total_seconds()))

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


def _count(event: DeadlineEvent) -> None:
    outcome = _OUTCOMES.get(type(event))
    if outcome is None or not isinstance(event, ClockEvent):
        return
    if isinstance(event, ClockVoided) and event.kind == "warned":
        return  # a warning is not an outcome
    counter = metrics.HISTORIC_OUTCOMES if event.historic else metrics.CLOCK_OUTCOMES
    counter.labels(event.clock, str(event.severity), outcome).inc()


def _log(event: DeadlineEvent) -> None:
    write = log.debug if event.historic else log.info
    write(
        "event_published",
        type=event_type(event),
        ticket_id=str(event.ticket_id),
        cycle=event.cycle,
        run=event.run,
        at=render_instant(event.at),
        **event.model_dump(include={"clock", "step", "reason"}, exclude_none=True),
    )
