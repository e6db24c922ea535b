"""Queries about mails and the tickets that they belong to. Nothing here commits."""

from collections.abc import Collection, Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from intake.domain.mail_rules import SOURCE as EMAIL
from intake.store.tables import AWAITED_MAILS, INBOUND_MAILS, TICKETS


async def add_mail(
    connection: AsyncConnection,
    tenant: str,
    message_id: str,
    references: Collection[str],
    ticket_id: UUID,
    received_at: datetime,
) -> bool:
    """Store the ticket of a mail, and that the mails to which it refers belong to the same ticket if they arrive.

    False, with nothing stored, if the mail is known; waits for another transaction that stores it.
    """
    new = insert(INBOUND_MAILS).values(
        tenant=tenant, message_digest=_digest(message_id), ticket_id=ticket_id, received_at=received_at
    )
    added = await connection.execute(new.on_conflict_do_nothing().returning(INBOUND_MAILS.c.ticket_id))
    if added.one_or_none() is None:
        return False
    awaited = [
        {"tenant": tenant, "message_digest": _digest(reference), "ticket_id": ticket_id}
        for reference in sorted(references)
    ]
    if awaited:
        await connection.execute(insert(AWAITED_MAILS).values(awaited).on_conflict_do_nothing())
    return True


async def lock_conversation(connection: AsyncConnection, tenant: str, message_id: str) -> None:
    """Wait for other transactions that process a mail of the conversation that begins with this one."""
    key = int.from_bytes(_digest(f"{tenant} {message_id}")[:8], signed=True)
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


async def ticket_of_mail(connection: AsyncConnection, tenant: str, message_id: str) -> UUID | None:
    """The ticket of a known mail, or None."""
    table = INBOUND_MAILS.c
    query = select(table.ticket_id).where(table.tenant == tenant, table.message_digest == _digest(message_id))
    found: UUID | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def awaiting_ticket(connection: AsyncConnection, tenant: str, message_id: str) -> UUID | None:
    """The ticket of the first mail that referred to this one before it arrived, or None."""
    table = AWAITED_MAILS.c
    query = select(table.ticket_id).where(table.tenant == tenant, table.message_digest == _digest(message_id))
    found: UUID | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def find_ticket(
    connection: AsyncConnection, tenant: str, message_ids: Sequence[str], ticket_ids: Sequence[UUID]
) -> UUID | None:
    """The ticket of the first known mail among `message_ids`, or else the first of `ticket_ids` of this tenant."""
    order = {_digest(message_id): index for index, message_id in enumerate(message_ids)}
    if order:
        table = INBOUND_MAILS.c
        query = select(table.message_digest, table.ticket_id)
        known = query.where(table.tenant == tenant, table.message_digest.in_(order))
        rows = (await connection.execute(known)).all()
        if rows:
            nearest: UUID = min(rows, key=lambda row: order[row.message_digest]).ticket_id
            return nearest
    if not ticket_ids:
        return None
    existing = select(TICKETS.c.ticket_id).where(TICKETS.c.tenant == tenant, TICKETS.c.ticket_id.in_(ticket_ids))
    found = set((await connection.execute(existing)).scalars())
    return next((ticket_id for ticket_id in ticket_ids if ticket_id in found), None)


async def count_opened(connection: AsyncConnection, tenant: str, sender: str, since: datetime) -> int:
    """The number of tickets that mails of this sender have opened since an instant of business time."""
    table = TICKETS.c
    query = select(func.count()).where(table.tenant == tenant, table.opened_at > since, table.source == EMAIL)
    query = query.where(table.body["contact"]["email"].astext == sender)
    number: int = (await connection.execute(query)).scalar_one()
    return number


def _digest(message_id: str) -> bytes:
    return sha256(message_id.encode(errors="replace")).digest()
