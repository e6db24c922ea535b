"""Read tickets: one with its facts, or a page of a list."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact
from tocsin.runtime.http.responses import PAGE_BYTES

from intake.domain.ticket import StoredTicket
from intake.errors import TicketNotFoundError
from intake.store.tickets import TicketFilter, TicketStore


@dataclass(frozen=True, slots=True)
class TicketFigures:
    """Figures of all tenants' tickets: how many are open and disputed, and some sources that have posted tickets."""

    disputed: int
    sources: Sequence[str]


@dataclass(frozen=True, slots=True)
class TicketPage:
    """A page of a list; `next_before` is the `TicketFilter.before` of the next page, None on the last one."""

    tickets: Sequence[StoredTicket]
    next_before: int | None


async def list_tickets(connection: AsyncConnection, wanted: TicketFilter, limit: int) -> TicketPage:
    """Up to `limit` tickets of together at most PAGE_BYTES, but at least one; the last received first."""
    page: list[StoredTicket] = []
    size = 0
    async for ticket in TicketStore(connection).stream_page(wanted, limit + 1):
        size += len(orjson.dumps(ticket.body))
        if len(page) == limit or (page and size > PAGE_BYTES):
            return TicketPage(page, page[-1].position)
        page.append(ticket)
    return TicketPage(page, None)


async def load_ticket(connection: AsyncConnection, tenant: str, ticket_id: UUID) -> tuple[StoredTicket, list[Fact]]:
    """A ticket with its facts by number. Raises TicketNotFoundError."""
    store = TicketStore(connection)
    ticket = await store.load_ticket(tenant, ticket_id)
    if ticket is None:
        raise TicketNotFoundError
    facts = (await store.load_facts([ticket_id]))[ticket_id]
    return ticket, facts[: ticket.last_number]  # without those committed since the first query


async def load_figures(connection: AsyncConnection, max_sources: int) -> TicketFigures:
    """The figures of the tickets as stored now, with at most `max_sources` sources."""
    store = TicketStore(connection)
    return TicketFigures(await store.count_disputed(), await store.load_sources(max_sources))
