"""What the calls, the gauges and `republish` read."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import DeliveryEvent, MailKind

from notifier.domain.delivery import Entry, State, Stored
from notifier.store.tables import UNDELIVERED, deliveries, journal
from notifier.store.writes import COLUMNS

_PAGE: Final = 500
_LATELY: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which deliveries a list shows; `after` is the `seq` that the page before ended at.

    `recipient` is an address or a person of the directory; `queued_from` is inclusive, `queued_to` exclusive.
    """

    tenant: str
    ticket_id: UUID | None = None
    recipient: str | None = None
    state: State | None = None
    kind: MailKind | None = None
    queued_from: datetime | None = None
    queued_to: datetime | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a delivery's journal; `at` is business time."""

    entry: Entry
    attempts: int
    at: datetime
    real_at: datetime
    email: str | None
    reply: str | None


async def page(connection: AsyncConnection, wanted: Filter, limit: int) -> list[Stored]:
    """Up to `limit` deliveries, oldest first."""
    query = select(*COLUMNS).where(deliveries.c.tenant == wanted.tenant, deliveries.c.seq > wanted.after)
    for column, value in (
        (deliveries.c.ticket_id, wanted.ticket_id),
        (deliveries.c.state, wanted.state),
        (deliveries.c.kind, wanted.kind),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.recipient is not None:
        address = func.lower(deliveries.c.email) == wanted.recipient.lower()
        query = query.where(or_(address, deliveries.c.person == wanted.recipient))
    if wanted.queued_from is not None:
        query = query.where(deliveries.c.queued_at >= wanted.queued_from)
    if wanted.queued_to is not None:
        query = query.where(deliveries.c.queued_at < wanted.queued_to)
    rows = await connection.execute(query.order_by(deliveries.c.seq).limit(limit))
    return [Stored(*row) for row in rows]


async def delivery(connection: AsyncConnection, tenant: str, delivery_id: UUID) -> Stored | None:
    """This tenant's delivery of that id."""
    query = select(*COLUMNS).where(deliveries.c.id == delivery_id, deliveries.c.tenant == tenant)
    row = (await connection.execute(query)).one_or_none()
    return Stored(*row) if row else None


async def of_message(connection: AsyncConnection, message_id: str, tenant: str | None) -> list[Stored]:
    """The deliveries whose mail bore that Message-ID, of this tenant (null: of any), oldest first."""
    query = select(*COLUMNS).where(deliveries.c.message_id == message_id).order_by(deliveries.c.seq)
    if tenant is not None:
        query = query.where(deliveries.c.tenant == tenant)
    return [Stored(*row) for row in await connection.execute(query)]


async def journal_of(connection: AsyncConnection, delivery_id: UUID) -> list[Line]:
    """What became of a delivery, oldest first."""
    columns = [journal.c[field.name] for field in fields(Line)]
    rows = await connection.execute(select(*columns).where(journal.c.delivery_id == delivery_id).order_by(journal.c.id))
    return [Line(*row) for row in rows]


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


async def undelivered(connection: AsyncConnection) -> dict[str, int]:
    """How many deliveries became bounced, refused or undeliverable in the last ten real minutes, by that state."""
    query = (
        select(journal.c.entry, func.count())
        .where(UNDELIVERED, journal.c.real_at > func.statement_timestamp() - _LATELY)
        .group_by(journal.c.entry)
    )
    return dict((await connection.execute(query)).all())


async def told_since(engine: AsyncEngine, since: datetime) -> AsyncIterator[list[DeliveryEvent]]:
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
        yield [DeliveryEvent.model_validate_json(row.event) for row in rows]
