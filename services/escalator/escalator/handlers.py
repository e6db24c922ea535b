"""Handles the deadlines topic: load, decide, save. Never commits."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import DeadlineEvent, EscalationEvent, Notify, event_type
from tocsin.runtime.database.bulk import execute
from tocsin.runtime.database.engine import on_commit
from tocsin.runtime.errors import PoisonMessageError
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from escalator import metrics
from escalator.domain.decisions import decide
from escalator.domain.vacancies import vacancy_check
from escalator.store.decisions import publish_decisions
from escalator.store.escalations import load_escalations, record_handled, save_escalations

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Handlers:
    """The handlers, with the clock and the directory they need."""

    clock: TimeSource
    directory: DirectoryFile

    async def on_batch(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """Decide on each event that was not handled before, in order. Raises PoisonMessageError for another topic's."""
        received = {event.event_id: event for event in map(_deadline_event, batch)}
        new_ids = await record_handled(connection, received.values())
        new = [event for event in received.values() if event.event_id in new_ids]
        before = await load_escalations(connection, {event.ticket_id for event in new})
        after = dict(before)
        decided: list[EscalationEvent] = []
        directory = self.directory.current()
        for event in new:
            is_vacant = vacancy_check(directory, event.ticket.customer.id)
            after[event.ticket_id], events = decide(event, after[event.ticket_id], is_vacant)
            decided += events
        saved, published = save_escalations(before, after), publish_decisions(decided, self.clock.now())
        await execute(connection, [*saved, *published])
        on_commit(connection, lambda: _report(decided))


def _deadline_event(received: Received) -> DeadlineEvent:
    if not isinstance(received.event, DeadlineEvent):
        raise PoisonMessageError(f"{event_type(received.event)} does not belong to this topic")
    return received.event


def _report(decided: Sequence[EscalationEvent]) -> None:
    """Count and log decisions, once they are committed."""
    metrics.count_escalations(decided)
    for event in decided:
        details = {"role": event.role, "kind": event.kind, "step": event.step} if isinstance(event, Notify) else {}
        log.info(
            "decided",
            ticket_id=str(event.ticket_id),
            type=event_type(event),
            event_id=str(event.event_id),
            cycle=event.cycle,
            run=event.run,
            **details,
        )
