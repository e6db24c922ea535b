"""A batch of records in the database: one transaction that checks where it stands, handles, and moves on (DESIGN,
Delivery).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tocsin.events import Event, InvalidEventError, Watermark, decode
from tocsin.runtime.database.dead_letters import (
    DeadLetter,
    DeadLetterOrigin,
    DeadLetters,
    count_dead_letters,
    failure_reason,
)
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.offsets import Offsets, Position
from tocsin.runtime.kafka.record_headers import Headers, pack, ticket_of, unpack

log = structlog.get_logger(__name__)

POISON_LIMIT = 20
"""So many bad records in a row are not the records' fault."""

_PROGRESS = ("ce_type", b"progress")


@dataclass(frozen=True, slots=True)
class Received:
    """An event and where it came from."""

    event: Event
    topic: str
    partition: int
    offset: int


OnBatch = Callable[[AsyncConnection, Sequence[Received]], Awaitable[None]]


class Record(Protocol):
    """What is used of a Kafka record."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Item:
    """A record that is no progress: decoded, or with the reason why it could not be."""

    record: Record
    received: Received | None
    fault: str | None


@dataclass(frozen=True, slots=True)
class Slice:
    """The records of one partition in a batch: offsets `first` to `next_offset` - 1."""

    partition: int
    first: int
    next_offset: int
    items: Sequence[Item]
    progress: datetime | None


@dataclass(slots=True)
class Taken:
    """What came of a batch: new positions, where to read on instead, and partitions whose row is missing."""

    positions: dict[int, Position] = field(default_factory=dict)
    seeks: dict[int, int] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    bad_in_a_row: int = 0


def slice_of(topic: str, partition: int, records: Sequence[Record]) -> Slice:
    """Decode a partition's records. Of progress only the last is parsed: catching up over a day brings millions."""
    items: list[Item] = []
    last_progress: Record | None = None
    for record in records:
        if _PROGRESS in record.headers:
            last_progress = record
        else:
            items.append(_decoded(topic, partition, record))
    progress = None
    if last_progress is not None:
        told = _decoded(topic, partition, last_progress)
        if told.received is not None and isinstance(told.received.event, Watermark):
            progress = told.received.event.accepted_through
        else:
            items = sorted([*items, told], key=lambda item: item.record.offset)
    return Slice(partition, records[0].offset, records[-1].offset + 1, items, progress)


