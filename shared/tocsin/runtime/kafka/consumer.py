"""The consumer loop of every service. The database decides which record is next, and for whom; Kafka only delivers."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.backoff import Backoff
from tocsin.runtime.database.dead_letters import DeadLetters
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.offsets import Offsets, Position
from tocsin.runtime.database.partition_leases import LEASE_SECONDS, PartitionLeases
from tocsin.runtime.errors import LeaseLostError
from tocsin.runtime.kafka.batch import POISON_LIMIT, BatchHandler, OnBatch
from tocsin.runtime.kafka.client import PARTITIONS, new_consumer
from tocsin.runtime.kafka.group_offsets import GroupOffsets
from tocsin.runtime.kafka.records import decode_partition
from tocsin.runtime.kafka.topic_ends import TopicEnds
from tocsin.runtime.kafka.unstored_batches import UnstoredBatches
from tocsin.runtime.kafka.watchdog import Watchdog
from tocsin.runtime.metrics import (
    CONSUMER_PAUSED,
    CONSUMER_RETRIES,
    JOB_FAILURES,
    OFFSETS_OUT_OF_RANGE,
    declare_consumer,
)

log = structlog.get_logger(__name__)

AfterCommit = Callable[[Mapping[int, datetime | None]], Awaitable[Mapping[int, datetime | None]]]
"""Called after a commit with the watermark (business time) of each partition in the batch, if it had one.

