"""Queries on deliveries. Nothing here commits."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import MailKind
from tocsin.runtime.database import bulk
from tocsin.runtime.database.engine import clock_timestamp
from tocsin.runtime.process.clock import TimeSource

from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry, Now
from notifier.store import journal
from notifier.store.tables import DELIVERIES, is_any_of

COLUMNS: Final = [DELIVERIES.c[field.name] for field in fields(Delivery)]
"""The columns of a `Delivery`, in the order of its fields."""

_CHANGING: Final = (
    *("seq", "state", "ready_at", "changed_at", "sent_at", "token", "attempts", "ambiguous", "late"),
    *("person", "name", "email", "rule", "message_id", "reply", "scheduled_person"),
    *("digest_id", "sent_real_at"),
)
_UNSENT: Final = (DeliveryState.QUEUED, DeliveryState.HELD, DeliveryState.DEFERRED, DeliveryState.CLAIMED)


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries a list shows. `after` is the `seq` at which the page before ended.

    `recipient` is an address or a person of the directory; `queued_from` is inclusive, `queued_to` exclusive.
    """

    tenant: str
    ticket_id: UUID | None = None
    recipient: str | None = None
    state: DeliveryState | None = None
    kind: MailKind | None = None
    queued_from: datetime | None = None
    queued_to: datetime | None = None
    after: int = 0


async def load_now(connection: AsyncConnection, clock: TimeSource) -> Now:
    """The present instant of the database's clock."""
    real = await clock_timestamp(connection)
    return Now(real, clock.business(real))


async def add(connection: AsyncConnection, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Insert deliveries in this order and record them in the journal; returns those whose id is new."""
    names = [column.name for column in COLUMNS if column.name != "seq"]
    rows = [{name: getattr(delivery, name) for name in names} for delivery in deliveries]
    seqs = [row.seq for row in await bulk.insert_new(connection, DELIVERIES, rows)]
    if len(seqs) == len(deliveries):
        added = [replace(delivery, seq=seq) for delivery, seq in zip(deliveries, seqs, strict=True)]
    else:
        added = await _load(connection, select(*COLUMNS).where(is_any_of(DELIVERIES.c.seq, seqs)))
    await journal.record(connection, [JournalEntry.of(delivery) for delivery in added])
    return added


async def save(connection: AsyncConnection, changed: Iterable[Delivery], entries: Sequence[JournalEntry]) -> None:
    """Update deliveries whose tickets are locked, and append these entries to the journal."""
    rows: list[dict[str, Any]] = [{name: getattr(delivery, name) for name in _CHANGING} for delivery in changed]
    await journal.record(connection, entries, beside=[bulk.Write("update", DELIVERIES, rows)])


async def cancel_unsent(connection: AsyncConnection, notification_ids: Collection[UUID], reason: str, now: Now) -> int:
    """Cancel the deliveries of these notifications that no server has been offered yet; returns how many.

    A claimed one is fenced off from its worker, which finds out before DATA. One in DATA is left to its attempt.
    """
    changes = {
        "state": DeliveryState.CANCELLED,
        "ready_at": None,
        "changed_at": now.business,
        "reply": reason,
        "token": DELIVERIES.c.token + 1,
    }
    chosen = is_any_of(DELIVERIES.c.notification_id, notification_ids) & DELIVERIES.c.state.in_(_UNSENT)
    rows = await connection.execute(update(DELIVERIES).where(chosen).values(changes).returning(*COLUMNS))
    cancelled = sorted((Delivery(*row) for row in rows), key=lambda delivery: delivery.seq)
    await journal.record(connection, [JournalEntry.of(delivery) for delivery in cancelled])
    return len(cancelled)


async def load_delivery(connection: AsyncConnection, tenant: str | None, delivery_id: UUID) -> Delivery | None:
    """The delivery of this tenant (None: of any), or None."""
    query = select(*COLUMNS).where(DELIVERIES.c.id == delivery_id)
    if tenant is not None:
        query = query.where(DELIVERIES.c.tenant == tenant)
    row = (await connection.execute(query)).one_or_none()
    return Delivery(*row) if row else None


async def load_page(connection: AsyncConnection, wanted: DeliveryFilter, limit: int) -> list[Delivery]:
    """Up to `limit` deliveries, oldest first."""
    query = select(*COLUMNS).where(DELIVERIES.c.tenant == wanted.tenant, DELIVERIES.c.seq > wanted.after)
    for column, value in (
        (DELIVERIES.c.ticket_id, wanted.ticket_id),
        (DELIVERIES.c.state, wanted.state),
        (DELIVERIES.c.kind, wanted.kind),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.recipient is not None:
        address = func.lower(DELIVERIES.c.email) == wanted.recipient.lower()
        query = query.where(or_(address, DELIVERIES.c.person == wanted.recipient))
    if wanted.queued_from is not None:
        query = query.where(DELIVERIES.c.queued_at >= wanted.queued_from)
    if wanted.queued_to is not None:
        query = query.where(DELIVERIES.c.queued_at < wanted.queued_to)
    return await _load(connection, query.limit(limit))


async def load_tickets(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> dict[UUID, list[Delivery]]:
    """All deliveries of these tickets, by ticket, in the order of events."""
    found: dict[UUID, list[Delivery]] = {ticket_id: [] for ticket_id in ticket_ids}
    for delivery in await _load(connection, select(*COLUMNS).where(is_any_of(DELIVERIES.c.ticket_id, ticket_ids))):
        found[delivery.ticket_id].append(delivery)
    return found


async def load_of_notifications(connection: AsyncConnection, notification_ids: Collection[UUID]) -> list[Delivery]:
    """These notifications' deliveries, in the order of events."""
    chosen = is_any_of(DELIVERIES.c.notification_id, notification_ids)
    return await _load(connection, select(*COLUMNS).where(chosen))


async def load_of_messages(
    connection: AsyncConnection, message_ids: Collection[str], tenant: str | None
) -> list[Delivery]:
    """The deliveries with one of these Message-IDs, of this tenant (None: of any), oldest first."""
    query = select(*COLUMNS).where(is_any_of(DELIVERIES.c.message_id, message_ids))
    if tenant is not None:
        query = query.where(DELIVERIES.c.tenant == tenant)
    return await _load(connection, query)


async def load_withdrawn_items(connection: AsyncConnection, digest_ids: Collection[UUID]) -> list[Delivery]:
    """The deliveries of these digests that were cancelled although they may have arrived, in the order of events."""
    cancelled = DELIVERIES.c.ambiguous & (DELIVERIES.c.state == DeliveryState.CANCELLED)
    return await _load(connection, select(*COLUMNS).where(is_any_of(DELIVERIES.c.digest_id, digest_ids), cancelled))


async def _load(connection: AsyncConnection, query: Select[Any]) -> list[Delivery]:
    return [Delivery(*row) for row in await connection.execute(query.order_by(DELIVERIES.c.seq))]
