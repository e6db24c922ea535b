"""Tickets (as locks), notifications and withdrawals. Nothing here commits."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Exhausted, Notify, ReportReady, StandDown, Withdraw, event_type
from tocsin.runtime.database import bulk

from notifier.domain.delivery import MailRequest
from notifier.store.tables import NOTIFICATIONS, TICKETS, WITHDRAWALS, is_any_of

log = structlog.get_logger(__name__)

_TYPES: Final[dict[str, type[MailRequest]]] = {
    "notify": Notify,
    "stand_down": StandDown,
    "exhausted": Exhausted,
    "report.ready": ReportReady,
}


async def add_and_lock_tickets(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> None:
    """As `lock_tickets`, after rows were added for tickets that have none yet."""
    rows = [{"ticket_id": ticket_id} for ticket_id in sorted(set(ticket_ids))]
    added = await bulk.insert_new(connection, TICKETS, rows)
    if len(added) < len(rows):  # a new row is locked anyway
        await lock_tickets(connection, ticket_ids)


async def lock_tickets(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> None:
    """Lock these tickets' rows; a consistent order avoids deadlock. Load what a decision depends on after this."""
    query = select(TICKETS.c.ticket_id).where(is_any_of(TICKETS.c.ticket_id, set(ticket_ids)))
    await connection.execute(query.order_by(TICKETS.c.ticket_id).with_for_update())


async def add_notifications(connection: AsyncConnection, added: Sequence[MailRequest]) -> set[UUID]:
    """Store notifications; returns the ids of the new ones."""
    rows = [
        {
            "id": notification.event_id,
            "ticket_id": notification.ticket_id,
            "type": event_type(notification),
            "event": notification.model_dump_json().encode(),
        }
        for notification in added
    ]
    return {row.id for row in await bulk.insert_new(connection, NOTIFICATIONS, rows)}


async def load_notifications(connection: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, MailRequest]:
    """Notifications by id, except those that this version cannot parse."""
    query = select(NOTIFICATIONS.c.id, NOTIFICATIONS.c.type, NOTIFICATIONS.c.event)
    rows = await connection.execute(query.where(is_any_of(NOTIFICATIONS.c.id, ids)))
    return parse_notifications({row.id: (row.type, row.event) for row in rows})


def parse_notifications(stored: Mapping[UUID, tuple[str, bytes]]) -> dict[UUID, MailRequest]:
    """Notifications by id, from type and event as stored, except those that this version cannot parse."""
    found: dict[UUID, MailRequest] = {}
    for id_, (type_, event) in stored.items():
        try:
            found[id_] = _TYPES[type_].model_validate_json(event)
        except (KeyError, ValidationError) as error:
            log.error("stored_notification_unreadable", notification_id=str(id_), error=type(error).__name__)
    return found


async def withdraw(connection: AsyncConnection, event: Withdraw | StandDown) -> None:
    """Mark the event's notifications as withdrawn; the latest event wins."""
    rows = [
        {"notification_id": id_, "event_id": event.event_id, "reason": event.reason}
        for id_ in sorted(set(event.notifications))
    ]
    await bulk.upsert(connection, WITHDRAWALS, rows)


async def load_withdrawal_reasons(connection: AsyncConnection, notification_ids: Collection[UUID]) -> dict[UUID, str]:
    """The reasons of those of the notifications that were withdrawn, by notification id."""
    query = select(WITHDRAWALS.c.notification_id, WITHDRAWALS.c.reason)
    rows = await connection.execute(query.where(is_any_of(WITHDRAWALS.c.notification_id, notification_ids)))
    return {row.notification_id: row.reason for row in rows}
