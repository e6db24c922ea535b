"""Queries about Idempotency-Keys. Nothing here commits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnClause, delete, func, literal_column, text
from sqlalchemy.ext.asyncio import AsyncConnection

from intake.store.tables import idempotency_keys

HeldKey = tuple[str, bytes]
"""Who holds an Idempotency-Key, and its digest."""

_LIFE: ColumnClause[timedelta] = literal_column("interval '24 hours'")


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What an Idempotency-Key was first used for, and the event id made for it, if it was an event's."""

    request_digest: bytes
    event_id: str | None = None


async def use_keys(connection: AsyncConnection, uses: Mapping[HeldKey, KeyUse]) -> dict[HeldKey, KeyUse]:
    """Claim Idempotency-Keys for 24 h and return the first use of each, which is the given one where it was free.

    A second user waits here until the first one's transaction has ended; all wait in the same order.
    """
    ordered = sorted(uses)
    rows = {
        "holders": [holder for holder, _ in ordered],
        "keys": [key for _, key in ordered],
        "requests": [uses[held].request_digest for held in ordered],
        "events": [uses[held].event_id for held in ordered],
    }
    free = {(row.holder, row.key_digest) for row in await connection.execute(_CLAIM, rows)}
    taken = [held for held in ordered if held not in free]
    found = dict(uses)
    if taken:
        pairs = {"holders": [holder for holder, _ in taken], "keys": [key for _, key in taken]}
        for row in await connection.execute(_FIRST_USES, pairs):
            found[row.holder, row.key_digest] = KeyUse(row.request_digest, row.event_id)
    return found


async def free_keys(connection: AsyncConnection, held: Collection[HeldKey]) -> None:
    """Give Idempotency-Keys back that this transaction has claimed."""
    if held:
        await connection.execute(_FREE, {"holders": [holder for holder, _ in held], "keys": [key for _, key in held]})


async def forget_keys(connection: AsyncConnection) -> int:
    """Remove the Idempotency-Keys that have expired; how many."""
    expired = idempotency_keys.c.created_at < func.clock_timestamp() - _LIFE
    return (await connection.execute(delete(idempotency_keys).where(expired))).rowcount


_CLAIM: Final = text("""
    INSERT INTO idempotency_keys (holder, key_digest, request_digest, event_id, created_at)
    SELECT holder, key_digest, request_digest, event_id, clock_timestamp()
    FROM unnest(
        CAST(:holders AS text[]), CAST(:keys AS bytea[]), CAST(:requests AS bytea[]), CAST(:events AS text[])
    ) WITH ORDINALITY AS asked (holder, key_digest, request_digest, event_id, n)
    ORDER BY n
    ON CONFLICT (holder, key_digest) DO UPDATE
    SET request_digest = excluded.request_digest, event_id = excluded.event_id, created_at = excluded.created_at
    WHERE idempotency_keys.created_at < clock_timestamp() - interval '24 hours'
    RETURNING holder, key_digest
""")
_PAIRS: Final = """
    SELECT * FROM unnest(CAST(:holders AS text[]), CAST(:keys AS bytea[])) AS asked (holder, key_digest)
"""
_FIRST_USES: Final = text(f"""
    SELECT holder, key_digest, request_digest, event_id
    FROM idempotency_keys WHERE (holder, key_digest) IN ({_PAIRS})
""")
_FREE: Final = text(f"DELETE FROM idempotency_keys WHERE (holder, key_digest) IN ({_PAIRS})")
