"""Who may publish: a lease row with a fencing token, in the database's real time. No two processes hold it at once."""

import asyncio
import time
from uuid import uuid4

from sqlalchemy import Table, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.errors import LeaseLostError


class Lease:
    """One process's side of the lease. `engine` should be in autocommit."""

    def __init__(self, engine: AsyncEngine, table: Table, seconds: float) -> None:
        self._engine = engine
        self._table = table
        self._seconds = seconds
        self._holder = uuid4()

    async def take(self) -> int | None:
        """The new fencing token, or None while another process holds the lease."""
        table = self._table
        until = func.clock_timestamp() + text(f"interval '{self._seconds} seconds'")
        mine = insert(table).values(id=1, holder=self._holder, token=1, expires_at=until)
        taken = mine.on_conflict_do_update(
            index_elements=[table.c.id],
            set_={"holder": self._holder, "token": table.c.token + 1, "expires_at": until},
            where=table.c.expires_at < func.clock_timestamp(),
        ).returning(table.c.token)
        async with self._engine.connect() as connection:
            token: int | None = (await connection.execute(taken)).scalar_one_or_none()
        return token

    async def keep(self, token: int) -> None:
        """Renew for ever, in a task of its own; raises `LeaseLostError` when it is gone or may be gone."""
        until = func.clock_timestamp() + text(f"interval '{self._seconds} seconds'")
        renewed = update(self._table).where(self._table.c.token == token).values(expires_at=until)
        confirmed = time.monotonic()
        while True:
            await asyncio.sleep(self._seconds / 3)
            asked = time.monotonic()
            try:
                async with asyncio.timeout(self._seconds / 3), self._engine.connect() as connection:
                    held = (await connection.execute(renewed)).rowcount
            except Exception as error:
                if not is_transient(error):
                    raise
                if time.monotonic() - confirmed > self._seconds:
                    raise LeaseLostError("the lease could not be renewed") from error
                continue
            if not held:
                raise LeaseLostError("another process took the lease")
            confirmed = asked

    async def release(self, token: int) -> None:
        """Let the next process in at once."""
        done = update(self._table).where(self._table.c.token == token).values(expires_at=func.clock_timestamp())
        async with self._engine.connect() as connection:
            await connection.execute(done)

    async def check(self, connection: AsyncConnection, token: int) -> None:
        """Inside a transaction: raise `LeaseLostError` unless the token holds, and keep it so until the commit."""
        held = select(literal(1)).where(self._table.c.token == token).with_for_update(read=True)
        if (await connection.execute(held)).first() is None:
            raise LeaseLostError("another process took the lease")
