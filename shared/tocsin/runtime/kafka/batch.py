"""Handles a batch of Kafka records in one database transaction (docs/architecture.md#delivery).

The transaction locks the partitions' offsets, skips what was handled before, calls the handler, and stores the new
offsets. Records that can never be handled become dead letters.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
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
"""After this many bad records in a row the consumer pauses: the records are probably not the cause."""

_WATERMARK = ("ce_type", b"progress")


@dataclass(frozen=True, slots=True)
class Received:
    """An event and the position it was read from.

    `published_at`: the real instant at which Kafka stored the record; None for a dead letter.
    """

    event: Event
    topic: str
    partition: int
    offset: int
    published_at: datetime | None = None


OnBatch = Callable[[AsyncConnection, Sequence[Received]], Awaitable[None]]
"""A handler: stores the effects of a batch of events in the given transaction, and commits nothing."""


class Record(Protocol):
    """The attributes of a Kafka record that are used."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class DecodedRecord:
    """A record that is not a watermark: its event, or the reason why it has none (`failure`)."""

    record: Record
    received: Received | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class PartitionBatch:
    """The records of one partition with offsets from `first` to `next_offset` - 1, and the last watermark in them."""

    partition: int
    first: int
    next_offset: int
    records: Sequence[DecodedRecord]
    watermark: datetime | None

    @property
    def end(self) -> Position:
        """The partition's position after this batch."""
        return Position(self.next_offset, self.watermark)


@dataclass(slots=True)
class BatchResult:
    """The outcome of a batch.

    `positions` are stored by partition, `seeks` are offsets to read from instead, `missing` are partitions without a
    stored position.
    """

    positions: dict[int, Position] = field(default_factory=dict)
    seeks: dict[int, int] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    bad_in_a_row: int = 0


def decode_partition(topic: str, partition: int, records: Sequence[Record]) -> PartitionBatch:
    """Decode a partition's records. Only the last watermark is parsed: after a day there are millions of them."""
    decoded: list[DecodedRecord] = []
    last_watermark: Record | None = None
    for record in records:
        if _WATERMARK in record.headers:
            last_watermark = record
        else:
            decoded.append(_decode(topic, partition, record))
    watermark = None
    if last_watermark is not None:
        last = _decode(topic, partition, last_watermark)
        if last.received is not None and isinstance(last.received.event, Watermark):
            watermark = last.received.event.accepted_through
        else:
            decoded = sorted([*decoded, last], key=lambda each: each.record.offset)
    return PartitionBatch(partition, records[0].offset, records[-1].offset + 1, decoded, watermark)


