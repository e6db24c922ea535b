"""The events of stored facts, to be published again."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from intake.domain.ticket import TicketEvent
from intake.domain.ticket_events import events_since
from intake.store.tickets import TicketStore

_PAGE_SIZE: Final = 200


async def stored_events(engine: AsyncEngine, since: datetime) -> AsyncIterator[list[TicketEvent]]:
    """Pages of the events of all facts received at or after `since`, equal to those first published."""
    async with engine.connect() as connection:
        positions = await TicketStore(connection).load_positions_since(since)
    for start in range(0, len(positions), _PAGE_SIZE):
        async with engine.connect() as connection:
            store = TicketStore(connection)
            tickets = await store.load_tickets_at(positions[start : start + _PAGE_SIZE])
            facts = await store.load_facts([ticket.ticket_id for ticket in tickets])
        yield [event for ticket in tickets for event in events_since(ticket, facts[ticket.ticket_id], since)]
