"""What a batch of the deadlines topic does: load, ask the domain, save. Never commits."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import DeadlineEvent, EscalationEvent, Notify, event_type
from tocsin.runtime.database.engine import on_commit
from tocsin.runtime.errors import PoisonMessageError
from tocsin.runtime.kafka.consumer import Received
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from escalator import metrics, store
from escalator.domain.decisions import address
from escalator.domain.vacancies import vacancies

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Handlers:
    """The handlers and what they need of the world: the time, and who holds which role."""

    clock: TimeSource
    directory: DirectoryFile

    async def deadlines_told(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """Decide on every event of the batch that was not decided on before, in order."""
        events = [_deadline(received) for received in batch]
        await store.lock(connection, {event.ticket_id: event.ticket for event in events})
        new = await store.unhandled(connection, events)
        before = await store.load(connection, {event.ticket_id for event in events if event.event_id in new})
        after, decided, directory = dict(before), list[EscalationEvent](), self.directory.current()
        for event in events:
            if event.event_id not in new:
                continue
            new.remove(event.event_id)
            vacant = vacancies(directory, event.ticket.customer.id)
            after[event.ticket_id], follows = address(event, after[event.ticket_id], vacant)
            decided += follows
        await store.save(connection, before, after)
        await store.publish(connection, decided, self.clock.now())
        for follow in decided:
            _tell(follow)
        on_commit(connection, lambda: metrics.count(decided))


def _deadline(received: Received) -> DeadlineEvent:
    if not isinstance(received.event, DeadlineEvent):
        raise PoisonMessageError(f"{event_type(received.event)} does not belong to this topic")
    return received.event


def _tell(decided: EscalationEvent) -> None:
    about = {"role": decided.role, "kind": decided.kind, "step": decided.step} if isinstance(decided, Notify) else {}
    log.info(
        "decided",
        ticket_id=str(decided.ticket_id),
        type=event_type(decided),
        event_id=str(decided.event_id),
        cycle=decided.cycle,
        run=decided.run,
        **about,
    )
