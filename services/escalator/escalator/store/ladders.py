"""Queries of ladder runs: a filtered page, and the current run of a ticket."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from escalator.domain.tiers import LadderState, RunKey
from escalator.errors import LadderNotFoundError
from escalator.store.tables import LADDERS, TICKETS


@dataclass(frozen=True, slots=True)
class LadderFilter:
    """Selects ladder runs of a tenant; a field that is None does not filter. `before` is the position in a cursor."""

    tenant: str
    ticket_id: UUID | None = None
    customer_id: str | None = None
    tier: int | None = None
    state: LadderState | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class LadderRow:
    """A ladder run: its position in the list (a newer run has a higher one), its ticket and its customer."""

    position: int
    ticket_id: UUID
    key: RunKey
    customer_id: str


async def list_ladders(connection: AsyncConnection, filters: LadderFilter, limit: int) -> list[LadderRow]:
    """At most `limit` ladder runs, the newest first."""
    wanted = {
        LADDERS.c.ticket_id: filters.ticket_id,
        TICKETS.c.customer_id: filters.customer_id,
        LADDERS.c.tier: filters.tier,
        LADDERS.c.state: filters.state,
    }
    query = _LADDER_ROWS.where(TICKETS.c.tenant == filters.tenant)
    query = query.where(*(column == value for column, value in wanted.items() if value is not None))
    if filters.before is not None:
        query = query.where(LADDERS.c.position < filters.before)
    return await _fetch(connection, query.order_by(LADDERS.c.position.desc()).limit(limit))


async def current_ladder(connection: AsyncConnection, tenant: str, *, ticket_id: UUID) -> LadderRow:
    """The last run of the ticket's last ladder. Raises LadderNotFoundError if the tenant's ticket has none."""
    query = _LADDER_ROWS.where(TICKETS.c.tenant == tenant, LADDERS.c.ticket_id == ticket_id)
    rows = await _fetch(connection, query.order_by(LADDERS.c.cycle.desc(), LADDERS.c.run.desc()).limit(1))
    if not rows:
        raise LadderNotFoundError(ticket_id)
    return rows[0]


_LADDER_ROWS = select(
    LADDERS.c.position, LADDERS.c.ticket_id, LADDERS.c.cycle, LADDERS.c.run, TICKETS.c.customer_id
).join(TICKETS, TICKETS.c.ticket_id == LADDERS.c.ticket_id)


async def _fetch(connection: AsyncConnection, query: Select[Any]) -> list[LadderRow]:
    return [
        LadderRow(row.position, row.ticket_id, RunKey(row.cycle, row.run), row.customer_id)
        for row in await connection.execute(query)
    ]
