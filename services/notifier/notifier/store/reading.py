"""What the calls, the gauges and `republish` read."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import Delivery

from notifier.delivery import State, Stored
from notifier.store.writing import COLUMNS
from notifier.tables import deliveries, journal

_PAGE: Final = 500


async def listed(
    connection: AsyncConnection,
    tenant: str,
    *,
    ticket_id: UUID | None,
    recipient: str | None,
    state: State | None,
    after: int,
    limit: int,
) -> list[Stored]:
    """A page of a tenant's deliveries, oldest first. `recipient` is an address or a person of the directory."""
    where = and_(deliveries.c.tenant == tenant, deliveries.c.seq > after)
    if ticket_id is not None:
        where = and_(where, deliveries.c.ticket_id == ticket_id)
    if recipient is not None:
        where = and_(where, or_(func.lower(deliveries.c.email) == recipient.lower(), deliveries.c.person == recipient))
    if state is not None:
        where = and_(where, deliveries.c.state == state)
    rows = await connection.execute(select(*COLUMNS).where(where).order_by(deliveries.c.seq).limit(limit))
    return [Stored(*row) for row in rows]


async def queue(connection: AsyncConnection) -> tuple[dict[str, int], float]:
    """How many deliveries are open, by state, and the real age in seconds of the oldest (0 when none)."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(deliveries.c.created_at))
    query = (
        select(deliveries.c.state, func.count(), age)
        .where(deliveries.c.ready_at.is_not(None))
        .group_by(deliveries.c.state)
    )
    rows = (await connection.execute(query)).all()
    return {state: count for state, count, _ in rows}, max((float(age) for *_, age in rows), default=0.0)


async def told_since(engine: AsyncEngine, since: datetime) -> AsyncIterator[list[Delivery]]:
    """The delivery events told at or after the business instant `since`, in order, page by page."""
    after = 0
    while True:
        query = (
            select(journal.c.id, journal.c.event)
            .where(journal.c.event.is_not(None), journal.c.at >= since, journal.c.id > after)
            .order_by(journal.c.id)
            .limit(_PAGE)
        )
        async with engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            return
        after = rows[-1].id
        yield [Delivery.model_validate_json(row.event) for row in rows]
