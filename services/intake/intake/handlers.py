"""What a request does: load, ask the domain, save. Nothing here commits or asks the time; the edge does."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import (
    Fact,
    FactType,
    TicketChanged,
    TicketImported,
    TicketOpened,
    derived_id,
    ticket_id,
)
from tocsin.policy import Policy
from tocsin.runtime.database import clock_timestamp
from tocsin.runtime.outbox import Outbox
from tocsin.runtime.problems import FieldError, Problem

from intake.requests import EventRequest, TicketItem, TicketRequest
from intake.routing import route
from intake.standing import TELLING, Standing, is_impossible_workaround, standing
from intake.store import KeyUse, NewTicket, Store, StoredTicket

LARGEST_RECORD: Final = 900_000
"""Bytes that an event may have on the bus (DESIGN)."""

_PAGE: Final = 200

TicketEvent = TicketOpened | TicketChanged | TicketImported


@dataclass(frozen=True, slots=True)
class TakenTicket:
    """A ticket as it stood when it was first taken in; `created` tells now from earlier."""

    ticket: StoredTicket
    created: bool


@dataclass(frozen=True, slots=True)
class TakenEvent:
    """A stored fact of `ticket_id`; `created` tells now from earlier."""

    ticket_id: UUID
    fact: Fact
    created: bool


@dataclass(frozen=True, slots=True)
class Desk:
    """What taking in needs: the policy, business time for a reading of the database's clock, and the way out."""

    policy: Policy
    business: Callable[[datetime], datetime]
    outbox: Outbox
    history_outbox_limit: int


async def take_tickets(
    desk: Desk, connection: AsyncConnection, tenant: str, requests: Sequence[TicketRequest]
) -> list[TakenTicket | Problem]:
    """Take tickets in, each by itself: one answer per request, in their order, as if they had come one by one."""
    store = Store(connection)
    real = await clock_timestamp(connection)
    busy = any(_is_history(request) for request in requests) and await store.outbox_longer_than(
        desk.history_outbox_limit
    )
    drafts = [_draft(desk, tenant, request, desk.business(real), busy) for request in requests]
    first: dict[UUID, NewTicket] = {}
    for draft in drafts:
        if isinstance(draft, NewTicket):
            first.setdefault(draft.ticket.ticket_id, draft)
    added = await store.add_tickets(list(first.values()))
    told = [event for key, draft in first.items() if key in added for event in first_events(draft.ticket, draft.facts)]
    await desk.outbox.add(connection, told, real)
    new = {id(first[key]) for key in added}
    again = [draft for draft in drafts if isinstance(draft, NewTicket) and id(draft) not in new]
    known = await _first_answers(store, {draft.ticket.ticket_id for draft in again})
    return [
        draft
        if isinstance(draft, Problem)
        else TakenTicket(draft.ticket, created=True)
        if id(draft) in new
        else _again(draft, known[draft.ticket.ticket_id])
        for draft in drafts
    ]


async def take_event(
    desk: Desk, connection: AsyncConnection, tenant: str, ticket: UUID, request: EventRequest, made_id: str
) -> TakenEvent:
    """Take one further fact in; `made_id` is its event id where the request has none. Raises Problem 404, 409, 413."""
    store = Store(connection)
    locked = await store.lock(tenant, ticket)
    if locked is None:
        raise unknown_ticket()
    fact = _fact(request, locked.number, request.event_id or made_id, desk.business(locked.clock))
    stands: Standing | None = None
    if fact.type in TELLING:
        known = [*await store.telling_facts(ticket), fact]
        if is_impossible_workaround(fact, known):
            if earlier := await _earlier(store, ticket, fact.event_id, request):
                return earlier
            raise _workaround_refused()
        stands = standing(known)
    if not await store.add_fact(ticket, fact, request.digest(), stands):
        earlier = await _earlier(store, ticket, fact.event_id, request)
        assert earlier is not None  # the row that was in the way is visible to a statement after it
        return earlier
    event = TicketChanged(tenant=tenant, ticket_id=ticket, fact=fact)
    if too_large := _too_large([event]):
        raise too_large
    await desk.outbox.add(connection, [event], locked.clock)
    return TakenEvent(ticket, fact, created=True)


