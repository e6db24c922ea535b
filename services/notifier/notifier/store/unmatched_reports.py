"""Queries about unmatched reports: bounce reports that changed nothing. Nothing here commits."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.domain.bounces import MailSummary
from notifier.store.tables import UNMATCHED_REPORTS

MAX_ROWS: Final = 1_000
"""How many are kept for a tenant; the oldest are dropped."""
MAX_RAW: Final = 64 * 1024
"""How many bytes of a message are kept."""

_LISTED: Final = ("id", "received_at", "reason", "problem", "sender", "subject", "message_id", "recipient", "size")
_COLUMNS: Final = [UNMATCHED_REPORTS.c[name] for name in _LISTED]


class UnmatchedReason(StrEnum):
    """Why a message changed nothing.

    unknown: no mail of ours has the Message-ID. unmatched: it failed at an address that we did not mail, and several of
    our mails have the Message-ID. unreadable: not a bounce report that can be read. no_bounce: an automatic reply, a
    read receipt or another message that says nothing about the delivery of a mail.
    """

    UNKNOWN = "unknown"
    UNMATCHED = "unmatched"
    UNREADABLE = "unreadable"
    NO_BOUNCE = "no_bounce"


@dataclass(frozen=True, slots=True)
class UnmatchedReport:
    """One message. `problem` is a sentence; `size` is in bytes; the others are None where the message lacks them.

    `message_id` and `recipient` are those of the mail that it seems to be about.
    """

    id: int
    received_at: datetime
    reason: UnmatchedReason
    problem: str
    sender: str | None
    subject: str | None
    message_id: str | None
    recipient: str | None
    size: int


async def add(
    connection: AsyncConnection,
    tenant: str | None,
    raw: bytes,
    summary: MailSummary,
    reason: UnmatchedReason,
    problem: str,
) -> tuple[UnmatchedReport, bool]:
    """Store a message, and drop the tenant's oldest beyond MAX_ROWS. Returns it, and whether it is new."""
    digest = hashlib.sha256(raw).digest()
    values = {
        "tenant": tenant,
        "reason": reason,
        "problem": problem,
        "sender": summary.sender,
        "subject": summary.subject,
        "message_id": summary.message_id,
        "recipient": summary.recipient,
        "size": len(raw),
        "digest": digest,
        "raw": raw[:MAX_RAW],
    }
    added = insert(UNMATCHED_REPORTS).values(values).on_conflict_do_nothing().returning(*_COLUMNS)
    row = (await connection.execute(added)).one_or_none()
    if row is None:
        same = select(*_COLUMNS).where(_of(tenant), UNMATCHED_REPORTS.c.digest == digest)
        return _report((await connection.execute(same)).one()), False
    kept = select(UNMATCHED_REPORTS.c.id).where(_of(tenant)).order_by(UNMATCHED_REPORTS.c.id.desc())
    oldest = kept.offset(MAX_ROWS).limit(1).scalar_subquery()
    await connection.execute(delete(UNMATCHED_REPORTS).where(_of(tenant), UNMATCHED_REPORTS.c.id <= oldest))
    return _report(row), True


async def load_page(
    connection: AsyncConnection,
    tenant: str | None,
    *,
    before: int | None = None,
    reason: UnmatchedReason | None = None,
    limit: int,
) -> Sequence[UnmatchedReport]:
    """Up to `limit` messages of the tenant (None: of any, and of the command), newest first."""
    query = select(*_COLUMNS).order_by(UNMATCHED_REPORTS.c.id.desc()).limit(limit)
    if tenant is not None:
        query = query.where(_of(tenant))
    if before is not None:
        query = query.where(UNMATCHED_REPORTS.c.id < before)
    if reason is not None:
        query = query.where(UNMATCHED_REPORTS.c.reason == reason)
    return [_report(row) for row in await connection.execute(query)]


async def load_raw(connection: AsyncConnection, tenant: str | None, report_id: int) -> bytes | None:
    """The beginning of a message of the tenant (None: of any), or None."""
    query = select(UNMATCHED_REPORTS.c.raw).where(UNMATCHED_REPORTS.c.id == report_id)
    if tenant is not None:
        query = query.where(_of(tenant))
    return (await connection.execute(query)).scalar_one_or_none()


async def forget(connection: AsyncConnection, older_than: timedelta) -> None:
    """Drop the messages that were received longer ago than this."""
    old = UNMATCHED_REPORTS.c.received_at < func.clock_timestamp() - older_than
    await connection.execute(delete(UNMATCHED_REPORTS).where(old))


def _of(tenant: str | None) -> ColumnElement[bool]:
    return UNMATCHED_REPORTS.c.tenant.is_not_distinct_from(tenant)


def _report(row: Any) -> UnmatchedReport:
    values = dict(zip(_LISTED, row, strict=True))
    return UnmatchedReport(**values | {"reason": UnmatchedReason(values["reason"])})
