"""What the events of the escalator write."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Notify, StandDown, Withdraw
from tocsin.runtime.database import bulk

from notifier.domain.delivery import Noted, Stored
from notifier.store.tables import deliveries, notices, tickets, withdrawals
from notifier.store.writes import COLUMNS, among, note


async def add_tickets(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> None:
    """Rows to lock, for tickets that have none yet."""
    await bulk.insert_new(connection, tickets, [{"ticket_id": ticket_id} for ticket_id in sorted(set(ticket_ids))])


async def add_notices(connection: AsyncConnection, added: Sequence[Notify | StandDown]) -> set[UUID]:
    """Keep notifies and stand_downs; the ids of those that were not taken in before."""
    rows = [
        {
            "id": notice.event_id,
            "ticket_id": notice.ticket_id,
            "type": "notify" if isinstance(notice, Notify) else "stand_down",
            "event": notice.model_dump_json().encode(),
        }
        for notice in added
    ]
    return {row.id for row in await bulk.insert_new(connection, notices, rows)}


async def withdraw(connection: AsyncConnection, event: Withdraw | StandDown) -> None:
    """Remember that these notifications are not needed any more; the latest event to say so counts."""
    rows = [
        {"notification_id": id_, "event_id": event.event_id, "reason": event.reason}
        for id_ in sorted(set(event.notifications))
    ]
    await bulk.upsert(connection, withdrawals, rows)


async def add_deliveries(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> list[Stored]:
    """New deliveries, in this order, as far as they are new; these are returned. All give the same columns."""
    seqs = [row.seq for row in await bulk.insert_new(connection, deliveries, rows)]
    if not seqs:
        return []
    query = select(*COLUMNS).where(among(deliveries.c.seq, seqs)).order_by(deliveries.c.seq)
    added = [Stored(*row) for row in await connection.execute(query)]
    await note(connection, [Noted(delivery, delivery.state) for delivery in added])
    return added


async def of_notifications(connection: AsyncConnection, ids: Collection[UUID]) -> list[Stored]:
    """The deliveries of some notifications, in the order of events."""
    query = select(*COLUMNS).where(among(deliveries.c.notification_id, ids)).order_by(deliveries.c.seq)
    return [Stored(*row) for row in await connection.execute(query)]


async def cancel_unsent(connection: AsyncConnection, ids: Collection[UUID], reason: str, at: datetime) -> list[Stored]:
    """Cancel what of these notifications was not handed to a server yet. What is in DATA is left to its attempt.

    A claimed one is taken from its worker, which finds that out before DATA.
    """
    unsent = deliveries.c.state.in_(("queued", "deferred", "claimed"))
    changes = {"state": "cancelled", "ready_at": None, "changed_at": at, "reply": reason}
    statement = update(deliveries).where(among(deliveries.c.notification_id, ids), unsent)
    rows = await connection.execute(statement.values(**changes, token=deliveries.c.token + 1).returning(*COLUMNS))
    cancelled = sorted((Stored(*row) for row in rows), key=lambda delivery: delivery.seq)
    await note(connection, [Noted(delivery, "cancelled") for delivery in cancelled])
    return cancelled
