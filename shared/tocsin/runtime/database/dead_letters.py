"""Records that could not be handled or published: kept with raw bytes and reason, listed, and replayed by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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

from tocsin.runtime.metrics import DEAD_LETTERS

CONSUMED = "consumed"
OUTBOX = "outbox"
_PAGE = 100


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record put aside. `origin` is `consumed` (it came in, at `offset`) or `outbox` (it could not go out; no
    offset).
    """

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
        """Whose the event is, as far as its data can be read."""
        try:
            data = orjson.loads(self.value or b"")
        except orjson.JSONDecodeError:
            return None
        about = data.get("ticket", data) if isinstance(data, dict) else None
        tenant = about.get("tenant") if isinstance(about, dict) else None
        return tenant if isinstance(tenant, str) else None

    def is_visible_to(self, tenant: str) -> bool:
        """It is theirs, or does not say whose it is."""
        return self.tenant in (None, tenant)


def dead_letters_table(metadata: MetaData) -> Table:
    """`dead_letters`: what was put aside; the partial index finds what later events of a ticket wait behind."""
    return Table(
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


def reason_of(error: BaseException) -> str:
    """An error as a dead letter's reason: short, and without what a text column refuses."""
    words = f"{type(error).__name__}: {error}"[:1000]
    return words.encode(errors="replace").decode().replace("\0", "\ufffd")


async def put(connection: AsyncConnection, table: Table, letters: Sequence[DeadLetter]) -> None:
    """Store letters in the caller's transaction."""
    if letters:
        names = ("origin", "topic", "partition", "offset", "key", "headers", "value", "reason")
        await connection.execute(insert(table), [{name: getattr(letter, name) for name in names} for letter in letters])


def count(letters: Iterable[DeadLetter]) -> None:
    """Count letters in the metric; to be called when their transaction has committed."""
    for letter in letters:
        DEAD_LETTERS.labels(letter.topic).inc()


async def waiting_keys(connection: AsyncConnection, table: Table, topic: str, keys: Iterable[bytes]) -> set[bytes]:
    """Those of `keys` that have a letter of this topic which was not replayed: what follows must wait behind it."""
    query = (
        select(table.c.key)
        .distinct()
        .where(
            table.c.topic == topic,
            table.c.origin == CONSUMED,
            table.c.key.in_(list(keys)),
            table.c.replayed_at.is_(None),
        )
    )
    return {row.key for row in await connection.execute(query)}


async def get(connection: AsyncConnection, table: Table, letter_id: int) -> DeadLetter | None:
    """One letter."""
    found = await _select(connection, table, table.c.id == letter_id, limit=1)
    return found[0] if found else None


async def queue_of(connection: AsyncConnection, table: Table, letter: DeadLetter) -> list[DeadLetter]:
    """All that wait with this letter's key, in the order they came."""
    where = (
        (table.c.topic == letter.topic)
        & (table.c.origin == CONSUMED)
        & (table.c.key == letter.key)
        & table.c.replayed_at.is_(None)
    )
    return await _select(connection, table, where)


async def listed(
    connection: AsyncConnection, table: Table, tenant: str, *, after: int, limit: int, replayed: bool | None
) -> list[DeadLetter]:
    """A page of the letters that are shown to this tenant, oldest first; `replayed` None means all."""
    found: list[DeadLetter] = []
    more = True
    while more and len(found) < limit:
        where = table.c.id > after
        if replayed is not None:
            where &= table.c.replayed_at.is_not(None) if replayed else table.c.replayed_at.is_(None)
        page = await _select(connection, table, where, limit=_PAGE)
        found += [letter for letter in page if letter.is_visible_to(tenant)]
        more = len(page) == _PAGE
        after = page[-1].id if more else after
    return found[:limit]


async def mark_replayed(connection: AsyncConnection, table: Table, letter_id: int) -> bool:
    """Set a letter aside as done; False if it was already."""
    done = update(table).where(table.c.id == letter_id, table.c.replayed_at.is_(None))
    return (await connection.execute(done.values(replayed_at=func.clock_timestamp()))).rowcount > 0


async def _select(connection: AsyncConnection, table: Table, where: Any, limit: int | None = None) -> list[DeadLetter]:
    rows = await connection.execute(select(table).where(where).order_by(table.c.id).limit(limit))
    return [DeadLetter(**row) for row in rows.mappings()]
