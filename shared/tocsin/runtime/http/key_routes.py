"""`GET /v1/keys`: the tenant's API keys, and when each was last used on this service."""

from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter
from pydantic import ConfigDict
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.instants import Instant
from tocsin.runtime.database.key_uses import KeyUses
from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.http.authentication import MayAdminister
from tocsin.runtime.http.responses import ResponseModel

SAVE_SECONDS: Final = 5
"""Seconds between two saves of the last uses. A process that crashes forgets the uses since its last save."""

_EXAMPLE: Final[dict[str, Any]] = {
    "id": "aB3dE6gH",
    "tenant": "default",
    "scopes": ["tickets:read", "tickets:write"],
    "created_at": "2026-06-08T12:00:00.000000Z",
    "expires_at": None,
    "requests_per_minute": 600,
    "last_used_at": "2026-06-09T08:15:30.000000Z",
}


class KeyResponse(ResponseModel):
    """A key of keys.yaml without its hash. `last_used_at` is null if the key was never used on this service."""

    id: str
    tenant: str
    scopes: tuple[str, ...]
    created_at: Instant
    expires_at: Instant | None
    requests_per_minute: int | None
    last_used_at: Instant | None


class KeyListResponse(ResponseModel):
    """The tenant's keys, in the order of keys.yaml."""

    items: tuple[KeyResponse, ...]

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_EXAMPLE]}]})


class KeyUsage:
    """The last use of each key: the uses that `keys` saw since the last save, and those stored before."""

    def __init__(self, keys: KeyRing, engine: AsyncEngine, stored: KeyUses) -> None:
        self._keys = keys
        self._engine = engine
        self._stored = stored

    async def save(self) -> None:
        """Store the uses since the last save. Uses that could not be stored are part of the next save."""
        uses, self._keys.used = self._keys.used, {}
        if not uses:
            return
        try:
            async with self._engine.begin() as connection:
                await self._stored.store(connection, uses)
        except BaseException:
            self._keys.used = uses | self._keys.used
            raise

    async def load(self) -> dict[str, datetime]:
        """The last use of each key by key id, uses that were not saved yet included."""
        async with self._engine.connect() as connection:
            return await self._stored.load(connection) | self._keys.used

    def routes(self) -> APIRouter:
        """`GET /v1/keys`."""
        router = APIRouter(prefix="/v1/keys", tags=["admin"])

        @router.get("", summary="List your tenant's API keys", response_description="The tenant's keys")
        async def list_keys(caller: MayAdminister) -> KeyListResponse:
            """Every key of keys.yaml that belongs to your tenant, without its hash, and its last use on this service.

            `last_used_at` is null for a key that was never used here. A crash loses the last uses of a few seconds.
            """
            last_uses = await self.load()
            return KeyListResponse(
                items=tuple(
                    KeyResponse(**key.model_dump(exclude={"sha256"}), last_used_at=last_uses.get(key.id))
                    for key in self._keys.keys
                    if key.tenant == caller.tenant
                )
            )

        return router
