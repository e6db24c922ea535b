"""What taking in and delivering both need: a ticket's lock, and what became of deliveries written down."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import BindParameter, Column, ColumnElement, Uuid, any_, bindparam, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database import bulk

from notifier.domain.delivery import Noted, Stored, told_event
from notifier.store.tables import OUTBOX, deliveries, journal, tickets, withdrawals

COLUMNS: Final = [deliveries.c[field.name] for field in fields(Stored)]
"""The columns of a `Stored`, in the order of its fields."""

_FIXED: Final = (
    *("id", "notification_id", "tenant", "ticket_id", "customer_id", "kind", "cycle", "run", "step", "tier"),
    *("severity", "occasion", "role", "role_title", "scheduled_at", "created_at", "queued_at"),
    *("redelivery", "redelivery_of", "redelivered_by", "fallback", "fallback_of"),
)
_WRITTEN: Final = [column.name for column in COLUMNS if column.name not in _FIXED]

Value = TypeVar("Value")


def among(column: Column[Value], values: Iterable[Value] | BindParameter[Sequence[Value]]) -> ColumnElement[bool]:
    """`column` is one of `values`: an array, so that it stays one prepared statement however many there are."""
    given = values if isinstance(values, BindParameter) else literal(list(values), ARRAY(column.type))
    return column == any_(given)


async def lock_tickets(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> None:
    """Lock these tickets' rows, in the order of their ids. Read what is decided on only after this."""
    await connection.execute(_LOCK, {"ids": list(set(ticket_ids))})


async def withdrawal_reasons(connection: AsyncConnection, notification_ids: Collection[UUID]) -> dict[UUID, str]:
    """Why notifications are not needed any more, of those that are not."""
    query = select(withdrawals.c.notification_id, withdrawals.c.reason)
    rows = await connection.execute(query.where(among(withdrawals.c.notification_id, notification_ids)))
    return {row.notification_id: row.reason for row in rows}


async def write(connection: AsyncConnection, changed: Iterable[Stored], noted: Sequence[Noted]) -> None:
    """Write deliveries as they are now, whose tickets are locked; journal what they reached, and tell the world."""
    rows = [{name: getattr(delivery, name) for name in _WRITTEN} for delivery in changed]
    await bulk.update(connection, deliveries, rows)
    await note(connection, noted)


async def note(connection: AsyncConnection, noted: Sequence[Noted]) -> None:
    """Journal what deliveries have reached, in this order, and queue the events that tell of it."""
    events = {place: told_event(line.delivery) for place, line in enumerate(noted) if line.is_told}
    rows: list[dict[str, Any]] = [
        {
            "delivery_id": line.delivery.id,
            "entry": line.entry,
            "attempts": line.delivery.attempts,
            "at": line.delivery.changed_at,
            "reply": line.delivery.reply,
            "email": line.delivery.email,
            "event": events[place].model_dump_json().encode() if place in events else None,
        }
        for place, line in enumerate(noted)
    ]
    await bulk.insert(connection, journal, rows)
    await OUTBOX.add(connection, list(events.values()))


_LOCK: Final = (
    select(tickets.c.ticket_id)
    .where(among(tickets.c.ticket_id, bindparam("ids", type_=ARRAY(Uuid))))
    .order_by(tickets.c.ticket_id)
    .with_for_update()
)
