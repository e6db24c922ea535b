"""Queries for machines: deadlines ahead, their calendar, and one ticket by the id in its tool."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.events import DeliveryEvent
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from board.domain.at_risk import AtRiskPosition, ComingDeadline, at_risk
from board.domain.board_filter import BoardFilter
from board.domain.board_ticket import BoardTicket
from board.domain.ticket_links import TicketLinks
from board.handlers.deadline_calendars import DeadlineCalendars, OpenTicketsOf
from board.store.history import load_deliveries
from board.store.tickets import load_by_external


@dataclass(frozen=True, slots=True)
class MachineContext:
    """`reader` is the engine for queries."""

    reader: AsyncEngine
    open_tickets: OpenTicketsOf
    clock: TimeSource
    directory: DirectoryFile
    links: TicketLinks
    calendars: DeadlineCalendars


@dataclass(frozen=True, slots=True)
class AtRiskPage:
    """A page of deadlines as of an instant, the most urgent first. `has_more`: others follow."""

    as_of: datetime
    deadlines: Sequence[ComingDeadline]
    has_more: bool


@dataclass(frozen=True, slots=True)
class TicketOverview:
    """A ticket as of an instant, and its deliveries."""

    as_of: datetime
    ticket: BoardTicket
    deliveries: Sequence[DeliveryEvent]


async def at_risk_page(
    context: MachineContext, wanted: BoardFilter, *, within: timedelta, after: AtRiskPosition | None, limit: int
) -> AtRiskPage:
    """At most `limit` deadlines with at most `within` left as their clocks count.

    `after` continues a list as of the same instant, so that the passing of time moves no deadline between pages.
    """
    as_of = context.clock.now() if after is None else after.as_of
    found = at_risk(await _load_open(context, wanted), as_of, within)
    if after is not None:
        found = [deadline for deadline in found if deadline.position > after.position]
    return AtRiskPage(as_of, found[:limit], has_more=len(found) > limit)


async def ticket_overview(context: MachineContext, *, tenant: str, source: str, external_id: str) -> TicketOverview:
    """The ticket that the tenant's tool `source` knows by this id. Raises TicketNotOnBoardError."""
    async with context.reader.connect() as connection:
        ticket = await load_by_external(connection, tenant, source, external_id)
        deliveries = await load_deliveries(connection, ticket.ticket_id)
    return TicketOverview(context.clock.now(), ticket, deliveries)


async def _load_open(context: MachineContext, wanted: BoardFilter) -> list[BoardTicket]:
    tickets = await context.open_tickets(wanted.tenant)
    return [ticket for ticket in tickets.values() if wanted.matches(ticket)]
