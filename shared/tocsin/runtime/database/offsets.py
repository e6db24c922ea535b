"""The next offset and the watermark of every consumed partition, stored in the service's own database.

Only this table decides which record is read next (docs/architecture.md#delivery).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import BigInteger, Column, DateTime, MetaData, SmallInteger, Table, Text, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Position:
    """The next offset to read, and the partition's watermark in business time (None: no watermark received yet)."""

    next_offset: int
    accepted_through: datetime | None


@dataclass(frozen=True)
class Offsets:
    """The table `offsets(topic, partition, next_offset, accepted_through)`."""

    table: Table

    @classmethod
    def define(cls, metadata: MetaData) -> Self:
        """Add the table to `metadata`."""
        return cls(
            Table(
                "offsets",
                metadata,
                Column("topic", Text, primary_key=True),
                Column("partition", SmallInteger, primary_key=True, autoincrement=False),
                Column("next_offset", BigInteger, nullable=False),
                Column("accepted_through", DateTime(timezone=True)),
                postgresql_with={"fillfactor": 50},  # updated ten times a second: free space keeps the updates HOT
            )
        )

    async def load(
        self,
        connection: AsyncConnection,
        topic: str,
        partitions: Iterable[int] | None = None,
        *,
        lock: bool = False,
    ) -> dict[int, Position]:
        """The positions by partition, of the given partitions or of all. `lock` locks the rows in partition order."""
        columns = self.table.c
        query = select(columns.partition, columns.next_offset, columns.accepted_through).where(columns.topic == topic)
        if partitions is not None:
            query = query.where(columns.partition.in_(sorted(partitions)))
        query = query.order_by(columns.partition)
        rows = await connection.execute(query.with_for_update() if lock else query)
        return {row.partition: Position(row.next_offset, row.accepted_through) for row in rows}

    async def store(self, connection: AsyncConnection, topic: str, positions: Mapping[int, Position]) -> None:
        """Store new positions of partitions whose rows this transaction has locked."""
        statement = (
            update(self.table)
            .where(self.table.c.topic == topic, self.table.c.partition == bindparam("p"))
            .values(next_offset=bindparam("n"), accepted_through=bindparam("a"))
        )
        rows = [{"p": p, "n": at.next_offset, "a": at.accepted_through} for p, at in sorted(positions.items())]
        if rows:
            await connection.execute(statement, rows)

    async def store_missing(self, connection: AsyncConnection, topic: str, next_offsets: Mapping[int, int]) -> None:
        """Store the first position of the partitions that have none yet."""
        rows = [{"topic": topic, "partition": p, "next_offset": offset} for p, offset in sorted(next_offsets.items())]
        await connection.execute(insert(self.table).on_conflict_do_nothing(), rows)
