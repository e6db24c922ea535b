"""When each key was last used: every service keeps its own record, and shows it to who may see it."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlalchemy import Column, DateTime, MetaData, Table, Text, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.instants import Instant
from tocsin.runtime.http.api_keys import ADMIN, Caller, KeyRing
from tocsin.runtime.http.authentication import require

SAVE_SECONDS: Final = 5
"""How often a process writes down what it saw: its end forgets the uses since the last time."""


def key_uses_table(metadata: MetaData) -> Table:
    """`key_uses`: the last use of each key in this service, in real time; of a key that was removed too."""
    return Table(
        "key_uses",
        metadata,
        Column("key_id", Text, primary_key=True),
        Column("last_used_at", DateTime(timezone=True), nullable=False),
    )


class KeyAnswer(BaseModel):
    """A key of keys.yaml without its hash. `last_used_at` is this service's, null where it was never used here."""

    id: str
    tenant: str
    scopes: tuple[str, ...]
    created_at: Instant
    expires_at: Instant | None
    requests_per_minute: int | None
    last_used_at: Instant | None


class KeysAnswer(BaseModel):
    """The tenant's keys, in the file's order."""

    items: tuple[KeyAnswer, ...]


class KeyUses:
    """What `ring` saw, kept in `table`."""

    def __init__(self, ring: KeyRing, engine: AsyncEngine, table: Table) -> None:
        self._ring = ring
        self._engine = engine
        self._table = table

    async def save(self) -> None:
        """Write down the uses since the last time; a job for the scheduler. What failed is made up for by the next."""
        seen, self._ring.used = self._ring.used, {}
        if not seen:
            return
        statement = insert(self._table)
        statement = statement.on_conflict_do_update(
            index_elements=[self._table.c.key_id],
            set_={"last_used_at": func.greatest(self._table.c.last_used_at, statement.excluded.last_used_at)},
        )
        # In one order, so that two processes cannot wait for each other.
        rows = [{"key_id": key, "last_used_at": at} for key, at in sorted(seen.items())]
        try:
            async with self._engine.begin() as connection:
                await connection.execute(statement, rows)
        except BaseException:
            self._ring.used = seen | self._ring.used
            raise

    async def last(self) -> dict[str, datetime]:
        """The last use of each key, to this moment."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(self._table))).all()
        return {row.key_id: row.last_used_at for row in rows} | self._ring.used

    def routes(self) -> APIRouter:
        """`GET /v1/keys`."""
        router = APIRouter(prefix="/v1/keys", tags=["admin"])

        @router.get("", summary="Your tenant's keys, and when each was last used here")
        async def listed(caller: Annotated[Caller, Depends(require(ADMIN))]) -> KeysAnswer:
            last = await self.last()
            return KeysAnswer(
                items=tuple(
                    KeyAnswer(**key.model_dump(exclude={"sha256"}), last_used_at=last.get(key.id))
                    for key in self._ring.keys
                    if key.tenant == caller.tenant
                )
            )

        return router