async def claim_key(
    connection: AsyncConnection, holder: str, key: str, request: bytes, event_id: str | None
) -> str | None:
    """Bind an Idempotency-Key to the request with that digest and return the event id of its first use.

    Raises Problem 422 if the key was used for another request within 24 h.
    """
    use = await Store(connection).use_key(holder, sha256(key.encode()).digest(), KeyUse(request, event_id))
    if use.request_digest != request:
        field = FieldError(field="Idempotency-Key", message="was used for another request within 24 hours")
        raise Problem(422, "This Idempotency-Key belongs to another request.", errors=[field])
    return use.event_id


async def forget_keys(engine: AsyncEngine) -> None:
    """Remove the Idempotency-Keys that have expired; a job for the scheduler."""
    async with engine.begin() as connection:
        await Store(connection).forget_keys()


async def stored_events(engine: AsyncEngine, since: datetime) -> AsyncIterator[list[TicketEvent]]:
    """Everything that was received at or after `since` as it was told then, a page of tickets at a time."""
    async with engine.connect() as connection:
        positions = await Store(connection).positions_since(since)
    for start in range(0, len(positions), _PAGE):
        async with engine.connect() as connection:
            tickets = await Store(connection).at_positions(positions[start : start + _PAGE])
            facts = await Store(connection).facts([ticket.ticket_id for ticket in tickets])
        yield [event for ticket in tickets for event in _told_since(ticket, facts[ticket.ticket_id], since)]


def unknown_ticket() -> Problem:
    """The answer about a ticket that this tenant does not have."""
    return Problem(404, "There is no such ticket.")


def _told_since(ticket: StoredTicket, facts: Sequence[Fact], since: datetime) -> list[TicketEvent]:
    """The events of the facts that were received at or after `since`, the same as they were told then."""
    first, later = facts[: ticket.first_facts], facts[ticket.first_facts :]
    told = first_events(ticket, first) if ticket.received_at >= since else []
    return told + [_changed(ticket, fact) for fact in later if fact.received_at >= since]


def _draft(desk: Desk, tenant: str, request: TicketRequest, received_at: datetime, busy: bool) -> NewTicket | Problem:
    """The ticket that a request becomes if nobody has posted it before, or why it cannot be taken."""
    if busy and _is_history(request):
        return Problem(503, "Much waits to be published. Post history later.", headers={"Retry-After": "5"})
    key = ticket_id(tenant, request.source, request.external_id)
    opened_at = min(request.opened_at or received_at, received_at)
    routing = route(request, opened_at, desk.policy)
    told = _first_facts(key, request, routing.severity, opened_at, received_at)
    if isinstance(told, Problem):
        return told
    facts = tuple(fact for fact, _ in told)
    for fact in facts:
        if is_impossible_workaround(fact, facts):
            return _workaround_refused()
    ticket = StoredTicket(
        ticket_id=key,
        position=0,
        tenant=tenant,
        source=request.source,
        external_id=request.external_id,
        opened_at=opened_at,
        received_at=received_at,
        initial_severity=routing.severity,
        suggested_severity=routing.suggestion.severity,
        fit=routing.suggestion.fit,
        routed_to=routing.routed_to,
        flags=routing.flags,
        imported=isinstance(request, TicketItem) and request.imported,
        history=_is_history(request),
        body=request.model_dump(mode="json", exclude={"events", "history"}),
        digest=request.digest(),
        first_facts=len(facts),
        standing=standing(facts),
    )
    draft = NewTicket(ticket, facts, tuple(digest for _, digest in told))
    return _too_large(first_events(ticket, facts)) or draft


