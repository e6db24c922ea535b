"""What the bus is told of stored tickets: the same whenever it is told again."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.events import Fact, TicketChanged, TicketImported, TicketOpened
from tocsin.runtime.http.problems import Problem

from intake.store.records import StoredTicket
from intake.store.tickets import TicketStore

LARGEST_RECORD: Final = 900_000
"""Bytes that an event may have on the bus (DESIGN)."""

_PAGE: Final = 200

TicketEvent = TicketOpened | TicketChanged | TicketImported


def first_events(ticket: StoredTicket, facts: Sequence[Fact]) -> list[TicketEvent]:
    """What tells the bus of a ticket and the facts that came with it."""
    summary = ticket.summary()
    if ticket.imported:
        received_at, history = ticket.received_at, ticket.history
        return [TicketImported(ticket=summary, facts=tuple(facts), received_at=received_at, history=history)]
    return [
        TicketOpened(ticket=summary, fact=facts[0]),
        *(changed(ticket.tenant, ticket.ticket_id, fact) for fact in facts[1:]),
    ]


def changed(tenant: str, ticket_id: UUID, fact: Fact) -> TicketChanged:
    """What tells the bus of one further fact."""
    return TicketChanged(tenant=tenant, ticket_id=ticket_id, fact=fact)


def too_large(events: Sequence[TicketEvent]) -> Problem | None:
    """Why these events cannot be told, if one of them is larger than a record may be."""
    if all(len(event.model_dump_json().encode()) <= LARGEST_RECORD for event in events):
        return None
    return Problem(413, f"One record of this would be larger than {LARGEST_RECORD} bytes. Post it in smaller parts.")


async def stored_events(engine: AsyncEngine, since: datetime) -> AsyncIterator[list[TicketEvent]]:
    """Everything that was received at or after `since` as it was told then, a page of tickets at a time."""
    async with engine.connect() as connection:
        positions = await TicketStore(connection).positions_since(since)
    for start in range(0, len(positions), _PAGE):
        async with engine.connect() as connection:
            tickets = await TicketStore(connection).at_positions(positions[start : start + _PAGE])
            facts = await TicketStore(connection).facts([ticket.ticket_id for ticket in tickets])
        yield [event for ticket in tickets for event in _told_since(ticket, facts[ticket.ticket_id], since)]


def _told_since(ticket: StoredTicket, facts: Sequence[Fact], since: datetime) -> list[TicketEvent]:
    """The events of the facts that were received at or after `since`, the same as they were told then."""
    first, later = facts[: ticket.first_facts], facts[ticket.first_facts :]
    told = first_events(ticket, first) if ticket.received_at >= since else []
    return told + [changed(ticket.tenant, ticket.ticket_id, fact) for fact in later if fact.received_at >= since]
