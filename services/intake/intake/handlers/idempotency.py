"""Idempotency-Keys: the same request again within 24 hours counts once."""

from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.runtime.problems import FieldError, Problem

from intake import store
from intake.store import KeyUse


async def claim(
    connection: AsyncConnection, holder: str, key: str | None, request: bytes, event_id: str | None = None
) -> str | None:
    """Bind an Idempotency-Key, if there is one, to the request with that digest.

    Returns the event id of its first use, `event_id` where this is the first. Raises Problem 422 if the key was used
    for another request within 24 h.
    """
    if key is None:
        return event_id
    wanted = KeyUse(sha256(request).digest(), event_id)
    use = await store.use_key(connection, holder, sha256(key.encode()).digest(), wanted)
    if use.request_digest != wanted.request_digest:
        field = FieldError(field="Idempotency-Key", message="was used for another request within 24 hours")
        raise Problem(422, "This Idempotency-Key belongs to another request.", errors=[field])
    return use.event_id


async def forget_keys(engine: AsyncEngine) -> None:
    """Remove the Idempotency-Keys that have expired; a job for the scheduler."""
    async with engine.begin() as connection:
        await store.forget_keys(connection)