def _first_facts(
    key: UUID, request: TicketRequest, severity: int, opened_at: datetime, received_at: datetime
) -> list[tuple[Fact, bytes]] | Problem:
    """The opening, what the policy adds to it (RULES 5) and the item's events, each with its request's digest."""
    opened = Fact(
        number=1,
        event_id="opened",
        type=FactType.OPENED,
        occurred_at=opened_at,
        received_at=received_at,
        severity=severity,
    )
    told = {opened.event_id: (opened, request.digest())}
    if request.category == "mishandled_request" and request.sender_is_it_contact:
        escalated = Fact(
            number=2,
            event_id="policy:mishandled_request",
            type=FactType.ESCALATED,
            occurred_at=opened_at,
            received_at=received_at,
            actor="policy",
            reason="mishandled request",
        )
        told[escalated.event_id] = (escalated, request.digest())
    for index, event in enumerate(request.events if isinstance(request, TicketItem) else ()):
        event_id = event.event_id or str(derived_id(key, "event", index))
        if event_id not in told:
            told[event_id] = (_fact(event, len(told) + 1, event_id, received_at), event.digest())
        elif told[event_id][1] != event.digest():
            field = FieldError(field=f"events[{index}].event_id", message="is used twice, for different events")
            return Problem(409, "Two events of this ticket have the same event_id.", errors=[field])
    return list(told.values())


def _fact(request: EventRequest, number: int, event_id: str, received_at: datetime) -> Fact:
    return Fact(
        number=number,
        event_id=event_id,
        type=FactType(request.type),
        occurred_at=min(request.occurred_at or received_at, received_at),
        received_at=received_at,
        actor=request.actor,
        severity=request.severity,
        reason=request.reason,
        resolution_kind=request.resolution_kind,
    )


def first_events(ticket: StoredTicket, facts: Sequence[Fact]) -> list[TicketEvent]:
    """What tells the bus of a ticket and the facts that came with it."""
    summary = ticket.summary()
    if ticket.imported:
        received_at, history = ticket.received_at, ticket.history
        return [TicketImported(ticket=summary, facts=tuple(facts), received_at=received_at, history=history)]
    return [TicketOpened(ticket=summary, fact=facts[0]), *(_changed(ticket, fact) for fact in facts[1:])]


def _changed(ticket: StoredTicket, fact: Fact) -> TicketChanged:
    return TicketChanged(tenant=ticket.tenant, ticket_id=ticket.ticket_id, fact=fact)


async def _first_answers(store: Store, ids: Collection[UUID]) -> dict[UUID, TakenTicket]:
    """Stored tickets as they stood when they were taken in."""
    if not ids:
        return {}
    found = await store.tickets(ids)
    facts = await store.facts([key for key, ticket in found.items() if ticket.imported])
    return {
        key: TakenTicket(replace(ticket, standing=_first_standing(ticket, facts.get(key, ()))), created=False)
        for key, ticket in found.items()
    }


def _first_standing(ticket: StoredTicket, facts: Sequence[Fact]) -> Standing:
    return standing(facts[: ticket.first_facts]) if ticket.imported else Standing(ticket.initial_severity, True)


def _again(draft: NewTicket, known: TakenTicket) -> TakenTicket | Problem:
    if known.ticket.digest == draft.ticket.digest:
        return known
    detail = "This source and external_id are known with another body. Post what happened since as an event."
    return Problem(409, detail)


async def _earlier(store: Store, ticket: UUID, event_id: str, request: EventRequest) -> TakenEvent | None:
    """The fact that this event id brought before. Raises Problem 409 if it was another one."""
    found = await store.fact(ticket, event_id)
    if found is None:
        return None
    fact, digest = found
    if digest != request.digest():
        raise Problem(409, "This event_id of the ticket is known with another body.")
    return TakenEvent(ticket, fact, created=False)


def _too_large(events: Sequence[TicketEvent]) -> Problem | None:
    if all(len(event.model_dump_json().encode()) <= LARGEST_RECORD for event in events):
        return None
    return Problem(413, f"One record of this would be larger than {LARGEST_RECORD} bytes. Post it in smaller parts.")


def _workaround_refused() -> Problem:
    detail = "No workaround is acceptable on severity 1: change the severity first (severity_changed), or resolve it."
    return Problem(409, detail)


def _is_history(request: TicketRequest) -> bool:
    return isinstance(request, TicketItem) and request.history
