"""Queries of ladder runs: a filtered page, the current run of a ticket, and how many are open."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, case, exists, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Customer
from tocsin.runtime.database.bulk import among

from escalator.domain.tiers import LadderState, RunKey
from escalator.errors import LadderNotFoundError
from escalator.store.tables import LADDERS, STEPS, TICKETS


@dataclass(frozen=True, slots=True)
class LadderFilter:
    """Selects ladder runs of a tenant; a field that is None does not filter. `before` is the position in a cursor.

    `step_from` and `step_to` select runs with a step in `[step_from, step_to)` that is not voided.
    """

    tenant: str
    ticket_id: UUID | None = None
    customer_id: str | None = None
    tier: int | None = None
    state: LadderState | None = None
    step_from: datetime | None = None
    step_to: datetime | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class LadderRow:
    """A ladder run: its position in the list (a newer run has a higher one), and what is known of its ticket."""

    position: int
    ticket_id: UUID
    key: RunKey
    source: str
    external_id: str
    summary: str
    customer: Customer


EXHAUSTED: Final = "exhausted"


async def count_open_ladders(connection: AsyncConnection) -> dict[tuple[str, int], int]:
    """The number of open ladders by (the last tier notified, or `exhausted`; the governing severity).

    Without ladders that are history as a whole, and those that have notified no tier.
    """
    tier = case((LADDERS.c.exhausted.is_not(None), EXHAUSTED), else_=LADDERS.c.tier.cast(Text))
    is_open = LADDERS.c.live & LADDERS.c.ended_at.is_(None)
    has_begun = (LADDERS.c.tier > 0) | LADDERS.c.exhausted.is_not(None)
    query = select(tier, LADDERS.c.severity, func.count()).where(is_open, has_begun).group_by(tier, LADDERS.c.severity)
    return {(tier, severity): count for tier, severity, count in await connection.execute(query)}


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
    if filters.step_from is not None or filters.step_to is not None:
        query = query.where(_has_step(filters.step_from, filters.step_to))
    if filters.before is not None:
        query = query.where(LADDERS.c.position < filters.before)
    return await _fetch(connection, query.order_by(LADDERS.c.position.desc()).limit(limit))


def _has_step(begin: datetime | None, end: datetime | None) -> ColumnElement[bool]:
    s = STEPS.c
    of_run = exists().where(
        s.ticket_id == LADDERS.c.ticket_id, s.cycle == LADDERS.c.cycle, s.run == LADDERS.c.run, ~s.voided
    )
    if begin is not None:
        of_run = of_run.where(s.at >= begin)
    return of_run if end is None else of_run.where(s.at < end)


async def current_ladder(connection: AsyncConnection, tenant: str, *, ticket_id: UUID) -> LadderRow:
    """The last run of the ticket's last ladder. Raises LadderNotFoundError if the tenant's ticket has none."""
    found = await current_ladders(connection, tenant, ticket_ids=[ticket_id])
    if ticket_id not in found:
        raise LadderNotFoundError(ticket_id)
    return found[ticket_id]


async def current_ladders(
    connection: AsyncConnection, tenant: str, *, ticket_ids: Collection[UUID]
) -> dict[UUID, LadderRow]:
    """The last run of the last ladder of each of the tenant's tickets that has one."""
    query = _LADDER_ROWS.where(TICKETS.c.tenant == tenant, among(LADDERS.c.ticket_id, ticket_ids))
    last_first = (LADDERS.c.ticket_id, LADDERS.c.cycle.desc(), LADDERS.c.run.desc())
    rows = await _fetch(connection, query.ext(distinct_on(LADDERS.c.ticket_id)).order_by(*last_first))
    return {row.ticket_id: row for row in rows}


_LADDER_ROWS: Final = select(
    LADDERS.c.position,
    LADDERS.c.ticket_id,
    LADDERS.c.cycle,
    LADDERS.c.run,
    TICKETS.c.source,
    TICKETS.c.external_id,
    TICKETS.c.summary,
    TICKETS.c.customer_id,
    TICKETS.c.customer_name,
).join(TICKETS, TICKETS.c.ticket_id == LADDERS.c.ticket_id)


async def _fetch(connection: AsyncConnection, query: Select[Any]) -> list[LadderRow]:
    return [
        LadderRow(
            position=row.position,
            ticket_id=row.ticket_id,
            key=RunKey(row.cycle, row.run),
            source=row.source,
            external_id=row.external_id,
            summary=row.summary,
            customer=Customer(id=row.customer_id, name=row.customer_name),
        )
        for row in await connection.execute(query)
    ]
