"""The journal: every state of every delivery, and the events that publish it. Nothing here commits."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import DeliveryEvent
from tocsin.runtime.database import bulk
from tocsin.runtime.database.engine import on_commit

from notifier import metrics
from notifier.domain.delivery import JournalEntry
from notifier.store.tables import DELIVERIES, JOURNAL, OUTBOX, UNDELIVERED

_PAGE: Final = 500
_RECENT: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A journal entry of one delivery; `at` is business time."""

    entry: str
    attempts: int
    at: datetime
    real_at: datetime
    email: str | None
    reply: str | None


async def record(
    connection: AsyncConnection, entries: Sequence[JournalEntry], *, beside: Sequence[bulk.Write] = ()
) -> None:
    """Append the entries in this order, queue their events for publishing, and count them once committed.

    `beside` are other writes in the same statement.
    """
    published = [OUTBOX.row(entry.event) if entry.event else None for entry in entries]
    rows: list[dict[str, Any]] = [
        {
            "delivery_id": entry.delivery.id,
            "entry": entry.entry,
            "attempts": entry.delivery.attempts,
            "at": entry.delivery.changed_at,
            "reply": entry.delivery.reply,
            "email": entry.delivery.email,
            "event": row["value"] if row else None,
        }
        for entry, row in zip(entries, published, strict=True)
    ]
    events = bulk.Write("insert", OUTBOX.table, [row for row in published if row])
    await bulk.execute(connection, [*beside, bulk.Write("insert", JOURNAL, rows), events])
    if entries:
        on_commit(connection, lambda: metrics.count_entries(entry.entry for entry in entries))


async def load_entries(connection: AsyncConnection, delivery_id: UUID) -> list[JournalRow]:
    """The entries of a delivery, oldest first."""
    columns = [JOURNAL.c[field.name] for field in fields(JournalRow)]
    rows = await connection.execute(select(*columns).where(JOURNAL.c.delivery_id == delivery_id).order_by(JOURNAL.c.id))
    return [JournalRow(*row) for row in rows]


async def count_undelivered(connection: AsyncConnection) -> dict[str, int]:
    """How many deliveries became bounced, refused or undeliverable in the last ten real minutes, by that state.

    Replies to customers are left out: the people on call cannot fix a customer's address.
    """
    query = (
        select(JOURNAL.c.entry, func.count())
        .join(DELIVERIES, DELIVERIES.c.id == JOURNAL.c.delivery_id)
        .where(UNDELIVERED, JOURNAL.c.real_at > func.statement_timestamp() - _RECENT)
        .where(DELIVERIES.c.kind != "rerouted")
        .group_by(JOURNAL.c.entry)
    )
    return dict((await connection.execute(query)).all())


async def events_since(engine: AsyncEngine, since: datetime) -> AsyncIterator[list[DeliveryEvent]]:
    """The events published at or after the business instant `since`, in order, page by page."""
    after = 0
    while True:
        query = (
            select(JOURNAL.c.id, JOURNAL.c.event)
            .where(JOURNAL.c.event.is_not(None), JOURNAL.c.at >= since, JOURNAL.c.id > after)
            .order_by(JOURNAL.c.id)
            .limit(_PAGE)
        )
        async with engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            return
        after = rows[-1].id
        yield [DeliveryEvent.model_validate_json(row.event) for row in rows]
