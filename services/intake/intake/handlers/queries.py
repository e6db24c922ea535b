"""Read tickets: one with its facts, or a page of a list."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact

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
    """Up to `limit` tickets, the last received first."""
    found = await TicketStore(connection).load_page(wanted, limit + 1)
    page = found[:limit]
    return TicketPage(page, page[-1].position if len(found) > limit else None)


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
