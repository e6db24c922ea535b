"""Metrics and log lines about published events, once their transaction has committed."""

from collections.abc import Mapping, Sequence
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


def report_after_commit(
    clock: TimeSource,
    connection: AsyncConnection,
    events: Sequence[DeadlineEvent],
    responded: Sequence[tuple[TicketRecord, TicketEvaluation]] = (),
) -> None:
    """Count and log these events, and these first responses, if and when the transaction commits."""

    def report() -> None:
        now = clock.now()
        for event in events:
            _log(event)
            outcome = _OUTCOMES.get(type(event))
            if outcome is not None and isinstance(event, ClockEvent):
                metrics.CLOCK_OUTCOMES.labels(event.clock, str(event.severity), outcome).inc()
            if isinstance(event, _FALLS_DUE) and not event.historic:
                lateness = clock.lateness(event.at, now).total_seconds()
                metrics.FIRE_LATENESS.observe(max(0.0, lateness))
        for record, evaluation in responded:
            assert evaluation.responded_at is not None
            wait = evaluation.responded_at - record.ticket.opened_at
            metrics.ANSWER_SECONDS.labels(record.ticket.channel).observe(wait.total_seconds())

    if events or responded:
        on_commit(connection, report)


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
