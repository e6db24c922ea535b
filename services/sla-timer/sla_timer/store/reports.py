"""Queries for reports and gauges, on the reader's connection. Never commits."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import EVENT_TYPES, Event
from tocsin.runtime.kafka.client import PARTITIONS

from sla_timer.domain.compliance import Answer, Outcome
from sla_timer.store.tables import AGENDA, CLOCKS, TICKETS, TOLD

PAGE = 500


async def open_clocks(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """(clock, severity, state, count) of the clocks that have not ended."""
    c = CLOCKS.c
    return (
        await connection.execute(
            select(c.clock, c.severity, c.state, func.count().label("clocks"))
            .where(c.open)
            .group_by(c.clock, c.severity, c.state)
        )
    ).all()


async def oldest_on_agenda(connection: AsyncConnection) -> datetime | None:
    """The earliest instant that lies on any ticket's agenda."""
    a = AGENDA.c
    # Partition by partition, which is the order of the index: without it every row would be read.
    first = [
        select(a.next_at).where(a.partition == partition).order_by(a.next_at).limit(1).subquery().select()
        for partition in range(PARTITIONS)
    ]
    return min((await connection.execute(union_all(*first))).scalars(), default=None)


async def outcomes(
    connection: AsyncConnection, tenant: str, begin: datetime, end: datetime, zone: str
) -> list[Outcome]:
    """The clocks whose outcome lies in `[begin, end)`, counted; months are those of `zone`."""
    c = CLOCKS.c
    month = func.to_char(func.timezone(zone, c.outcome_at), "YYYY-MM").label("month")
    rows = await connection.execute(
        select(c.clock, c.severity, c.customer, month, c.state, func.count())
        .where(c.tenant == tenant, c.outcome_at >= begin, c.outcome_at < end)
        .group_by(c.clock, c.severity, c.customer, month, c.state)
    )
    return [Outcome(*row) for row in rows]


async def answers(
    connection: AsyncConnection, tenant: str, channels: Sequence[str], begin: datetime, end: datetime
) -> list[Answer]:
    """The items of these channels that were opened in `[begin, end)`."""
    t = TICKETS.c
    rows = await connection.execute(
        select(t.channel, t.opened_at, t.responded_at, t.closed_at).where(
            t.tenant == tenant, t.channel.in_(channels), t.opened_at >= begin, t.opened_at < end
        )
    )
    return [Answer(*row) for row in rows]


async def told_since(engine: AsyncEngine, since: datetime) -> AsyncIterator[list[Event]]:
    """Pages of the events that were told at or after a business instant, in the order in which they were."""
    t = TOLD.c
    after = -1
    while True:
        query = select(t.id, t.type, t.event).where(t.id > after, t.told_at >= since).order_by(t.id).limit(PAGE)
        async with engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            return
        yield [EVENT_TYPES[row.type].model_validate_json(row.event) for row in rows]
        after = rows[-1].id
