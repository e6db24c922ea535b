"""Ladder runs as a list: filtered, paged, and the current one of a ticket."""

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
    """Which ladder runs of a tenant; None does not filter. `before` is the position that a cursor names."""

    tenant: str
    ticket_id: UUID | None = None
    customer_id: str | None = None
    tier: int | None = None
    state: LadderState | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class LadderRow:
    """A ladder run in the list: its position there, its ticket and customer."""

    position: int
    ticket_id: UUID
    key: RunKey
    customer_id: str


async def list_ladders(connection: AsyncConnection, which: LadderFilter, limit: int) -> list[LadderRow]:
    """At most `limit` ladder runs, the newest first."""
    wanted = {
        LADDERS.c.ticket_id: which.ticket_id,
        TICKETS.c.customer_id: which.customer_id,
        LADDERS.c.tier: which.tier,
        LADDERS.c.state: which.state,
    }
    query = _LADDERS.where(TICKETS.c.tenant == which.tenant)
    query = query.where(*(column == value for column, value in wanted.items() if value is not None))
    if which.before is not None:
        query = query.where(LADDERS.c.position < which.before)
    return await _fetch(connection, query.order_by(LADDERS.c.position.desc()).limit(limit))


async def current_ladder(connection: AsyncConnection, tenant: str, *, ticket_id: UUID) -> LadderRow:
    """The run of the ticket's last cycle. Raises LadderNotFoundError if the tenant's ticket has none."""
    query = _LADDERS.where(TICKETS.c.tenant == tenant, LADDERS.c.ticket_id == ticket_id)
    rows = await _fetch(connection, query.order_by(LADDERS.c.cycle.desc(), LADDERS.c.run.desc()).limit(1))
    if not rows:
        raise LadderNotFoundError(ticket_id)
    return rows[0]


_LADDERS = select(LADDERS.c.position, LADDERS.c.ticket_id, LADDERS.c.cycle, LADDERS.c.run, TICKETS.c.customer_id).join(
    TICKETS, TICKETS.c.ticket_id == LADDERS.c.ticket_id
)


async def _fetch(connection: AsyncConnection, query: Select[Any]) -> list[LadderRow]:
    return [
        LadderRow(row.position, row.ticket_id, RunKey(row.cycle, row.run), row.customer_id)
        for row in await connection.execute(query)
    ]
