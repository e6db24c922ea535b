"""The next offset and the watermark of every consumed partition, and who reads it, in the service's own database.

Only these tables decide which record is read next, and by which process (docs/architecture.md#delivery).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    bindparam,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tocsin.runtime.errors import LeaseLostError


@dataclass(frozen=True, slots=True)
class Position:
    """The next offset to read, and the partition's watermark in business time (None: no watermark received yet)."""

    next_offset: int
    accepted_through: datetime | None


@dataclass(frozen=True)
class Offsets:
    """The tables `offsets` and `consumer_replicas`.

    `holder` is the replica that reads the partition, and `token` is higher for each holder. A replica's lease on all
    its partitions ends at its `expires_at` (the database's real time): see
    `tocsin.runtime.database.partition_leases`.
    """

    table: Table
    replicas: Table

    @classmethod
    def define(cls, metadata: MetaData) -> Self:
        """Add the tables to `metadata`."""
        offsets = Table(
            "offsets",
            metadata,
            Column("topic", Text, primary_key=True),
            Column("partition", SmallInteger, primary_key=True, autoincrement=False),
            Column("next_offset", BigInteger, nullable=False),
            Column("accepted_through", DateTime(timezone=True)),
            Column("holder", Uuid),
            Column("token", BigInteger, nullable=False, server_default=text("0")),
            postgresql_with={"fillfactor": 50},  # updated every second: free space keeps the updates HOT
        )
        replicas = Table(
            "consumer_replicas",
            metadata,
            Column("topic", Text, primary_key=True),
            Column("holder", Uuid, primary_key=True),
            Column("expires_at", DateTime(timezone=True), nullable=False),
            postgresql_with={"fillfactor": 50},
        )
        return cls(offsets, replicas)

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

    async def lock_held(
        self, connection: AsyncConnection, topic: str, tokens: Mapping[int, int]
    ) -> dict[int, Position]:
        """The positions of partitions by their fencing tokens, locked in partition order.

        Raises LeaseLostError if another replica holds one of them, or a row is gone.
        """
        columns = self.table.c
        query = (
            select(columns.partition, columns.next_offset, columns.accepted_through, columns.token)
            .where(columns.topic == topic, columns.partition.in_(sorted(tokens)))
            .order_by(columns.partition)
            .with_for_update()
        )
        rows = {row.partition: row for row in await connection.execute(query)}
        lost = [p for p, token in tokens.items() if p not in rows or rows[p].token != token]
        if lost:
            raise LeaseLostError(f"{topic} {sorted(lost)}: another replica took the lease")
        return {p: Position(row.next_offset, row.accepted_through) for p, row in rows.items()}

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

    async def rewind(self, connection: AsyncConnection, topic: str, next_offsets: Mapping[int, int]) -> None:
        """Store other positions of the partitions that have one, without a watermark.

        Waits for the batches in progress. Their replicas lose the leases, and read on from the new positions.
        """
        columns = self.table.c
        locked = select(columns.partition).where(columns.topic == topic).order_by(columns.partition).with_for_update()
        await connection.execute(locked)
        statement = (
            update(self.table)
            .where(columns.topic == topic, columns.partition == bindparam("p"))
            .values(next_offset=bindparam("n"), accepted_through=None, holder=None, token=columns.token + 1)
        )
        rows = [{"p": partition, "n": offset} for partition, offset in sorted(next_offsets.items())]
        await connection.execute(statement, rows)
