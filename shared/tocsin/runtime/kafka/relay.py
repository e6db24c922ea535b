"""The relay: publishes a service's outbox to Kafka in order, and deletes the rows that Kafka acknowledged.

One process at a time does this: the one that holds the lease (docs/architecture.md#delivery).
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from math import nan
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.events import Watermark, encode
from tocsin.runtime.database.dead_letters import (
    DeadLetter,
    DeadLetterOrigin,
    DeadLetters,
    count_dead_letters,
    failure_reason,
)
from tocsin.runtime.database.engine import DriverConnection, driver_connection, is_transient
from tocsin.runtime.database.lease import Lease
from tocsin.runtime.database.outbox import Outbox, OutboxRow
from tocsin.runtime.database.watermark import WatermarkSource
from tocsin.runtime.errors import LeaseLostError
from tocsin.runtime.kafka.client import discard, new_producer
from tocsin.runtime.kafka.record_headers import ticket_of
from tocsin.runtime.kafka.row_sender import ACKNOWLEDGED_SECONDS, REFUSALS, SentRows, send_rows
from tocsin.runtime.metrics import OUTBOX_OLDEST_AGE, OUTBOX_PENDING, RELAY_LEADER, RELAY_RESTARTS, Measurement

log = structlog.get_logger(__name__)

_BATCH: Final = 1000
_START_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.2
_CHANNEL: Final = "outbox"
"""The channel of NOTIFY on which the leading relay hears of commits in other processes."""


class Relay:
    """Publishes `outbox`; with `watermarks` also the watermark of every partition.

    `engine` is the relay's alone (`SERVICE-relay`), with three connections: two for the work, one for the lease.
    `interval` is the number of seconds between two polls of the outbox: they find commits that no process announced.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        bootstrap: str,
        outbox: Outbox,
        dead_letters: DeadLetters,
        *,
        interval: float = 1.0,
        watermarks: WatermarkSource | None = None,
        lease_seconds: float = 3.0,
    ) -> None:
        self._engine = engine
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._bootstrap = bootstrap
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._interval = interval
        self._watermarks = watermarks
        self._lease = Lease(self._autocommit, outbox.lease, lease_seconds)
        self._lease_seconds = lease_seconds
        self._wake_up = asyncio.Event()
        self._is_leader = False
        self._measurement = Measurement(_forget_outbox)

    @property
    def topic(self) -> str:
        """The topic that it publishes to."""
        return self._outbox.topic

    @property
    def partitions(self) -> int:
        """The number of partitions that the stored rows were computed for."""
        return self._outbox.partitions

    def wake(self) -> None:
        """Publish now, in this process or in the one that leads. Call it after a commit."""
        self._wake_up.set()

    async def run(self) -> None:
        """Publish whenever this process holds the lease, until cancelled."""
        RELAY_LEADER.set(0)
        while True:
            token = await self._acquire_lease()
            if token is None:
                await self._follow()
                continue
            log.info("relay_leads", topic=self.topic, token=token)
            try:
                await self._lead(token)
            except LeaseLostError as lost:
                log.warning("relay_lease_lost", topic=self.topic, reason=str(lost))

    async def flush(self, seconds: float) -> bool:
        """Wait up to `seconds` until the outbox is empty. True if it is, or if another process publishes it."""
        deadline = time.monotonic() + seconds
        while self._is_leader:
            with contextlib.suppress(OSError, TimeoutError):
                async with self._autocommit.connect() as connection:
                    if await self._outbox.is_empty(connection):
                        return True
            if time.monotonic() > deadline:
                return False
            self.wake()
            await asyncio.sleep(0.02)
        return True

    async def measure(self) -> None:
        """Set the outbox gauges; a job for the scheduler."""
        with self._measurement.attempt():
            async with self._autocommit.connect() as connection:
                count, age = await self._outbox.pending(connection)
        OUTBOX_PENDING.set(count)
        OUTBOX_OLDEST_AGE.set(age)

    async def _acquire_lease(self) -> int | None:
        try:
            return await self._lease.acquire()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("relay_lease_unknown", topic=self.topic, error=repr(error))
            return None

    async def _follow(self) -> None:
        """Wait until the lease may be free, and tell its holder meanwhile of the commits in this process."""
        until = time.monotonic() + self._lease_seconds / 6
        while (left := until - time.monotonic()) > 0:
            if not await self._is_woken(left):
                return
            try:
                async with self._autocommit.connect() as connection:
                    await (await driver_connection(connection)).execute(f"NOTIFY {_CHANNEL}")
            except Exception as error:  # the holder polls, too
                if not is_transient(error):
                    raise

    async def _is_woken(self, seconds: float) -> bool:
        """Wait for `wake`, at most so long. True if it was called since the last time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake_up.wait()
        is_woken = self._wake_up.is_set()
        self._wake_up.clear()
        return is_woken

    async def _lead(self, token: int) -> None:
        """Publish until the lease is lost. (Python 3.11's TaskGroup can lose a cancellation while it unwinds.)"""
        self._is_leader = True
        RELAY_LEADER.set(1)
        parts = [asyncio.create_task(self._lease.keep(token)), asyncio.create_task(self._publish(token))]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_leader = False
            RELAY_LEADER.set(0)
            for part in parts:
                part.cancel()
            await asyncio.wait(parts)
            with contextlib.suppress(Exception):  # only a courtesy: the lease also expires
                await self._lease.release(token)
        for part in done:
            part.result()

    async def _publish(self, token: int) -> None:
        """Publish until cancelled. After any failure start again from the oldest row with a new producer."""
        singly = False
        while True:
            try:
                async with self._listening() as database, self._producing() as producer:
                    await self._publish_with(producer, database, token, singly=singly)
            except REFUSALS as error:
                # The refused batch left a gap in this producer's sequence numbers.
                singly = True
                log.warning("relay_batch_refused", topic=self.topic, error=repr(error))
            except Exception as error:
                if not isinstance(error, KafkaError) and not is_transient(error):
                    raise
                singly = False
                RELAY_RESTARTS.inc()
                log.warning("relay_restarts", topic=self.topic, error=repr(error))
                await asyncio.sleep(_RETRY_SECONDS)

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[DriverConnection]:
        """A connection on which other processes wake this relay."""

        def on_notify(*_: object) -> None:
            self.wake()

        async with self._autocommit.connect() as connection:
            database = await driver_connection(connection)
            await database.add_listener(_CHANNEL, on_notify)
            try:
                yield database
            finally:
                await database.remove_listener(_CHANNEL, on_notify)

    @contextlib.asynccontextmanager
    async def _producing(self) -> AsyncIterator[AIOKafkaProducer]:
        """A producer that sends nothing more after the block."""
        producer = new_producer(self._bootstrap)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await producer.start()
            yield producer
        finally:
            await discard(producer)

    async def _publish_with(
        self, producer: AIOKafkaProducer, database: DriverConnection, token: int, *, singly: bool
    ) -> None:
        watermark_at = time.monotonic()
        while True:
            self._wake_up.clear()
            rows = await self._outbox.oldest(database, _BATCH)
            if rows:
                sent = await self._send(producer, rows, singly=singly)
                await self._delete(database, token, sent)
                for error in (each.error for each in sent if each.error):
                    raise error
                singly = False
            pause = self._interval
            if self._watermarks is not None:
                if time.monotonic() >= watermark_at:
                    watermark_at = time.monotonic() + self._watermarks.interval
                    await self._send_watermarks(producer, database, self._watermarks)
                pause = min(pause, max(0.0, watermark_at - time.monotonic()))
            if len(rows) < _BATCH:
                await self._is_woken(pause)

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[OutboxRow], *, singly: bool) -> Sequence[SentRows]:
        """Send rows and wait for their acknowledgement, outside any transaction."""
        by_partition = defaultdict(list)
        for row in rows:
            by_partition[row.partition].append(row)
        unknown = [row for row in rows if row.partition >= self.partitions]
        nowhere = [(row, LookupError(f"{self.topic} has no partition {row.partition}")) for row in unknown]
        sent = await asyncio.gather(
            *(
                send_rows(producer, self.topic, partition, each, singly=singly)
                for partition, each in by_partition.items()
                if partition < self.partitions
            )
        )
        return [SentRows((), nowhere), *sent]

    async def _delete(self, database: DriverConnection, token: int, sent: Sequence[SentRows]) -> None:
        """Delete the rows that are done, and store refused ones as dead letters, if the lease is still held."""
        refused = [pair for each in sent for pair in each.refused]
        ids = [row.id for each in sent for row in each.acknowledged] + [row.id for row, _ in refused]
        if not refused:
            await self._outbox.delete(database, ids, token)
            return
        letters = [self._letter(row, error) for row, error in refused]
        async with self._engine.begin() as connection:
            await self._dead_letters.add(connection, letters)
            await self._outbox.delete(await driver_connection(connection), ids, token)
        count_dead_letters(letters)
        for letter in letters:
            log.error("dead_letter_stored", topic=self.topic, ticket_id=ticket_of(letter.key), reason=letter.reason)

    async def _send_watermarks(
        self, producer: AIOKafkaProducer, database: DriverConnection, source: WatermarkSource
    ) -> None:
        """Send one record to every partition, and wait for all: never two watermarks in flight."""
        sending = []
        async with asyncio.timeout(ACKNOWLEDGED_SECONDS):
            for partition, instant in (await source.accepted_through(database, self._outbox)).items():
                headers, value = encode(Watermark(accepted_through=instant), self._outbox.source)
                sending.append(await producer.send(self.topic, value, partition=partition, headers=headers))
            await asyncio.gather(*sending)

    def _letter(self, row: OutboxRow, error: BaseException) -> DeadLetter:
        return DeadLetter(
            origin=DeadLetterOrigin.OUTBOX,
            topic=self.topic,
            partition=row.partition,
            offset=None,
            key=row.key,
            headers=row.headers,
            value=row.value,
            reason=failure_reason(error),
        )


def _forget_outbox() -> None:
    OUTBOX_PENDING.set(nan)
    OUTBOX_OLDEST_AGE.set(nan)
