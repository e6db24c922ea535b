"""Handles a batch of Kafka records in one database transaction (docs/architecture.md#delivery).

The transaction locks the partitions' offsets, skips records that were handled before, calls the handler, and stores the
new offsets. Records that can never be handled become dead letters.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tocsin.events import InvalidEventError
from tocsin.runtime.database.dead_letters import (
    DeadLetter,
    DeadLetterOrigin,
    DeadLetters,
    count_dead_letters,
    failure_reason,
)
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.offsets import Offsets, Position
from tocsin.runtime.errors import LeaseLostError
from tocsin.runtime.kafka.record_headers import pack, ticket_of, unpack
from tocsin.runtime.kafka.records import PartitionBatch, Received, Record, decode_record

log = structlog.get_logger(__name__)

POISON_LIMIT = 20
"""After this many bad records in a row the consumer pauses: the records are probably not the cause."""

OnBatch = Callable[[AsyncConnection, Sequence[Received]], Awaitable[None]]
"""A handler: stores the effects of a batch of events in the given transaction, and does not commit."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of a batch: `positions` are stored by partition, `seeks` are offsets to read from instead."""

    positions: Mapping[int, Position]
    seeks: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Handled:
    """What a transaction handled: the new positions, the dead letters, and the bad records in a row at its end."""

    positions: Mapping[int, Position]
    letters: Sequence[DeadLetter]
    bad_in_a_row: int


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

    async def handle(self, batches: Sequence[PartitionBatch], tokens: Mapping[int, int]) -> BatchResult:
        """Handle a batch in one transaction, with the fencing tokens of its partitions.

        If the handler fails for the whole batch, every record is tried alone, and the bad ones become dead letters.
        Failures of the database or the network are raised, and LeaseLostError if another replica has one of the leases.
        """
        one_by_one = any(isinstance(each.content, InvalidEventError) for batch in batches for each in batch.records)
        try:
            return await self._handle(batches, tokens, one_by_one)
        except Exception as error:
            if one_by_one or is_transient(error) or isinstance(error, LeaseLostError):
                raise
            log.warning("batch_retried_one_by_one", topic=self._topic, error=repr(error))
            return await self._handle(batches, tokens, one_by_one=True)

    async def replay(self, letter_id: int) -> tuple[int, str | None]:
        """Handle a dead letter again; if order matters, all of its ticket's dead letters, up to the first failure.

        Returns how many were handled, and why the next one was not. Locks the partition, so that no new event of the
        ticket is handled in between.
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
                content = decode_record(
                    unpack(queued.headers),
                    queued.value,
                    topic=queued.topic,
                    partition=queued.partition,
                    offset=queued.offset or 0,
                )
                failure = await self._attempt(connection, content)
                if failure is not None:
                    return handled, failure
                await self._letters.mark_replayed(connection, queued.id)
            return len(queue), None

    async def _handle(
        self, batches: Sequence[PartitionBatch], tokens: Mapping[int, int], one_by_one: bool
    ) -> BatchResult:
        async with self._engine.begin() as connection:
            stored = await self._offsets.lock_held(connection, self._topic, tokens)
            unseen, seeks = _skip_seen(batches, stored)
            blocked = await self._blocked_keys(connection, unseen)
            if one_by_one or blocked:
                handled = await self._handle_one_by_one(connection, unseen, blocked)
            else:
                handled = await self._handle_together(connection, unseen)
            positions = {p: _advance(stored[p], position) for p, position in handled.positions.items()}
            await self._letters.add(connection, handled.letters)
            await self._offsets.store(connection, self._topic, positions)
        self._bad_in_a_row = handled.bad_in_a_row
        count_dead_letters(handled.letters)
        return BatchResult(positions, seeks)

    async def _blocked_keys(self, connection: AsyncConnection, batches: Sequence[PartitionBatch]) -> set[bytes]:
        """The keys in these batches whose events must wait behind a dead letter."""
        keys = {each.record.key for batch in batches for each in batch.records if each.record.key is not None}
        if not self._is_ordered or not keys:
            return set()
        return await self._letters.waiting_keys(connection, self._topic, keys)

    async def _handle_together(self, connection: AsyncConnection, batches: Sequence[PartitionBatch]) -> _Handled:
        events = [each.content for batch in batches for each in batch.records if isinstance(each.content, Received)]
        if events:
            await self._on_batch(connection, events)
        positions = {batch.partition: batch.end for batch in batches}
        return _Handled(positions, [], bad_in_a_row=0 if events else self._bad_in_a_row)

    async def _handle_one_by_one(
        self, connection: AsyncConnection, batches: Sequence[PartitionBatch], blocked: set[bytes]
    ) -> _Handled:
        """Handle each record in its own savepoint; stop after POISON_LIMIT bad records in a row."""
        blocked = set(blocked)
        positions: dict[int, Position] = {}
        letters: list[DeadLetter] = []
        bad_in_a_row = self._bad_in_a_row
        for batch in batches:
            for each in batch.records:
                if each.record.key in blocked:
                    letters.append(self._letter(batch.partition, each.record, "waits behind an earlier dead letter"))
                    continue
                failure = await self._attempt(connection, each.content)
                if failure is None:
                    bad_in_a_row = 0
                    continue
                where = {"topic": self._topic, "partition": batch.partition, "offset": each.record.offset}
                log.error("dead_letter_stored", **where, ticket_id=ticket_of(each.record.key), reason=failure)
                letters.append(self._letter(batch.partition, each.record, failure))
                if self._is_ordered and each.record.key is not None:
                    blocked.add(each.record.key)
                bad_in_a_row += 1
                if bad_in_a_row >= POISON_LIMIT:
                    positions[batch.partition] = Position(each.record.offset + 1, None)
                    return _Handled(positions, letters, bad_in_a_row)
            positions[batch.partition] = batch.end
        return _Handled(positions, letters, bad_in_a_row)

    async def _attempt(self, connection: AsyncConnection, content: Received | InvalidEventError) -> str | None:
        """Handle one event in a savepoint: None, or why it cannot be handled."""
        if isinstance(content, InvalidEventError):
            return failure_reason(content)
        try:
            async with connection.begin_nested():
                await self._on_batch(connection, [content])
        except Exception as error:
            if is_transient(error):
                raise
            return failure_reason(error)
        return None

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


def _skip_seen(
    batches: Sequence[PartitionBatch], stored: Mapping[int, Position]
) -> tuple[list[PartitionBatch], dict[int, int]]:
    """Compare batches with the stored offsets: return the unseen records, and a result's `seeks`.

    A partition is read again from its stored offset if there is a gap before its records, or if all were seen.
    """
    unseen: list[PartitionBatch] = []
    seeks: dict[int, int] = {}
    for batch in batches:
        position = stored[batch.partition]
        if batch.first > position.next_offset or batch.next_offset <= position.next_offset:
            seeks[batch.partition] = position.next_offset
        else:
            records = [each for each in batch.records if each.record.offset >= position.next_offset]
            unseen.append(replace(batch, records=records))
    return unseen, seeks


def _advance(before: Position, after: Position) -> Position:
    """The watermark never goes back, although a relay that was suspended may still have sent an older one."""
    known = [at for at in (before.accepted_through, after.accepted_through) if at is not None]
    return Position(after.next_offset, max(known, default=None))
