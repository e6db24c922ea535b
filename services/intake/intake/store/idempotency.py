"""Queries on Idempotency-Keys. Nothing here commits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnClause, delete, func, literal_column, text
from sqlalchemy.ext.asyncio import AsyncConnection

from intake.store.tables import IDEMPOTENCY_KEYS

IdempotencyKey = tuple[str, bytes]
"""The holder (an API key's id) and the digest of the Idempotency-Key."""

_LIFETIME: ColumnClause[timedelta] = literal_column("interval '24 hours'")


@dataclass(frozen=True, slots=True)
class KeyBinding:
    """The request that an Idempotency-Key was first used for and, for an event, the event id generated for it."""

    request_digest: bytes
    event_id: str | None = None


async def claim_keys(
    connection: AsyncConnection, requested: Mapping[IdempotencyKey, KeyBinding]
) -> dict[IdempotencyKey, KeyBinding]:
    """Bind keys for 24 h and return the binding of each: the requested one (identical) if the key was free.

    A concurrent claim of the same key waits for the first one's transaction. Keys are locked in one order, which avoids
    deadlocks.
    """
    ordered = sorted(requested)
    rows = {
        **_arrays(ordered),
        "requests": [requested[key].request_digest for key in ordered],
        "events": [requested[key].event_id for key in ordered],
    }
    free = {(row.holder, row.key_digest) for row in await connection.execute(_CLAIM, rows)}
    bound = [key for key in ordered if key not in free]
    if not bound:
        return dict(requested)
    found = await connection.execute(_BINDINGS, _arrays(bound))
    earlier = {(row.holder, row.key_digest): KeyBinding(row.request_digest, row.event_id) for row in found}
    return {**requested, **earlier}


async def release_keys(connection: AsyncConnection, keys: Collection[IdempotencyKey]) -> None:
    """Free keys that this transaction has bound."""
    if keys:
        await connection.execute(_RELEASE, _arrays(keys))


async def delete_expired_keys(connection: AsyncConnection) -> None:
    """Delete the keys that were bound more than 24 h ago."""
    expired = IDEMPOTENCY_KEYS.c.created_at < func.clock_timestamp() - _LIFETIME
    await connection.execute(delete(IDEMPOTENCY_KEYS).where(expired))


def _arrays(keys: Collection[IdempotencyKey]) -> dict[str, list[str] | list[bytes] | list[str | None]]:
    return {"holders": [holder for holder, _ in keys], "keys": [digest for _, digest in keys]}


_CLAIM: Final = text("""
    INSERT INTO idempotency_keys (holder, key_digest, request_digest, event_id, created_at)
    SELECT holder, key_digest, request_digest, event_id, clock_timestamp()
    FROM unnest(
        CAST(:holders AS text[]), CAST(:keys AS bytea[]), CAST(:requests AS bytea[]), CAST(:events AS text[])
    ) WITH ORDINALITY AS requested (holder, key_digest, request_digest, event_id, n)
    ORDER BY n
    ON CONFLICT (holder, key_digest) DO UPDATE
    SET request_digest = excluded.request_digest, event_id = excluded.event_id, created_at = excluded.created_at
    WHERE idempotency_keys.created_at < clock_timestamp() - interval '24 hours'
    RETURNING holder, key_digest
""")
_KEYS: Final = """
    SELECT * FROM unnest(CAST(:holders AS text[]), CAST(:keys AS bytea[])) AS wanted (holder, key_digest)
"""
_BINDINGS: Final = text(f"""
    SELECT holder, key_digest, request_digest, event_id
    FROM idempotency_keys WHERE (holder, key_digest) IN ({_KEYS})
""")
_RELEASE: Final = text(f"DELETE FROM idempotency_keys WHERE (holder, key_digest) IN ({_KEYS})")
