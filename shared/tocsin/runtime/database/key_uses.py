"""When each API key was last used on this service."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import Column, DateTime, MetaData, Table, Text, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True)
class KeyUses:
    """The table `key_uses(key_id, last_used_at)`, in real time. Keys that were removed from keys.yaml stay."""

    table: Table

    @classmethod
    def define(cls, metadata: MetaData) -> Self:
        """Add the table to `metadata`."""
        return cls(
            Table(
                "key_uses",
                metadata,
                Column("key_id", Text, primary_key=True),
                Column("last_used_at", DateTime(timezone=True), nullable=False),
            )
        )

    async def load(self, connection: AsyncConnection) -> dict[str, datetime]:
        """The last use of each key, by key id."""
        rows = await connection.execute(select(self.table))
        return {row.key_id: row.last_used_at for row in rows}

    async def store(self, connection: AsyncConnection, last_uses: Mapping[str, datetime]) -> None:
        """Store the last uses by key id, at least one. An older instant than the stored one changes nothing."""
        statement = insert(self.table)
        statement = statement.on_conflict_do_update(
            index_elements=[self.table.c.key_id],
            set_={"last_used_at": func.greatest(self.table.c.last_used_at, statement.excluded.last_used_at)},
        )
        # Sorted: a consistent lock order avoids deadlock between two processes.
        rows = [{"key_id": key, "last_used_at": at} for key, at in sorted(last_uses.items())]
        await connection.execute(statement, rows)
