"""Queries about mails and the tickets that they belong to. Nothing here commits or asks the time."""

from collections.abc import Collection, Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from intake.store.tables import awaited_mails, mails, tickets


async def add_mail(
    connection: AsyncConnection,
    tenant: str,
    message_id: str,
    references: Collection[str],
    ticket_id: UUID,
    received_at: datetime,
) -> bool:
    """Note which ticket a mail belongs to, and so do those that it refers to, should they come.

    False, and nothing done, if that is known; waits for who notes it now.
    """
    new = insert(mails).values(tenant=tenant, message=_digest(message_id), ticket_id=ticket_id, received_at=received_at)
    noted = await connection.execute(new.on_conflict_do_nothing().returning(mails.c.ticket_id))
    if noted.one_or_none() is None:
        return False
    awaited = [{"tenant": tenant, "message": _digest(each), "ticket_id": ticket_id} for each in sorted(references)]
    if awaited:
        await connection.execute(insert(awaited_mails).values(awaited).on_conflict_do_nothing())
    return True


async def lock_conversation(connection: AsyncConnection, tenant: str, message_id: str) -> None:
    """Wait for whoever takes a mail of the conversation in that begins with this one."""
    key = int.from_bytes(_digest(f"{tenant} {message_id}")[:8], signed=True)
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


async def ticket_of_mail(connection: AsyncConnection, tenant: str, message_id: str) -> UUID | None:
    """The ticket that the mail belongs to, if it is known."""
    query = select(mails.c.ticket_id).where(mails.c.tenant == tenant, mails.c.message == _digest(message_id))
    found: UUID | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def awaiting_ticket(connection: AsyncConnection, tenant: str, message_id: str) -> UUID | None:
    """The ticket of the first mail that referred to this one before it came."""
    table = awaited_mails.c
    query = select(table.ticket_id).where(table.tenant == tenant, table.message == _digest(message_id))
    found: UUID | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def first_ticket(
    connection: AsyncConnection, tenant: str, message_ids: Sequence[str], ids: Sequence[UUID]
) -> UUID | None:
    """The ticket of the first known mail, or else the first of `ids` that this tenant has."""
    digests = {_digest(message_id): place for place, message_id in enumerate(message_ids)}
    if digests:
        query = select(mails.c.message, mails.c.ticket_id)
        rows = (await connection.execute(query.where(mails.c.tenant == tenant, mails.c.message.in_(digests)))).all()
        if rows:
            nearest: UUID = min(rows, key=lambda row: digests[row.message]).ticket_id
            return nearest
    if not ids:
        return None
    query_ids = select(tickets.c.ticket_id).where(tickets.c.tenant == tenant, tickets.c.ticket_id.in_(ids))
    known = set((await connection.execute(query_ids)).scalars())
    return next((ticket_id for ticket_id in ids if ticket_id in known), None)


def _digest(message_id: str) -> bytes:
    return sha256(message_id.encode(errors="replace")).digest()
