"""The relay: publishes a service's outbox to Kafka in order, and deletes the rows that Kafka acknowledged.

One process at a time does this: the one that holds the lease (docs/architecture.md#delivery).
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from math import nan

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidMessageError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.events import Watermark, encode
from tocsin.runtime.database.dead_letters import (
    DeadLetter,
    DeadLetterOrigin,
    DeadLetters,
    count_dead_letters,
    failure_reason,
)
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.lease import Lease
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.database.watermark import WatermarkSource
from tocsin.runtime.errors import LeaseLostError
from tocsin.runtime.kafka.client import discard, new_producer
from tocsin.runtime.kafka.record_headers import ticket_of, unpack
from tocsin.runtime.metrics import OUTBOX_OLDEST_AGE, OUTBOX_PENDING, RELAY_LEADER, RELAY_RESTARTS, Measurement

log = structlog.get_logger(__name__)

_BATCH = 1000
_ACKNOWLEDGED_SECONDS = 15.0
_START_SECONDS = 5.0
_RETRY_SECONDS = 0.2
_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidMessageError)
"""Errors of the record itself: Kafka will never accept it."""

OutboxRow = Row[int, int, bytes, bytes, bytes]


class Relay:
    """Publishes `outbox`; with `watermarks` also the watermark of every partition.

    `engine` is the relay's alone (`SERVICE-relay`), with three connections: two for the work, one for the lease.
    `interval` is the number of seconds between two polls of the outbox.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        bootstrap: str,
        outbox: Outbox,
        dead_letters: DeadLetters,
        *,
        interval: float = 0.05,
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
        """Poll the outbox now. Call it after a commit."""
        self._wake_up.set()

    async def run(self) -> None:
        """Publish whenever this process holds the lease, until cancelled."""
        RELAY_LEADER.set(0)
        while True:
            token = await self._acquire_lease()
            if token is None:
                await asyncio.sleep(self._lease_seconds / 6)
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
        while True:
            producer = new_producer(self._bootstrap)
            try:
                async with asyncio.timeout(_START_SECONDS):
                    await producer.start()
                await self._publish_with(producer, token)
            except Exception as error:
                if not isinstance(error, KafkaError) and not is_transient(error):
                    raise
                RELAY_RESTARTS.inc()
                log.warning("relay_restarts", topic=self.topic, error=repr(error))
            finally:
                await discard(producer)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _publish_with(self, producer: AIOKafkaProducer, token: int) -> None:
        watermark_at = time.monotonic()
        while True:
            self._wake_up.clear()
            async with self._autocommit.connect() as connection:
                rows = await self._outbox.oldest(connection, _BATCH)
            if rows:
                await self._delete(token, rows, await self._send(producer, rows))
            pause = self._interval
            if self._watermarks is not None:
                if time.monotonic() >= watermark_at:
                    watermark_at = time.monotonic() + self._watermarks.interval
                    await self._send_watermarks(producer, self._watermarks)
                pause = min(pause, max(0.0, watermark_at - time.monotonic()))
            if len(rows) < _BATCH:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake_up.wait()

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[OutboxRow]) -> list[DeadLetter]:
        """Send rows and wait for their acknowledgement, outside any transaction. Returns the refused ones."""
        refused: list[DeadLetter] = []
        sending: list[tuple[OutboxRow, asyncio.Future[object]]] = []
        async with asyncio.timeout(_ACKNOWLEDGED_SECONDS):
            for row in rows:
                if row.partition >= self.partitions:
                    refused.append(self._letter(row, LookupError(f"{self.topic} has no partition {row.partition}")))
                    continue
                try:
                    sending.append((row, await self._enqueue(producer, row)))
                except _REFUSALS as error:
                    refused.append(self._letter(row, error))
            results = await asyncio.gather(*(future for _, future in sending), return_exceptions=True)
            for (row, _), result in zip(sending, results, strict=True):
                if isinstance(result, _REFUSALS):  # of its whole batch: the row alone may be accepted
                    refused += await self._send_alone(producer, row)
                elif isinstance(result, BaseException):
                    raise result
        return refused

    async def _send_alone(self, producer: AIOKafkaProducer, row: OutboxRow) -> list[DeadLetter]:
        try:
            await (await self._enqueue(producer, row))
        except _REFUSALS as error:
            return [self._letter(row, error)]
        return []

    async def _enqueue(self, producer: AIOKafkaProducer, row: OutboxRow) -> asyncio.Future[object]:
        sent: asyncio.Future[object] = await producer.send(
            self.topic, row.value, key=row.key, partition=row.partition, headers=unpack(row.headers)
        )
        return sent

    async def _delete(self, token: int, rows: Sequence[OutboxRow], refused: Sequence[DeadLetter]) -> None:
        """Delete acknowledged rows and store refused ones as dead letters, if the lease is still held."""
        async with self._engine.begin() as connection:
            await self._lease.check(connection, token)
            await self._dead_letters.add(connection, refused)
            await self._outbox.delete(connection, [row.id for row in rows])
        count_dead_letters(refused)
        for letter in refused:
            log.error("dead_letter_stored", topic=self.topic, ticket_id=ticket_of(letter.key), reason=letter.reason)

    async def _send_watermarks(self, producer: AIOKafkaProducer, source: WatermarkSource) -> None:
        """Send one record to every partition, and wait for all: never two watermarks in flight."""
        sending = []
        async with asyncio.timeout(_ACKNOWLEDGED_SECONDS):
            for partition, instant in (await source.accepted_through(self._autocommit, self._outbox)).items():
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
