"""Queries about mails and the tickets that they belong to. Nothing here commits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from sqlalchemy import and_, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from intake.domain.mail import ContentDigests
from intake.domain.received_mail import EMAIL
from intake.store.tables import AWAITED_MAILS, INBOUND_MAILS, TICKETS

_MAX_KNOWN_MAILS: Final = 100
"""How many mails are read to find a ticket: a device may have used the same Message-ID for years."""


@dataclass(frozen=True, slots=True)
class MailIdentity:
    """The identity of a mail: its Message-ID, its content and its author (docs/rules.md#6-26).

    `author` is an e-mail address in lower case; empty if unknown.
    """

    message_id: str
    digests: ContentDigests
    author: str


@dataclass(frozen=True, slots=True)
class KnownMail:
    """The ticket of a known mail with the same Message-ID. `is_copy`: it is the same mail, not only the same id."""

    ticket_id: UUID
    is_copy: bool


async def add_mail(
    connection: AsyncConnection,
    tenant: str,
    identity: MailIdentity,
    references: Collection[str],
    ticket_id: UUID,
    received_at: datetime,
) -> None:
    """Store the ticket of a mail, and that the mails to which it refers belong to the same ticket if they arrive."""
    new = insert(INBOUND_MAILS).values(
        tenant=tenant,
        message_digest=_digest(identity.message_id),
        content_digest=identity.digests.content,
        whole_digest=identity.digests.whole,
        shortened_digest=identity.digests.shortened,
        author=identity.author,
        ticket_id=ticket_id,
        received_at=received_at,
    )
    await connection.execute(new)
    awaited = [
        {"tenant": tenant, "message_digest": _digest(reference), "ticket_id": ticket_id}
        for reference in sorted(references)
    ]
    if awaited:
        await connection.execute(insert(AWAITED_MAILS).values(awaited).on_conflict_do_nothing())


async def lock_mails(connection: AsyncConnection, tenant: str, message_ids: Collection[str]) -> None:
    """Wait for other transactions that process mails with one of these Message-IDs.

    A consistent lock order avoids deadlocks.
    """
    keys = {int.from_bytes(_digest(f"{tenant} {message_id}")[:8], signed=True) for message_id in message_ids}
    for key in sorted(keys):
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


async def find_known_mail(connection: AsyncConnection, tenant: str, identity: MailIdentity) -> KnownMail | None:
    """A known mail with the same Message-ID, a copy of this one first; None if there is none."""
    table, digests = INBOUND_MAILS.c, identity.digests
    has_same_author = or_(table.author.in_([identity.author, ""]), literal(identity.author) == "")
    has_same_content = or_(
        table.content_digest == digests.content,
        table.whole_digest == digests.shortened,
        table.shortened_digest == digests.whole,
    )
    is_copy = and_(has_same_author, has_same_content).label("is_copy")
    query = select(table.ticket_id, is_copy).where(
        table.tenant == tenant, table.message_digest == _digest(identity.message_id)
    )
    row = (await connection.execute(query.order_by(is_copy.desc()).limit(1))).one_or_none()
    return KnownMail(row.ticket_id, row.is_copy) if row else None


async def awaiting_ticket(connection: AsyncConnection, tenant: str, message_id: str) -> UUID | None:
    """The ticket of the first mail that referred to this one before it arrived, or None."""
    table = AWAITED_MAILS.c
    query = select(table.ticket_id).where(table.tenant == tenant, table.message_digest == _digest(message_id))
    found: UUID | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def tickets_of_mails(connection: AsyncConnection, tenant: str, message_ids: Sequence[str]) -> list[UUID]:
    """The tickets of the known mails among `message_ids`, in that order; of mails with one id, the last one first."""
    order = {_digest(message_id): index for index, message_id in enumerate(message_ids)}
    if not order:
        return []
    table = INBOUND_MAILS.c
    query = select(table.message_digest, table.ticket_id).where(table.tenant == tenant, table.message_digest.in_(order))
    rows = (await connection.execute(query.order_by(table.received_at.desc()).limit(_MAX_KNOWN_MAILS))).all()
    return [row.ticket_id for row in sorted(rows, key=lambda row: order[row.message_digest])]


async def existing_tickets(connection: AsyncConnection, tenant: str, ticket_ids: Sequence[UUID]) -> list[UUID]:
    """Those of `ticket_ids` that are tickets of the tenant, in their order."""
    if not ticket_ids:
        return []
    query = select(TICKETS.c.ticket_id).where(TICKETS.c.tenant == tenant, TICKETS.c.ticket_id.in_(ticket_ids))
    found = set((await connection.execute(query)).scalars())
    return [ticket_id for ticket_id in ticket_ids if ticket_id in found]


async def tickets_of_contact(
    connection: AsyncConnection, tenant: str, external_ids: Sequence[str], contacts: Sequence[str]
) -> list[UUID]:
    """The tickets of any source with one of these ids whose contact has one of these addresses, the newest first."""
    if not (external_ids and contacts):
        return []
    table = TICKETS.c
    query = select(table.ticket_id).where(
        table.tenant == tenant,
        func.md5(table.external_id).in_([func.md5(each) for each in external_ids]),
        table.external_id.in_(external_ids),
        func.lower(table.body["contact"]["email"].astext).in_(contacts),
    )
    return list((await connection.execute(query.order_by(table.position.desc()))).scalars())


async def count_opened(connection: AsyncConnection, tenant: str, sender: str, since: datetime) -> int:
    """The number of tickets that mails of this sender have opened since an instant of business time."""
    table = TICKETS.c
    query = select(func.count()).where(table.tenant == tenant, table.opened_at > since, table.source == EMAIL)
    query = query.where(table.body["contact"]["email"].astext == sender)
    number: int = (await connection.execute(query)).scalar_one()
    return number


def _digest(message_id: str) -> bytes:
    return sha256(message_id.encode(errors="replace")).digest()
