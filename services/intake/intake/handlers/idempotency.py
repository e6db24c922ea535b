"""Idempotency-Keys: the same request again within 24 hours counts once."""

from collections.abc import Mapping
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.runtime.http.problems import Problem
from tocsin.validation import FieldError

from intake import store
from intake.store import HeldKey, KeyUse


def held_key(holder: str, key: str) -> HeldKey:
    """An Idempotency-Key as it is stored: `holder` is the id of the API key that came with it."""
    return holder, sha256(key.encode()).digest()


async def claim(connection: AsyncConnection, wanted: Mapping[HeldKey, KeyUse]) -> dict[HeldKey, KeyUse | Problem]:
    """Bind Idempotency-Keys to requests with those digests, each to one.

    Gives the first use of each, the wanted one itself where this is the first, or Problem 422 where the key was used
    for another request within 24 h.
    """
    if not wanted:
        return {}
    found = await store.use_keys(connection, wanted)
    return {
        held: use if use.request_digest == wanted[held].request_digest else _used_otherwise()
        for held, use in found.items()
    }


async def forget_keys(engine: AsyncEngine) -> None:
    """Remove the Idempotency-Keys that have expired; a job for the scheduler."""
    async with engine.begin() as connection:
        await store.forget_keys(connection)


def _used_otherwise() -> Problem:
    field = FieldError(field="Idempotency-Key", message="was used for another request within 24 hours")
    return Problem(422, "This Idempotency-Key belongs to another request.", errors=[field])
