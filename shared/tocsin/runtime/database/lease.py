"""The relay's lease: a row in the database that lets one process at a time publish, with a fencing token."""

import asyncio
import time
from uuid import uuid4

from sqlalchemy import Table, func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.errors import LeaseLostError


class Lease:
    """One process's view of the lease, by the database's real time. `engine` must be in autocommit mode.

    Every holder gets a higher token. Rows are only deleted with a valid token (`Outbox.delete`), so a process that was
    suspended and lost the lease cannot commit.
    """

    def __init__(self, engine: AsyncEngine, table: Table, seconds: float) -> None:
        self._engine = engine
        self._table = table
        self._seconds = seconds
        self._holder = uuid4()

    async def acquire(self) -> int | None:
        """The new fencing token, or None while another process holds the lease."""
        table = self._table
        until = func.clock_timestamp() + text(f"interval '{self._seconds} seconds'")
        first = insert(table).values(id=1, holder=self._holder, token=1, expires_at=until)
        acquire = first.on_conflict_do_update(
            index_elements=[table.c.id],
            set_={"holder": self._holder, "token": table.c.token + 1, "expires_at": until},
            where=table.c.expires_at < func.clock_timestamp(),
        ).returning(table.c.token)
        async with self._engine.connect() as connection:
            token: int | None = (await connection.execute(acquire)).scalar_one_or_none()
        return token

    async def keep(self, token: int) -> None:
        """Renew the lease until cancelled; run it in a task. Raises LeaseLostError when it is, or may be, lost."""
        until = func.clock_timestamp() + text(f"interval '{self._seconds} seconds'")
        renew = update(self._table).where(self._table.c.token == token).values(expires_at=until)
        renewed_at = time.monotonic()
        while True:
            await asyncio.sleep(self._seconds / 3)
            started_at = time.monotonic()
            try:
                async with asyncio.timeout(self._seconds / 3), self._engine.connect() as connection:
                    is_held = (await connection.execute(renew)).rowcount
            except Exception as error:
                if not is_transient(error):
                    raise
                if time.monotonic() - renewed_at > self._seconds:
                    raise LeaseLostError("the lease could not be renewed") from error
                continue
            if not is_held:
                raise LeaseLostError("another process took the lease")
            renewed_at = started_at

    async def release(self, token: int) -> None:
        """End the lease at once, so that another process need not wait until it expires."""
        expire = update(self._table).where(self._table.c.token == token).values(expires_at=func.clock_timestamp())
        async with self._engine.connect() as connection:
            await connection.execute(expire)
