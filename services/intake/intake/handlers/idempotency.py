"""Idempotency-Keys: the same request with the same key counts once within 24 hours."""

from collections.abc import Mapping
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from intake.errors import IdempotencyConflictError
from intake.store.idempotency import IdempotencyKey, KeyBinding, claim_keys, delete_expired_keys


def idempotency_key(holder: str, key: str) -> IdempotencyKey:
    """An Idempotency-Key as it is stored; `holder` is the id of the API key that it came with."""
    return holder, sha256(key.encode()).digest()


async def bind_keys(
    connection: AsyncConnection, requested: Mapping[IdempotencyKey, KeyBinding]
) -> dict[IdempotencyKey, KeyBinding | IdempotencyConflictError]:
    """Bind each key to a request, and return the binding of its first use: the requested one if the key was free.

    A key that is bound to a different request yields IdempotencyConflictError.
    """
    if not requested:
        return {}
    claimed = await claim_keys(connection, requested)
    return {
        key: binding if binding.request_digest == requested[key].request_digest else IdempotencyConflictError()
        for key, binding in claimed.items()
    }


async def expire_keys(engine: AsyncEngine) -> None:
    """Delete the Idempotency-Keys that have expired; a job for the scheduler."""
    async with engine.begin() as connection:
        await delete_expired_keys(connection)
