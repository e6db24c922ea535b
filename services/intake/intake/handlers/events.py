"""Taking in what happened to tickets, many in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import fact_id
from tocsin.runtime.http.problems import Problem

from intake.domain.ticket_request import EventRequest
from intake.domain.ticket_state import TELLING, impossible_workarounds, standing
from intake.handlers.context import IngestContext, RecordedEvent, fact_of, unknown_ticket, workaround_refused
from intake.handlers.outbox_events import changed, too_large
from intake.store.tickets import LockedTicket, NewFact, TicketKey, TicketStore


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """An event to be taken in; `generated_id` is its event id where the request has none."""

    tenant: str
    ticket_id: UUID
    request: EventRequest
    generated_id: str

    @property
    def key(self) -> TicketKey:
        return self.tenant, self.ticket_id

    @property
    def event_id(self) -> str:
        return self.request.event_id or self.generated_id


async def record_event(
    context: IngestContext,
    connection: AsyncConnection,
    tenant: str,
    ticket: UUID,
    request: EventRequest,
    generated_id: str,
) -> RecordedEvent:
    """Record one event; `generated_id` is its event id if the request has none. Raises Problem 404, 409, 413."""
    (outcome,) = await record_events(context, connection, [RecordEvent(tenant, ticket, request, generated_id)])
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


async def record_events(
    context: IngestContext, connection: AsyncConnection, asked: Sequence[RecordEvent]
) -> list[RecordedEvent | Problem]:
    """Take events in, each by itself: one answer each, in their order, as if they had come one by one.

    What is refused (404, 409, 413) has changed nothing.
    """
    store = TicketStore(connection)
    locked = await store.lock({event.key for event in asked})
    here = [event for event in asked if event.key in locked]
    known = await store.known_facts(
        {event.ticket_id for event in here if event.request.type in TELLING},
        {fact_id(event.ticket_id, event.event_id) for event in here},
    )
    books = {key: _Book(key, locked[key], [each for each in known if each.ticket_id == key[1]]) for key in locked}
    outcomes = [books[event.key].take(context, event) if event.key in books else unknown_ticket() for event in asked]
    new = [each for book in books.values() for each in book.new]
    if new:
        await store.add_facts(new, {key[1]: book.standing for key, book in books.items()})
        tenants = {key[1]: key[0] for key in books}
        events = [changed(tenants[each.ticket_id], each.ticket_id, each.fact) for each in new]
        await context.outbox.add(connection, events, min(each.clock for each in locked.values()))
    return outcomes


class _Book:
    """A locked ticket while events of it are taken in: what is known of its facts, and how it stands."""

    def __init__(self, key: TicketKey, locked: LockedTicket, known: Sequence[NewFact]) -> None:
        self._tenant, self._ticket_id = key
        self._locked = locked
        self._known = {each.fact.event_id: each for each in known}
        self.standing = locked.standing
        self.new: list[NewFact] = []

    def take(self, context: IngestContext, event: RecordEvent) -> RecordedEvent | Problem:
        digest = event.request.digest()
        earlier = self._known.get(event.event_id)
        if earlier is not None:
            if earlier.digest != digest:
                return Problem(409, "This event_id of the ticket is known with another body.")
            return RecordedEvent(self._ticket_id, earlier.fact, created=False)
        number = self._locked.number + len(self.new)
        fact = fact_of(event.request, number, event.event_id, context.business(self._locked.clock))
        if refusal := too_large([changed(self._tenant, self._ticket_id, fact)]):
            return refusal
        if fact.type in TELLING:
            telling = [*(each.fact for each in self._known.values() if each.fact.type in TELLING), fact]
            if fact in impossible_workarounds(telling):
                return workaround_refused()
            self.standing = standing(telling)
        new = NewFact(self._ticket_id, fact, digest)
        self._known[event.event_id] = new
        self.new.append(new)
        return RecordedEvent(self._ticket_id, fact, created=True)
