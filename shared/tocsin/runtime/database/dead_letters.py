"""Dead letters: records that could not be handled or published, stored with their raw bytes and the reason.

They are listed and replayed through `/v1/dead-letters` (`tocsin.runtime.http.dead_letter_routes`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import orjson
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
    Text,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from tocsin.events.errors import InvalidEventError
from tocsin.runtime import metrics
from tocsin.runtime.errors import PoisonMessageError

_PAGE = 20  # a letter may be a megabyte, and its tenant is in it
_LONGEST_REASON = 1000


class DeadLetterOrigin(StrEnum):
    """Where a record failed: `consumed` (its handler refused it) or `outbox` (Kafka refused it)."""

    CONSUMED = "consumed"
    OUTBOX = "outbox"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that could not be handled or published. `offset` is None for a record of the outbox."""

    origin: str
    topic: str
    partition: int
    offset: int | None
    key: bytes | None
    headers: bytes
    value: bytes | None
    reason: str
    id: int = 0
    created_at: datetime | None = None
    replayed_at: datetime | None = None

    @property
    def tenant(self) -> str | None:
        """The tenant that the event names, or None if the event cannot be read."""
        try:
            data = orjson.loads(self.value or b"")
        except orjson.JSONDecodeError:
            return None
        about = data.get("ticket", data) if isinstance(data, dict) else None
        tenant = about.get("tenant") if isinstance(about, dict) else None
        return tenant if isinstance(tenant, str) else None

    def is_visible_to(self, tenant: str) -> bool:
        """True if the event is the tenant's, or names no tenant."""
        return self.tenant in (None, tenant)


@dataclass(frozen=True)
class DeadLetters:
    """The table `dead_letters`. A consumed letter that was not replayed holds back later events of its ticket."""

    table: Table

    @classmethod
    def define(cls, metadata: MetaData) -> Self:
        """Add the table to `metadata`."""
        return cls(
            Table(
                "dead_letters",
                metadata,
                Column("id", BigInteger, Identity(always=True), primary_key=True),
                Column("origin", Text, nullable=False),
                Column("topic", Text, nullable=False),
                Column("partition", SmallInteger, nullable=False),
                Column("offset", BigInteger),
                Column("key", LargeBinary),
                Column("headers", LargeBinary, nullable=False),
                Column("value", LargeBinary),
                Column("reason", Text, nullable=False),
                Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
                Column("replayed_at", DateTime(timezone=True)),
                Index("dead_letters_waiting_idx", "topic", "key", postgresql_where=text("replayed_at IS NULL")),
            )
        )

    async def add(self, connection: AsyncConnection, letters: Sequence[DeadLetter]) -> None:
        """Store letters in the caller's transaction."""
        if letters:
            names = ("origin", "topic", "partition", "offset", "key", "headers", "value", "reason")
            rows = [{name: getattr(letter, name) for name in names} for letter in letters]
            await connection.execute(insert(self.table), rows)

    async def load(self, connection: AsyncConnection, letter_id: int) -> DeadLetter | None:
        """One letter, or None if there is none with this id."""
        found = await self._select(connection, self.table.c.id == letter_id, limit=1)
        return found[0] if found else None

    async def load_queue(self, connection: AsyncConnection, letter: DeadLetter) -> list[DeadLetter]:
        """All letters with this letter's topic and key that wait for a replay, in the order they arrived."""
        return await self._select(connection, self._waiting(letter.topic) & (self.table.c.key == letter.key))

    async def waiting_keys(self, connection: AsyncConnection, topic: str, keys: Iterable[bytes]) -> set[bytes]:
        """The keys, out of `keys`, of this topic's letters that wait for a replay. Later events wait behind them."""
        query = select(self.table.c.key).distinct().where(self._waiting(topic), self.table.c.key.in_(list(keys)))
        return {row.key for row in await connection.execute(query)}

    async def list_page(
        self, connection: AsyncConnection, tenant: str, *, after: int, limit: int, replayed: bool | None
    ) -> list[DeadLetter]:
        """Up to `limit` letters visible to the tenant with an id above `after`, by id. `replayed` None means all."""
        found: list[DeadLetter] = []
        more = True
        while more and len(found) < limit:
            where = self.table.c.id > after
            if replayed is not None:
                at = self.table.c.replayed_at
                where &= at.is_not(None) if replayed else at.is_(None)
            page = await self._select(connection, where, limit=_PAGE)
            found += [letter for letter in page if letter.is_visible_to(tenant)]
            more = len(page) == _PAGE
            after = page[-1].id if more else after
        return found[:limit]

    async def mark_replayed(self, connection: AsyncConnection, letter_id: int) -> bool:
        """Mark a letter as replayed. False if it already was."""
        waiting = update(self.table).where(self.table.c.id == letter_id, self.table.c.replayed_at.is_(None))
        return (await connection.execute(waiting.values(replayed_at=func.clock_timestamp()))).rowcount > 0

    def _waiting(self, topic: str) -> Any:
        columns = self.table.c
        return (columns.topic == topic) & (columns.origin == DeadLetterOrigin.CONSUMED) & columns.replayed_at.is_(None)

    async def _select(self, connection: AsyncConnection, where: Any, limit: int | None = None) -> list[DeadLetter]:
        rows = await connection.execute(select(self.table).where(where).order_by(self.table.c.id).limit(limit))
        return [DeadLetter(**row) for row in rows.mappings()]


def failure_reason(error: BaseException) -> str:
    """The error as a dead letter's reason: at most 1,000 characters, without characters that PostgreSQL refuses."""
    is_described = isinstance(error, (InvalidEventError, PoisonMessageError))
    # Nothing else records an unexpected error, so its class stays for the engineers.
    reason = str(error) if is_described else f"internal error: {error!r}"
    return reason[:_LONGEST_REASON].encode(errors="replace").decode().replace("\0", "\ufffd")


def count_dead_letters(letters: Iterable[DeadLetter]) -> None:
    """Count letters in `sla_dead_letters_total`. Call it after their transaction was committed."""
    for letter in letters:
        metrics.DEAD_LETTERS.labels(letter.topic).inc()
