"""The clocks of all tickets, for reports and gauges."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, func, literal, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from sla_timer.domain.clock import ClockOutcome
from sla_timer.domain.clock_counts import AT_RISK_SECONDS, MetCount, OpenClockCount, OpenClockState
from sla_timer.domain.compliance import OutcomeCount, ReportFilter
from sla_timer.domain.decided_clock import OutcomeKey, StoredOutcome
from sla_timer.domain.ticket_evaluation import TicketEvaluation
from sla_timer.store.tables import CLOCKS, TICKETS

_VALUES: Final = (
    "severity", "ticket_severity", "state", "open", "provisional", "warned", "historic", "due_at", "outcome_at"
)  # fmt: skip
_REPLACE: Final = text(
    "WITH evaluated AS ("
    "SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:cycles AS int[]), CAST(:clocks AS text[]),"
    " CAST(:severities AS smallint[]), CAST(:states AS text[]),"
    " CAST(:opens AS boolean[]), CAST(:provisionals AS boolean[]), CAST(:warnings AS boolean[]),"
    " CAST(:deadlines AS timestamptz[]), CAST(:outcomes AS timestamptz[]))"
    " AS e (ticket_id, cycle, clock, severity, state, open, provisional, warned, due_at, outcome_at)"
    "), gone AS ("
    "DELETE FROM clocks c WHERE c.ticket_id = ANY(CAST(:tickets AS uuid[])) AND NOT EXISTS (SELECT FROM evaluated e"
    " WHERE (e.ticket_id, e.cycle, e.clock) = (c.ticket_id, c.cycle, c.clock))"
    ") INSERT INTO clocks AS c (ticket_id, tenant, customer_id, partition, cycle, clock, severity, ticket_severity,"
    " state, open, provisional, warned, historic, due_at, outcome_at)"
    " SELECT t.ticket_id, t.tenant, t.customer_id, t.partition, e.cycle, e.clock, e.severity, t.severity,"
    " e.state, e.open, e.provisional, e.warned, coalesce(e.outcome_at <= t.historic_through, false),"
    " e.due_at, e.outcome_at FROM evaluated e JOIN tickets t USING (ticket_id)"
    f" ON CONFLICT (ticket_id, cycle, clock) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _VALUES)}"
    f" WHERE ({', '.join(f'c.{name}' for name in _VALUES)})"
    f" IS DISTINCT FROM ({', '.join(f'excluded.{name}' for name in _VALUES)})"
)
_DUE_WITHIN: Final = ", ".join(f"count(*) FILTER (WHERE c.due_at <= :by_{seconds})" for seconds in AT_RISK_SECONDS)
_COUNT_OPEN: Final = text(
    "SELECT c.clock, c.ticket_severity,"
    " CASE WHEN c.state = 'breached' THEN 'breached'"
    " WHEN c.provisional AND c.due_at <= w.through THEN 'silent'"
    " WHEN c.state = 'paused' THEN 'paused'"
    f" WHEN c.warned THEN 'warned' ELSE 'running' END, count(*), {_DUE_WITHIN}"
    " FROM clocks c LEFT JOIN unnest(CAST(:partitions AS smallint[]), CAST(:throughs AS timestamptz[]))"
    " AS w (partition, through) ON w.partition = c.partition"
    " WHERE c.open GROUP BY 1, 2, 3"
)


async def replace_clocks(connection: AsyncConnection, evaluations: Sequence[TicketEvaluation]) -> None:
    """Store the clocks of these stored tickets in place of those before. An unchanged clock is not written."""
    clocks = [(evaluation, clock) for evaluation in evaluations for clock in evaluation.clocks]
    await connection.execute(
        _REPLACE,
        {
            "tickets": [evaluation.ticket_id for evaluation in evaluations],
            "ids": [evaluation.ticket_id for evaluation, _ in clocks],
            "cycles": [clock.cycle for _, clock in clocks],
            "clocks": [clock.clock for _, clock in clocks],
            "severities": [clock.severity for _, clock in clocks],
            "states": [clock.state.value for _, clock in clocks],
            "opens": [clock.open for _, clock in clocks],
            "provisionals": [clock.provisional for _, clock in clocks],
            "warnings": [clock.warned for _, clock in clocks],
            "deadlines": [clock.due_at for _, clock in clocks],
            "outcomes": [clock.outcome_at for _, clock in clocks],
        },
    )


async def count_open_clocks(
    connection: AsyncConnection, *, now: datetime, evaluated_through: Mapping[int, datetime]
) -> list[OpenClockCount]:
    """The clocks that have not ended, by clock, present severity of the ticket, and state.

    `evaluated_through`: the instant up to which each partition is evaluated. Silence after it has not been judged.
    """
    parameters = {f"by_{seconds}": now + timedelta(seconds=seconds) for seconds in AT_RISK_SECONDS}
    rows = await connection.execute(
        _COUNT_OPEN,
        parameters | {"partitions": list(evaluated_through), "throughs": list(evaluated_through.values())},
    )
    return [
        OpenClockCount(clock, severity, OpenClockState(state), clocks, tuple(due_within))
        for clock, severity, state, clocks, *due_within in rows
    ]


async def count_met(connection: AsyncConnection, *, begin: datetime, end: datetime) -> list[MetCount]:
    """The clocks met and breached in `[begin, end)`, by clock and severity, without history."""
    c = CLOCKS.c
    met = func.count().filter(c.state == ClockOutcome.MET.value)
    breached = func.count().filter(c.state == ClockOutcome.BREACHED.value)
    rows = await connection.execute(
        select(c.clock, c.severity, met, breached)
        .where(~c.historic, c.outcome_at.is_not(None), c.outcome_at >= begin, c.outcome_at < end)
        .group_by(c.clock, c.severity)
    )
    return [MetCount(*row) for row in rows]


async def count_outcomes(
    connection: AsyncConnection, wanted: ReportFilter, *, begin: datetime, end: datetime, zone: str
) -> list[OutcomeCount]:
    """The clocks whose outcome lies in `[begin, end)`; months are those of `zone`."""
    c = CLOCKS.c
    month = func.to_char(func.timezone(zone, c.outcome_at), "YYYY-MM").label("month")
    columns = (c.clock, c.severity, c.customer_id, month, c.state)
    query = _with_outcome(select(*columns, func.count()), wanted, begin=begin, end=end)
    rows = await connection.execute(query.group_by(*columns))
    return [OutcomeCount(*row) for row in rows]


async def list_outcomes(
    connection: AsyncConnection,
    wanted: ReportFilter,
    *,
    begin: datetime,
    end: datetime,
    after: OutcomeKey | None,
    limit: int,
) -> list[StoredOutcome]:
    """At most `limit` outcomes in `[begin, end)`, sorted by their key, from `after` on."""
    c = CLOCKS.c
    key = (c.outcome_at, c.ticket_id, c.cycle, c.clock)
    query = _with_outcome(select(*key, c.severity, c.state, c.historic), wanted, begin=begin, end=end)
    if after is not None:
        # The first condition follows from the second; the index needs it.
        query = query.where(c.outcome_at >= after.outcome_at, tuple_(*key) > tuple_(*map(literal, after)))
    rows = await connection.execute(query.order_by(*key).limit(limit))
    return [
        StoredOutcome(
            OutcomeKey(row.outcome_at, row.ticket_id, row.cycle, row.clock),
            severity=row.severity,
            outcome=ClockOutcome(row.state),
            historic=row.historic,
        )
        for row in rows
    ]


def _with_outcome(query: Select[Any], wanted: ReportFilter, *, begin: datetime, end: datetime) -> Select[Any]:
    """The query, with the clocks that the filter selects and whose outcome lies in `[begin, end)`."""
    c, t = CLOCKS.c, TICKETS.c
    query = query.where(c.tenant == wanted.tenant, c.outcome_at >= begin, c.outcome_at < end)
    own = {
        c.customer_id: wanted.customer,
        c.severity: wanted.severity,
        c.clock: wanted.clock,
        c.historic: wanted.historic,
    }
    of_ticket = {t.channel: wanted.channel, t.category: wanted.category}
    if any(value is not None for value in of_ticket.values()):
        query = query.join(TICKETS, t.ticket_id == c.ticket_id)
    for column, value in (own | of_ticket).items():
        if value is not None:
            query = query.where(column == value)
    return query
