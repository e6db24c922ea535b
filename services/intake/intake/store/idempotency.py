"""Queries about Idempotency-Keys. Nothing here commits."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnClause, delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from intake.store.tables import idempotency_keys

_LIFE: ColumnClause[timedelta] = literal_column("interval '24 hours'")


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What an Idempotency-Key was first used for, and the event id made for it, if it was an event's."""

    request_digest: bytes
    event_id: str | None = None


async def use_key(connection: AsyncConnection, holder: str, key_digest: bytes, use: KeyUse) -> KeyUse:
    """Claim an Idempotency-Key for 24 h and return its first use, which is `use` where it was free.

    A second user waits here until the first one's transaction has ended.
    """
    statement = insert(idempotency_keys).values(
        holder=holder,
        key_digest=key_digest,
        request_digest=use.request_digest,
        event_id=use.event_id,
        created_at=func.clock_timestamp(),
    )
    excluded = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=[idempotency_keys.c.holder, idempotency_keys.c.key_digest],
        set_={name: excluded[name] for name in ("request_digest", "event_id", "created_at")},
        where=idempotency_keys.c.created_at < func.clock_timestamp() - _LIFE,
    )
    if (await connection.execute(statement.returning(literal_column("1")))).one_or_none():
        return use
    query = select(idempotency_keys.c.request_digest, idempotency_keys.c.event_id).where(
        idempotency_keys.c.holder == holder, idempotency_keys.c.key_digest == key_digest
    )
    row = (await connection.execute(query)).one()
    return KeyUse(row.request_digest, row.event_id)


async def forget_keys(connection: AsyncConnection) -> int:
    """Remove the Idempotency-Keys that have expired; how many."""
    expired = idempotency_keys.c.created_at < func.clock_timestamp() - _LIFE
    return (await connection.execute(delete(idempotency_keys).where(expired))).rowcount
