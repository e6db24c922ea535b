"""The consumer loop of every service. The database decides which record is next; Kafka only delivers."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.backoff import Backoff
from tocsin.runtime.database.dead_letters import DeadLetters
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.offsets import Offsets, Position
from tocsin.runtime.kafka.batch import POISON_LIMIT, BatchHandler, OnBatch
from tocsin.runtime.kafka.client import PARTITIONS, new_consumer
from tocsin.runtime.kafka.group_offsets import GroupOffsets
from tocsin.runtime.kafka.records import Record, decode_partition
from tocsin.runtime.kafka.topic_ends import TopicEnds
from tocsin.runtime.kafka.watchdog import Watchdog
from tocsin.runtime.metrics import (
    CONSUMER_PAUSED,
    CONSUMER_RETRIES,
    JOB_FAILURES,
    OFFSETS_OUT_OF_RANGE,
    declare_consumer,
)

log = structlog.get_logger(__name__)

AfterCommit = Callable[[Mapping[int, datetime | None]], Awaitable[None]]
"""Called after a commit with the watermark (business time) of each partition in the batch, if it had one."""

_POLL_MS = 300
_CLOSE_SECONDS = 5.0
_RECONNECT_SECONDS = 0.5
_BACKOFF = Backoff(first=timedelta(seconds=0.2), longest=timedelta(seconds=2))


class Consumer:
    """Reads one topic in a consumer group, and calls `on_batch` with its events, one transaction per batch.

    With `ordered`, later events of a ticket wait behind its dead letters. Several replicas may run: the lock on each
    partition's stored offset decides which of them handles a record.
    """

    def __init__(
        self,
        *,
        bootstrap: str,
        topic: str,
        group: str,
        engine: AsyncEngine,
        offsets: Offsets,
        dead_letters: DeadLetters,
        on_batch: OnBatch,
        after_commit: AfterCommit | None = None,
        ordered: bool = False,
        max_records: int = 1000,
        partitions: int = PARTITIONS,
    ) -> None:
        self.topic = topic
        self.partitions = partitions
        self._bootstrap = bootstrap
        self._group = group
        self._engine = engine
        self._offsets = offsets
        self._handler = BatchHandler(engine, topic, offsets, dead_letters, on_batch, ordered)
        self._after_commit = after_commit
        self._max_records = max_records
        self._ends = TopicEnds(bootstrap, topic, partitions)
        self._stopping = False
        self._joined = False
        self._failures = 0
        self._assigned: frozenset[int] = frozenset()
        self._group_offsets = GroupOffsets(topic)

    async def run(self) -> None:
        """Consume until `stop`. Raises if only a new process helps (StuckError, a bug)."""
        declare_consumer(self.topic, self.partitions)
        JOB_FAILURES.labels("after_commit")
        watchdog = Watchdog(self._engine, self._offsets, self.topic, self._ends)
        consuming = asyncio.create_task(self._consume())
        watching = asyncio.create_task(watchdog.run(lambda: frozenset() if self.is_paused else self._assigned))
        try:
            done, _ = await asyncio.wait({consuming, watching}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            consuming.cancel()
            watching.cancel()
            await asyncio.gather(consuming, watching, return_exceptions=True)
            await self._ends.close()

    def stop(self) -> None:
        """Read no more batches. `run` returns when the current one is committed and the group is left."""
        self._stopping = True

    @property
    def is_paused(self) -> bool:
        """True after too many bad records in a row. A restart continues."""
        return self._handler.is_exhausted

    async def ready(self) -> str | None:
        """A readiness check: joined the group, not paused, the last batch did not fail."""
        if self.is_paused:
            return f"paused after {POISON_LIMIT} bad records in a row: check the dead letters, then restart"
        if not self._joined:
            return "has not joined the consumer group yet"
        return f"the last {self._failures} batches failed" if self._failures else None

    async def probe(self) -> dict[int, int]:
        """The current end offsets by partition. Raises KafkaError, OSError or TimeoutError within 5 s."""
        return await self._ends.fetch()

    async def replay(self, letter_id: int) -> tuple[int, str | None]:
        """Handle a dead letter of this topic again. Returns how many were handled, and why the next one was not."""
        handled, failure = await self._handler.replay(letter_id)
        if handled:
            await self._notify({})
        return handled, failure

    async def _consume(self) -> None:
        while not self._stopping:
            client = new_consumer(self._bootstrap, self._group)
            try:
                await client.start()
                client.subscribe([self.topic], listener=_Assignment(self, client))
                committing = asyncio.create_task(self._group_offsets.keep_committing(client))
                try:
                    await self._poll(client)
                finally:
                    committing.cancel()
                await self._group_offsets.commit(client)
            except Exception as error:
                if not isinstance(error, KafkaError) and not is_transient(error):
                    raise
                log.warning("consumer_reconnects", topic=self.topic, error=repr(error))
                await asyncio.sleep(_RECONNECT_SECONDS)
            finally:
                self._joined = False
                self._assigned = frozenset()
                with contextlib.suppress(KafkaError, OSError, TimeoutError):
                    async with asyncio.timeout(_CLOSE_SECONDS):
                        await client.stop()

    async def _poll(self, client: AIOKafkaConsumer) -> None:
        """Always poll, also while paused: a group member that stops polling never rejoins (aiokafka #1187)."""
        while not self._stopping:
            if self.is_paused:
                CONSUMER_PAUSED.labels(self.topic).set(1)
                client.pause(*client.assignment())
            try:
                batch = await client.getmany(timeout_ms=_POLL_MS, max_records=self._max_records)
            except (NoOffsetForPartitionError, OffsetOutOfRangeError):
                await self._place(client, [found.partition for found in client.assignment()])
                continue
            if batch and self.is_paused:
                self._seek(client, {found.partition: records[0].offset for found, records in batch.items()})
            elif batch:
                await self._handle(client, batch)

    async def _handle(self, client: AIOKafkaConsumer, batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        ordered = sorted(batch.items(), key=lambda entry: entry[0].partition)
        batches = [decode_partition(self.topic, found.partition, records) for found, records in ordered]
        try:
            result = await self._handler.handle(batches)
        except Exception as error:
            if not is_transient(error):
                raise
            self._failures += 1
            CONSUMER_RETRIES.labels(self.topic).inc()
            log.warning("batch_put_back", topic=self.topic, error=repr(error), failures=self._failures)
            self._seek(client, {each.partition: each.first for each in batches})
            await asyncio.sleep(_BACKOFF.pause(self._failures).total_seconds())
            return
        self._failures = 0
        self._seek(client, result.seeks)
        if result.missing:
            await self._place(client, result.missing)
        if result.positions:
            await self._notify({p: position.accepted_through for p, position in result.positions.items()})
            self._group_offsets.add({p: position.next_offset for p, position in result.positions.items()})

    async def _place(self, client: AIOKafkaConsumer, partitions: Collection[int]) -> None:
        """Seek to the stored offsets; to the topic's beginning if there is none, or the topic no longer holds it."""
        beginnings, ends = await self._ends.fetch_range()
        async with self._engine.begin() as connection:
            await self._offsets.store_missing(connection, self.topic, {p: beginnings[p] for p in partitions})
            stored = await self._offsets.load(connection, self.topic, partitions, lock=True)
            lost = {
                p: Position(beginnings[p], position.accepted_through)
                for p, position in stored.items()
                if not beginnings[p] <= position.next_offset <= ends[p]
            }
            await self._offsets.store(connection, self.topic, lost)
        for partition, position in lost.items():
            OFFSETS_OUT_OF_RANGE.labels(self.topic).inc()
            log.critical(
                "offset_out_of_range",
                topic=self.topic,
                partition=partition,
                wanted=stored[partition].next_offset,
                goes_on_at=position.next_offset,
                hint="The topic no longer holds the next record. Republish from the service that publishes this topic.",
            )
        self._seek(client, {p: position.next_offset for p, position in {**stored, **lost}.items()})

    def _seek(self, client: AIOKafkaConsumer, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets by partition, unless a partition was revoked meanwhile."""
        for partition, offset in offsets.items():
            with contextlib.suppress(IllegalStateError):
                client.seek(TopicPartition(self.topic, partition), offset)

    async def _assign(self, client: AIOKafkaConsumer, partitions: frozenset[int]) -> None:
        self._assigned = partitions
        self._joined = True
        self._group_offsets.clear()
        log.info("consumer_assigned", topic=self.topic, partitions=sorted(partitions))
        try:
            await self._place(client, partitions)
        except Exception as error:  # aiokafka would swallow it; the first batch finds a wrong position
            log.warning("consumer_not_placed", topic=self.topic, error=repr(error))

    async def _notify(self, watermarks: Mapping[int, datetime | None]) -> None:
        if self._after_commit is None:
            return
        try:
            await self._after_commit(watermarks)
        except Exception as error:  # the batch is committed; the periodic sweep catches up
            JOB_FAILURES.labels("after_commit").inc()
            log.error("after_commit_failed", topic=self.topic, error=repr(error), exc_info=not is_transient(error))


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, consumer: Consumer, client: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._client = client

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Nothing to do: the database holds the offsets."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        await self._consumer._assign(self._client, frozenset(found.partition for found in assigned))