class BatchHandler:
    """Handles the batches of one topic in one database, and replays its dead letters.

    `is_ordered`: later events of a ticket wait behind its dead letters.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        topic: str,
        offsets: Offsets,
        letters: DeadLetters,
        on_batch: OnBatch,
        is_ordered: bool,
    ) -> None:
        self._engine = engine
        self._topic = topic
        self._offsets = offsets
        self._letters = letters
        self._on_batch = on_batch
        self._is_ordered = is_ordered
        self._bad_in_a_row = 0

    @property
    def is_exhausted(self) -> bool:
        """True after too many bad records in a row."""
        return self._bad_in_a_row >= POISON_LIMIT

    async def handle(self, batches: Sequence[PartitionBatch]) -> BatchResult:
        """Handle a batch in one transaction.

        If the handler fails for the whole batch, every record is tried alone, and the bad ones become dead letters.
        Failures of the database or the network are raised.
        """
        one_by_one = any(record.failure for batch in batches for record in batch.records)
        try:
            result = await self._handle(batches, one_by_one)
        except Exception as error:
            if one_by_one or is_transient(error):
                raise
            log.warning("batch_retried_one_by_one", topic=self._topic, error=repr(error))
            result = await self._handle(batches, one_by_one=True)
        self._bad_in_a_row = result.bad_in_a_row
        count_dead_letters(result.letters)
        return result

    async def replay(self, letter_id: int) -> tuple[int, str | None]:
        """Handle a dead letter again; if order matters, all of its ticket in order, up to the first failure.

        Returns how many were handled, and why the next one was not. Locks the partition, so that no new event of the
        ticket comes in between.
        """
        async with self._engine.begin() as connection:
            letter = await self._letters.load(connection, letter_id)
            if letter is None or letter.replayed_at is not None:
                return 0, None
            await self._offsets.load(connection, self._topic, [letter.partition], lock=True)
            queue = [letter]
            if self._is_ordered and letter.key is not None:
                queue = await self._letters.load_queue(connection, letter)
            for handled, queued in enumerate(queue):
                failure = await self._replay_one(connection, queued)
                if failure is not None:
                    return handled, failure
                await self._letters.mark_replayed(connection, queued.id)
            return len(queue), None

    async def _handle(self, batches: Sequence[PartitionBatch], one_by_one: bool) -> BatchResult:
        async with self._engine.begin() as connection:
            stored = await self._offsets.load(
                connection, self._topic, [batch.partition for batch in batches], lock=True
            )
            result, unseen = _skip_seen(batches, stored)
            result.bad_in_a_row = self._bad_in_a_row
            blocked = await self._blocked_keys(connection, unseen)
            if one_by_one or blocked:
                await self._handle_one_by_one(connection, unseen, blocked, result)
            else:
                received = [record.received for batch in unseen for record in batch.records if record.received]
                if received:
                    await self._on_batch(connection, received)
                    result.bad_in_a_row = 0
                result.positions = {batch.partition: batch.end for batch in unseen}
            result.positions = {p: _advance(stored[p], position) for p, position in result.positions.items()}
            await self._letters.add(connection, result.letters)
            await self._offsets.store(connection, self._topic, result.positions)
        return result

    async def _blocked_keys(self, connection: AsyncConnection, batches: Sequence[PartitionBatch]) -> set[bytes]:
        """The keys in these batches whose events must wait behind a dead letter."""
        keys = {each.record.key for batch in batches for each in batch.records if each.record.key is not None}
        if not self._is_ordered or not keys:
            return set()
        return await self._letters.waiting_keys(connection, self._topic, keys)

    async def _handle_one_by_one(
        self, connection: AsyncConnection, batches: Sequence[PartitionBatch], blocked: set[bytes], result: BatchResult
    ) -> None:
        """Handle each record in its own savepoint; stop after POISON_LIMIT bad records in a row."""
        for batch in batches:
            for each in batch.records:
                if each.record.key in blocked:
                    result.letters.append(
                        self._letter(batch.partition, each.record, "waits behind an earlier dead letter")
                    )
                    continue
                failure = each.failure or await self._attempt(connection, each.received)
                if failure is None:
                    result.bad_in_a_row = 0
                    continue
                where = {"topic": self._topic, "partition": batch.partition, "offset": each.record.offset}
                log.error("dead_letter_stored", **where, ticket_id=ticket_of(each.record.key), reason=failure)
                result.letters.append(self._letter(batch.partition, each.record, failure))
                if self._is_ordered and each.record.key is not None:
                    blocked.add(each.record.key)
                result.bad_in_a_row += 1
                if result.bad_in_a_row >= POISON_LIMIT:
                    result.positions[batch.partition] = Position(each.record.offset + 1, None)
                    return
            result.positions[batch.partition] = batch.end

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
            origin=DeadLetterOrigin.CONSUMED,
            topic=self._topic,
            partition=partition,
            offset=record.offset,
            key=record.key,
            headers=pack(record.headers),
            value=record.value,
            reason=reason,
        )


def _decode(topic: str, partition: int, record: Record) -> DecodedRecord:
    try:
        event = decode(record.headers, record.value)
    except InvalidEventError as error:
        return DecodedRecord(record, None, failure_reason(error))
    published_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return DecodedRecord(record, Received(event, topic, partition, record.offset, published_at), None)


def _skip_seen(
    batches: Sequence[PartitionBatch], stored: Mapping[int, Position]
) -> tuple[BatchResult, list[PartitionBatch]]:
    """The records that come next by the stored offsets. A batch with a gap before it, or wholly seen, is read again."""
    result, unseen = BatchResult(), []
    for batch in batches:
        position = stored.get(batch.partition)
        if position is None:
            result.missing.append(batch.partition)
        elif batch.first > position.next_offset or batch.next_offset <= position.next_offset:
            result.seeks[batch.partition] = position.next_offset
        else:
            records = [each for each in batch.records if each.record.offset >= position.next_offset]
            unseen.append(replace(batch, records=records))
    return result, unseen


def _advance(before: Position, after: Position) -> Position:
    """The watermark never goes back, although a relay that was suspended may still have sent an older one."""
    known = [at for at in (before.accepted_through, after.accepted_through) if at is not None]
    return Position(after.next_offset, max(known, default=None))
