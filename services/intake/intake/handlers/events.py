"""Record events of tickets, many in one transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import fact_id

from intake.domain.ticket import StoredFact
from intake.domain.ticket_facts import TicketFacts
from intake.domain.ticket_request import EventRequest
from intake.domain.ticket_state import STATE_TYPES
from intake.errors import IntakeError, TicketNotFoundError
from intake.handlers.context import IngestContext, RecordedEvent
from intake.store.idempotency import IdempotencyKey
from intake.store.tickets import LockedTicket, TicketKey, TicketStore


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """A request to record an event. `generated_id` is its event id if the request states none."""

    tenant: str
    ticket_id: UUID
    request: EventRequest
    generated_id: str
    idempotency_key: IdempotencyKey | None = None

    @property
    def ticket_key(self) -> TicketKey:
        return self.tenant, self.ticket_id

    @property
    def event_id(self) -> str:
        return self.request.event_id or self.generated_id


async def record_event(context: IngestContext, connection: AsyncConnection, command: RecordEvent) -> RecordedEvent:
    """Record one event. Raises RejectedError."""
    (outcome,) = await record_events(context, connection, [command])
    if isinstance(outcome, IntakeError):
        raise outcome
    return outcome


async def record_events(
    context: IngestContext, connection: AsyncConnection, commands: Sequence[RecordEvent]
) -> list[RecordedEvent | IntakeError]:
    """Store new facts and queue their events: one outcome per command, in order, as if they had come one by one.

    A command for an event that exists with an equal body gets the stored fact. A rejected command changes nothing.
    """
    store = TicketStore(connection)
    locked = await store.lock({command.ticket_key for command in commands})
    tickets = await _load_facts(context, store, locked, commands)
    outcomes: list[RecordedEvent | IntakeError] = []
    for command in commands:
        before = tickets.get(command.ticket_key)
        if before is None:
            outcomes.append(TicketNotFoundError())
            continue
        try:
            after = before.add(command.request, command.event_id)
        except IntakeError as error:
            outcomes.append(error)
            continue
        tickets[command.ticket_key] = after
        fact = after.known[command.event_id].fact
        outcomes.append(RecordedEvent(command.ticket_id, fact, created=after is not before))

    changed = [facts for facts in tickets.values() if facts.new]
    if changed:
        await store.add_facts(changed, min(ticket.clock for ticket in locked.values()))
    return outcomes


async def _load_facts(
    context: IngestContext,
    store: TicketStore,
    locked: Mapping[TicketKey, LockedTicket],
    commands: Sequence[RecordEvent],
) -> dict[TicketKey, TicketFacts]:
    """The locked tickets with those of their facts that the commands are checked against."""
    found = [command for command in commands if command.ticket_key in locked]
    known: dict[UUID, dict[str, StoredFact]] = defaultdict(dict)
    for stored in await store.load_known_facts(
        with_state={command.ticket_id for command in found if command.request.type in STATE_TYPES},
        fact_ids={fact_id(command.ticket_id, command.event_id) for command in found},
    ):
        known[stored.ticket_id][stored.fact.event_id] = stored
    return {
        key: TicketFacts(
            ticket=found_ticket.ticket,
            policy=context.policy,
            received_at=context.business(found_ticket.clock),
            known=known[found_ticket.ticket.ticket_id],
        )
        for key, found_ticket in locked.items()
    }
