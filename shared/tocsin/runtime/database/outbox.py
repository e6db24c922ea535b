"""The outbox: the table of events that wait to be published (docs/architecture.md#delivery)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Uuid,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from tocsin.events import Event, attribute_headers, encode
from tocsin.runtime.database.bulk import insert
from tocsin.runtime.database.engine import DriverConnection
from tocsin.runtime.errors import LeaseLostError
from tocsin.runtime.kafka.client import PARTITIONS, partition_of
from tocsin.runtime.kafka.record_headers import header, pack


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One event as it will be published; `headers` are packed."""

    id: int
    partition: int
    key: bytes
    headers: bytes
    value: bytes

    @property
    def size(self) -> int:
        """Bytes of the record, at most."""
        return len(self.key) + len(self.headers) + len(self.value)


@dataclass(frozen=True)
class Outbox:
    """The table `outbox` and its lease, the topic that its events are published to, and the service as their source.

    Events are stored in the transaction that changes state, and deleted when Kafka has acknowledged them.
    `lease` has one row: which process may publish until when (the database's real time), and the fencing token.
    """

    table: Table
    lease: Table
    topic: str
    source: str
    partitions: int = PARTITIONS

    @classmethod
    def define(cls, metadata: MetaData, *, topic: str, source: str) -> Self:
        """Add the two tables to `metadata`. `source` is the service's name (`intake`)."""
        outbox = Table(
            "outbox",
            metadata,
            Column("id", BigInteger, Identity(always=True), primary_key=True),
            Column("partition", SmallInteger, nullable=False),
            Column("key", LargeBinary, nullable=False),
            Column("headers", LargeBinary, nullable=False),
            Column("value", LargeBinary, nullable=False),
            Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
            Index(None, "partition", "received_at"),  # for the oldest `received_at` of each partition
        )
        lease = Table(
            "outbox_lease",
            metadata,
            Column("id", SmallInteger, primary_key=True, autoincrement=False),
            Column("holder", Uuid, nullable=False),
            Column("token", BigInteger, nullable=False),
            Column("expires_at", DateTime(timezone=True), nullable=False),
        )
        return cls(outbox, lease, topic, source)

    async def add(
        self, connection: AsyncConnection, events: Sequence[Event], received_at: datetime | None = None
    ) -> None:
        """Store events in the caller's transaction, in their order, with one statement.

        The caller holds the row lock of every ticket concerned, so that per ticket the id order is the commit order.
        `received_at` is `clock_timestamp()` read inside this transaction (real time); by default the statement reads
        it.
        """
        rows = [self.row(event) for event in events]
        if received_at is not None:
            rows = [{**row, "received_at": received_at} for row in rows]
        await insert(connection, self.table, rows)

    def row(self, event: Event, value: bytes | None = None) -> dict[str, Any]:
        """The row of an event: `partition`, `key`, `headers` and `value`, the event as JSON (rendered here if None)."""
        headers, value = encode(event, self.source, value)
        key = header(headers, "ce_subject")
        if not key:
            raise ValueError(f"{type(event).__name__} has no ce_subject, which is the record key")
        partition = partition_of(key, self.partitions)
        return {"partition": partition, "key": key, "headers": pack(headers), "value": value}

    @property
    def headers_template(self) -> str:
        """The packed headers of an event, to be formatted with `%`: `id`, `type`, `subject` and `time`."""
        names = ("id", "type", "subject", "time")
        return pack(attribute_headers(source=self.source, **{name: f"%({name})s" for name in names})).decode()

    async def put_back(
        self, connection: AsyncConnection, partition: int, key: bytes, headers: bytes, value: bytes
    ) -> None:
        """Store a record again unchanged (a dead letter that could not be published)."""
        row = {"partition": partition, "key": key, "headers": headers, "value": value}
        await connection.execute(self.table.insert().values(row))

    async def oldest(self, database: DriverConnection, limit: int) -> list[OutboxRow]:
        """The oldest rows, by id.

        There is no cursor: ids commit out of order, so a reader with `id > last` would lose rows.
        """
        query = f"SELECT id, partition, key, headers, value FROM {self.table.name} ORDER BY id LIMIT $1"
        return [OutboxRow(*row) for row in await database.fetch(query, limit)]

    async def delete(self, database: DriverConnection, ids: Sequence[int], token: int) -> None:
        """Delete rows that are in the table, with one statement that keeps the lease until it is committed.

        Raises LeaseLostError if the fencing token is no longer valid.
        """
        statement = _DELETE.format(table=self.table.name, lease=self.lease.name)
        if ids and not await database.fetchval(statement, ids, token):
            raise LeaseLostError("another process took the lease")

    async def pending(self, connection: AsyncConnection) -> tuple[int, float]:
        """The number of rows, and the real age of the oldest in seconds (0 if there is none)."""
        age = func.extract("epoch", func.clock_timestamp() - func.min(self.table.c.received_at))
        count, oldest = (await connection.execute(select(func.count(), age).select_from(self.table))).one()
        return count, max(0.0, float(oldest or 0.0))

    async def is_empty(self, connection: AsyncConnection) -> bool:
        """True if everything is published."""
        return (await connection.execute(select(self.table.c.id).limit(1))).first() is None


_DELETE = """
    WITH held AS MATERIALIZED (SELECT FROM {lease} WHERE token = $2 FOR SHARE),
         deleted AS (DELETE FROM {table} WHERE id = ANY($1) AND EXISTS (SELECT FROM held))
    SELECT EXISTS (SELECT FROM held)
"""