class Handling:
    """Takes batches of one topic into one database; also replays what it had to put aside."""

    def __init__(
        self,
        engine: AsyncEngine,
        topic: str,
        offsets: Offsets,
        letters: DeadLetters,
        on_batch: OnBatch,
        ordered: bool,
    ) -> None:
        self._engine = engine
        self._topic = topic
        self._offsets = offsets
        self._letters = letters
        self._on_batch = on_batch
        self._ordered = ordered
        self._bad_in_a_row = 0

    @property
    def exhausted(self) -> bool:
        """True once too many records in a row were bad."""
        return self._bad_in_a_row >= POISON_LIMIT

    async def take(self, slices: Sequence[Slice]) -> Taken:
        """Handle a batch in one transaction. Data's faults end in the dead letters; other failures are raised."""
        careful = any(item.fault for part in slices for item in part.items)
        try:
            taken = await self._take(slices, careful)
        except Exception as error:
            if careful or is_transient(error):
                raise
            log.warning("batch_one_by_one", topic=self._topic, error=repr(error))
            taken = await self._take(slices, careful=True)
        self._bad_in_a_row = taken.bad_in_a_row
        count_dead_letters(taken.letters)
        return taken

    async def replay(self, letter_id: int) -> tuple[int, str | None]:
        """Handle a dead letter again; where order matters, all that wait with its key, in order, up to the first
        failure.

        How many were handled, and why the next was not. Holds the partition, so that nothing new comes in between.
        """
        async with self._engine.begin() as connection:
            letter = await self._letters.load(connection, letter_id)
            if letter is None or letter.replayed_at is not None:
                return 0, None
            await self._offsets.load(connection, self._topic, [letter.partition], lock=True)
            waiting = [letter]
            if self._ordered and letter.key is not None:
                waiting = await self._letters.load_queue(connection, letter)
            for done, queued in enumerate(waiting):
                fault = await self._replay_one(connection, queued)
                if fault is not None:
                    return done, fault
                await self._letters.mark_replayed(connection, queued.id)
            return len(waiting), None

    async def _take(self, slices: Sequence[Slice], careful: bool) -> Taken:
        async with self._engine.begin() as connection:
            stored = await self._offsets.load(connection, self._topic, [part.partition for part in slices], lock=True)
            taken, fresh = _sorted_out(slices, stored)
            taken.bad_in_a_row = self._bad_in_a_row
            waiting = await self._waiting(connection, fresh)
            if careful or waiting:
                await self._one_by_one(connection, fresh, waiting, taken)
            elif batch := [item.received for part in fresh for item in part.items if item.received]:
                await self._on_batch(connection, batch)
                taken.bad_in_a_row = 0
            if not (careful or waiting):
                taken.positions = {part.partition: _after(part) for part in fresh}
            taken.positions = {p: _forward(stored[p], position) for p, position in taken.positions.items()}
            await self._letters.add(connection, taken.letters)
            await self._offsets.store(connection, self._topic, taken.positions)
        return taken

    async def _waiting(self, connection: AsyncConnection, fresh: Sequence[Slice]) -> set[bytes]:
        """Keys of this batch that must wait behind a dead letter."""
        keys = {item.record.key for part in fresh for item in part.items if item.record.key is not None}
        if not self._ordered or not keys:
            return set()
        return await self._letters.waiting_keys(connection, self._topic, keys)

    async def _one_by_one(
        self, connection: AsyncConnection, fresh: Sequence[Slice], waiting: set[bytes], taken: Taken
    ) -> None:
        """Each record in a savepoint of its own; stops behind the bad record that is one too many."""
        for part in fresh:
            for item in part.items:
                if item.record.key in waiting:
                    taken.letters.append(
                        self._letter(part.partition, item.record, "waits behind an earlier dead letter")
                    )
                    continue
                fault = item.fault or await self._attempt(connection, item.received)
                if fault is None:
                    taken.bad_in_a_row = 0
                    continue
                where = {"topic": self._topic, "partition": part.partition, "offset": item.record.offset}
                log.error("record_poisoned", **where, ticket_id=ticket_of(item.record.key), reason=fault)
                taken.letters.append(self._letter(part.partition, item.record, fault))
                if self._ordered and item.record.key is not None:
                    waiting.add(item.record.key)
                taken.bad_in_a_row += 1
                if taken.bad_in_a_row >= POISON_LIMIT:
                    taken.positions[part.partition] = Position(item.record.offset + 1, None)
                    return
            taken.positions[part.partition] = _after(part)

    async def _attempt(self, connection: AsyncConnection, received: Received | None) -> str | None:
        """Handle one event in a savepoint: None, or why it cannot be handled."""
        if received is None:
            return "no event"
        try:
            async with connection.begin_nested():
                await self._on_batch(connection, [received])
        except Exception as error:
            if is_transient(error):
                raise
            return failure_reason(error)
        return None

    async def _replay_one(self, connection: AsyncConnection, letter: DeadLetter) -> str | None:
        try:
            event = decode(unpack(letter.headers), letter.value)
        except InvalidEventError as error:
            return failure_reason(error)
        return await self._attempt(connection, Received(event, letter.topic, letter.partition, letter.offset or 0))

    def _letter(self, partition: int, record: Record, reason: str) -> DeadLetter:
        return DeadLetter(
            DeadLetterOrigin.CONSUMED,
            self._topic,
            partition,
            record.offset,
            record.key,
            pack(record.headers),
            record.value,
            reason,
        )


def _decoded(topic: str, partition: int, record: Record) -> Item:
    try:
        event = decode(record.headers, record.value)
    except InvalidEventError as error:
        return Item(record, None, failure_reason(error))
    return Item(record, Received(event, topic, partition, record.offset), None)


def _sorted_out(slices: Sequence[Slice], stored: Mapping[int, Position]) -> tuple[Taken, list[Slice]]:
    """What of a batch is next by the database's word. Below it: seen already. Above it: read again from where it
    stands.
    """
    taken, fresh = Taken(), []
    for part in slices:
        position = stored.get(part.partition)
        if position is None:
            taken.missing.append(part.partition)
        elif part.first > position.next_offset or part.next_offset <= position.next_offset:
            taken.seeks[part.partition] = position.next_offset
        else:
            unseen = [item for item in part.items if item.record.offset >= position.next_offset]
            fresh.append(replace(part, items=unseen))
    return taken, fresh


def _after(part: Slice) -> Position:
    return Position(part.next_offset, part.progress)


def _forward(before: Position, position: Position) -> Position:
    """`accepted_through` never goes back: a late process may still have sent an older one."""
    known = [at for at in (before.accepted_through, position.accepted_through) if at is not None]
    return Position(position.next_offset, max(known, default=None))