Returns for each partition the watermark from which on it must be stored at once (None: never). Earlier watermarks are
stored once a second, or with the next event. A partition that is left out is stored with every watermark.
"""

_POLL_SECONDS = 0.2
_SILENT_SECONDS = 15.0
"""Without a response from Kafka for so long, this replica leaves its partitions to the others."""
_CLOSE_SECONDS = 5.0
_RECONNECT_SECONDS = 0.5
_BACKOFF = Backoff(first=timedelta(seconds=0.2), longest=timedelta(seconds=2))


class Consumer:
    """Reads one topic, and calls `on_batch` with its events, one transaction per batch.

    With `ordered`, later events of a ticket wait behind its dead letters. Several replicas may run: leases assign the
    partitions to them, and the locks on the stored offsets decide which of them handles a record. `lease_engine` is for
    the leases alone, with one connection. `group` is the name under which Kafka's own tools show the lag. With
    `gather_seconds`, Kafka sends records that much later and in fewer responses: less work where a topic has many
    watermarks, and its events are not urgent.
    """

    def __init__(
        self,
        *,
        bootstrap: str,
        topic: str,
        group: str,
        engine: AsyncEngine,
        lease_engine: AsyncEngine,
        offsets: Offsets,
        dead_letters: DeadLetters,
        on_batch: OnBatch,
        after_commit: AfterCommit | None = None,
        ordered: bool = False,
        max_records: int = 1000,
        partitions: int = PARTITIONS,
        lease_seconds: float = LEASE_SECONDS,
        gather_seconds: float = 0,
    ) -> None:
        self.topic = topic
        self.partitions = partitions
        self._bootstrap = bootstrap
        self._group = group
        self._engine = engine
        self._offsets = offsets
        self._leases = PartitionLeases(lease_engine, offsets, topic, partitions, lease_seconds)
        self._handler = BatchHandler(engine, topic, offsets, dead_letters, on_batch, ordered)
        self._after_commit = after_commit
        self._max_records = max_records
        self._gather_seconds = gather_seconds
        self._ends = TopicEnds(bootstrap, topic, partitions)
        self._watchdog = Watchdog(engine, offsets, topic, self._ends)
        self._stopping = False
        self._failures = 0
        self._assigned: Mapping[int, int] | None = None
        """The fencing tokens of the partitions that are read; None before the first assignment."""
        self._unstored = UnstoredBatches()
        self._group_offsets = GroupOffsets(topic)

    async def run(self) -> None:
        """Consume until `stop`. Raises if only a new process helps (StuckError, a bug)."""
        declare_consumer(self.topic, self.partitions)
        leasing = asyncio.create_task(self._leases.keep(lambda: self._ends.silent_seconds < _SILENT_SECONDS))
        working = {
            asyncio.create_task(self._consume()),
            asyncio.create_task(self._watchdog.run(lambda: frozenset(() if self.is_paused else self._assigned or ()))),
        }
        try:
            done, _ = await asyncio.wait({leasing, *working}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            await self._leases.leave()
            leasing.cancel()
            await asyncio.gather(leasing, return_exceptions=True)
            await self._ends.close()

    def stop(self) -> None:
        """Read no more batches. `run` returns when the current one is committed and the partitions are released."""
        self._stopping = True

    @property
    def is_paused(self) -> bool:
        """True after too many bad records in a row. A restart continues."""
        return self._handler.is_exhausted

    @property
    def lag_seconds(self) -> float | None:
        """For how long the oldest record has waited that no process has handled yet; None while that is unknown."""
        return self._watchdog.lag_seconds

    async def ready(self) -> str | None:
        """A readiness check: reads what its leases assign to it, is not paused, and the last batch did not fail."""
        if self.is_paused:
            return f"paused after {POISON_LIMIT} bad records in a row: check the dead letters, then restart"
        if self._leases.are_expired:
            return "its leases are not renewed"
        if self._leases.missing or self._assigned != self._leases.held:
            return "does not read its partitions yet"
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
            client = new_consumer(self._bootstrap, self._group, gather_seconds=self._gather_seconds)
            try:
                await client.start()
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
                self._assigned = None
                with contextlib.suppress(KafkaError, OSError, TimeoutError):
                    async with asyncio.timeout(_CLOSE_SECONDS):
                        await client.stop()

    async def _poll(self, client: AIOKafkaConsumer) -> None:
        """Read and handle batches until `stop`, then give back the partitions."""
        while not self._stopping:
            try:
                await self._follow_leases(client)
                await self._read(client)
            except LeaseLostError as lost:
                log.warning("batch_of_lost_lease", topic=self.topic, reason=str(lost))
                self._assigned = None
                await self._leases.renew()
        with contextlib.suppress(LeaseLostError):
            await self._store(client)
        await self._leases.leave()

    async def _follow_leases(self, client: AIOKafkaConsumer) -> None:
        """Read the partitions that are assigned to this replica, and no others."""
        leases = self._leases
        if leases.missing:
            beginnings, _ = await self._ends.fetch_range()
            async with self._engine.begin() as connection:
                await self._offsets.store_missing(connection, self.topic, {p: beginnings[p] for p in leases.missing})
            await leases.renew()
        if leases.surplus:
            await self._store(client)
            await leases.give_back()
        if leases.held != self._assigned:
            held = leases.held
            self._unstored.clear()
            self._group_offsets.clear()
            start = await self._load_start(held)
            client.assign([TopicPartition(self.topic, partition) for partition in sorted(held)])
            self._seek(client, start)  # at once: without a position the client would look for one in Kafka
            self._assigned = held
            log.info("consumer_assigned", topic=self.topic, partitions=sorted(held))

    async def _read(self, client: AIOKafkaConsumer) -> None:
        """Read one batch, if there is one, and store it, if it is time to."""
        CONSUMER_PAUSED.labels(self.topic).set(self.is_paused)
        if self.is_paused or not self._assigned:
            await self._leases.wait_for_change(_POLL_SECONDS)
            return
        try:
            found = await client.getmany(timeout_ms=int(_POLL_SECONDS * 1000), max_records=self._max_records)
        except (NoOffsetForPartitionError, OffsetOutOfRangeError):
            self._unstored.clear()
            self._seek(client, await self._load_start(self._assigned))
            return
        self._unstored.add([decode_partition(self.topic, at.partition, records) for at, records in found.items()])
        if self._unstored.must_store():
            await self._store(client)

    async def _store(self, client: AIOKafkaConsumer) -> None:
        """Handle what was read in one transaction. Raises LeaseLostError; after other failures it is read again."""
        batches, assigned = self._unstored.take(), self._assigned
        if not batches or not assigned:
            return
        try:
            result = await self._handler.handle(batches, {each.partition: assigned[each.partition] for each in batches})
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
        if result.positions:
            await self._notify({p: position.accepted_through for p, position in result.positions.items()})
            self._group_offsets.add({p: position.next_offset for p, position in result.positions.items()})

    async def _load_start(self, tokens: Mapping[int, int]) -> dict[int, int]:
        """The stored offsets by partition; the topic's beginning where the topic no longer holds the stored one."""
        if not tokens:
            return {}
        beginnings, ends = await self._ends.fetch_range()
        async with self._engine.begin() as connection:
            stored = await self._offsets.lock_held(connection, self.topic, tokens)
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
        return {p: position.next_offset for p, position in {**stored, **lost}.items()}

    def _seek(self, client: AIOKafkaConsumer, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets by partition, as far as they are assigned."""
        for partition, offset in offsets.items():
            with contextlib.suppress(IllegalStateError):
                client.seek(TopicPartition(self.topic, partition), offset)

    async def _notify(self, watermarks: Mapping[int, datetime | None]) -> None:
        if self._after_commit is None:
            return
        due: Mapping[int, datetime | None] = {}
        try:
            due = await self._after_commit(watermarks)
        except Exception as error:  # the batch is committed; the periodic sweep catches up
            JOB_FAILURES.labels("after_commit").inc()
            log.error("after_commit_failed", topic=self.topic, error=repr(error), exc_info=not is_transient(error))
        self._unstored.set_due(watermarks, due)
