"""Where a service stands in a topic, in its own database: the only thing that decides what is read next (DESIGN,
Delivery).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, MetaData, SmallInteger, Table, Text, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Position:
    """The next offset to read, and the business instant up to which no fact is missing before it (None: no progress
    yet).
    """

    next_offset: int
    accepted_through: datetime | None


def offsets_table(metadata: MetaData) -> Table:
    """`offsets(topic, partition, next_offset, accepted_through)`. Written ten times a second, so pages are left half
    empty.
    """
    return Table(
        "offsets",
        metadata,
        Column("topic", Text, primary_key=True),
        Column("partition", SmallInteger, primary_key=True, autoincrement=False),
        Column("next_offset", BigInteger, nullable=False),
        Column("accepted_through", DateTime(timezone=True)),
        postgresql_with={"fillfactor": 50},
    )


async def read(
    connection: AsyncConnection,
    table: Table,
    topic: str,
    partitions: Iterable[int] | None = None,
    *,
    lock: bool = False,
) -> dict[int, Position]:
    """The positions in a topic, of some partitions or of all; with `lock` FOR UPDATE, in partition order."""
    query = select(table.c.partition, table.c.next_offset, table.c.accepted_through).where(table.c.topic == topic)
    if partitions is not None:
        query = query.where(table.c.partition.in_(sorted(partitions)))
    query = query.order_by(table.c.partition)
    rows = await connection.execute(query.with_for_update() if lock else query)
    return {row.partition: Position(row.next_offset, row.accepted_through) for row in rows}


async def begin(connection: AsyncConnection, table: Table, topic: str, beginnings: Mapping[int, int]) -> None:
    """Store where partitions begin, for those that have no position yet."""
    rows = [{"topic": topic, "partition": p, "next_offset": offset} for p, offset in sorted(beginnings.items())]
    await connection.execute(insert(table).on_conflict_do_nothing(), rows)


async def write(connection: AsyncConnection, table: Table, topic: str, positions: Mapping[int, Position]) -> None:
    """Store new positions of partitions whose rows this transaction has locked."""
    statement = (
        update(table)
        .where(table.c.topic == topic, table.c.partition == bindparam("p"))
        .values(next_offset=bindparam("n"), accepted_through=bindparam("a"))
    )
    rows = [{"p": p, "n": at.next_offset, "a": at.accepted_through} for p, at in sorted(positions.items())]
    if rows:
        await connection.execute(statement, rows)
