"""The clocks of all tickets, for reports and gauges."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import ClockBreached
from tocsin.runtime.database import bulk

from sla_timer.domain.clock import ClockOutcome
from sla_timer.domain.compliance import OutcomeCount
from sla_timer.domain.ticket_evaluation import TicketEvaluation
from sla_timer.store.tables import CLOCKS

_INSERT = text(
    "INSERT INTO clocks (ticket_id, tenant, customer_id, cycle, clock, severity, state, open, outcome_at)"
    " SELECT t.ticket_id, t.tenant, t.customer_id, c.cycle, c.clock, c.severity, c.state, c.open, c.outcome_at"
    " FROM unnest(CAST(:ids AS uuid[]), CAST(:cycles AS int[]), CAST(:clocks AS text[]),"
    " CAST(:severities AS smallint[]), CAST(:states AS text[]), CAST(:opens AS boolean[]),"
    " CAST(:outcomes AS timestamptz[]))"
    " AS c (ticket_id, cycle, clock, severity, state, open, outcome_at) JOIN tickets t USING (ticket_id)"
)


class OpenClockCount(NamedTuple):
    """How many clocks that have not ended are in a state."""

    clock: str
    severity: int
    state: str
    clocks: int


async def replace_clocks(connection: AsyncConnection, evaluations: Sequence[TicketEvaluation]) -> None:
    """Store the clocks of these tickets in place of those before."""
    ticket_ids = [evaluation.ticket_id for evaluation in evaluations]
    await connection.execute(delete(CLOCKS).where(CLOCKS.c.ticket_id.in_(ticket_ids)))
    clocks = [(evaluation.ticket_id, clock) for evaluation in evaluations for clock in evaluation.clocks]
    await connection.execute(
        _INSERT,
        {
            "ids": [ticket_id for ticket_id, _ in clocks],
            "cycles": [clock.cycle for _, clock in clocks],
            "clocks": [clock.clock for _, clock in clocks],
            "severities": [clock.severity for _, clock in clocks],
            "states": [clock.state.value for _, clock in clocks],
            "opens": [clock.open for _, clock in clocks],
            "outcomes": [clock.outcome_at for _, clock in clocks],
        },
    )


async def store_breaches(connection: AsyncConnection, breaches: Sequence[ClockBreached]) -> None:
    """Store that these clocks breached because time passed."""
    rows = [
        {
            "ticket_id": breach.ticket_id,
            "cycle": breach.cycle,
            "clock": breach.clock,
            "state": ClockOutcome.BREACHED.value,
            "outcome_at": breach.at,
        }
        for breach in breaches
    ]
    await bulk.update(connection, CLOCKS, rows)


async def count_open_clocks(connection: AsyncConnection) -> list[OpenClockCount]:
    """The clocks that have not ended, by clock, severity and state."""
    c = CLOCKS.c
    rows = await connection.execute(
        select(c.clock, c.severity, c.state, func.count()).where(c.open).group_by(c.clock, c.severity, c.state)
    )
    return [OpenClockCount(*row) for row in rows]


async def count_outcomes(
    connection: AsyncConnection, *, tenant: str, begin: datetime, end: datetime, zone: str
) -> list[OutcomeCount]:
    """The clocks whose outcome lies in `[begin, end)`; months are those of `zone`."""
    c = CLOCKS.c
    month = func.to_char(func.timezone(zone, c.outcome_at), "YYYY-MM").label("month")
    rows = await connection.execute(
        select(c.clock, c.severity, c.customer_id, month, c.state, func.count())
        .where(c.tenant == tenant, c.outcome_at >= begin, c.outcome_at < end)
        .group_by(c.clock, c.severity, c.customer_id, month, c.state)
    )
    return [OutcomeCount(*row) for row in rows]
