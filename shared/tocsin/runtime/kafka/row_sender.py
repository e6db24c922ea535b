"""Sends rows of the outbox to one partition, in their order, and finds the records that Kafka will never accept."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidMessageError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from tocsin.runtime.database.outbox import OutboxRow
from tocsin.runtime.kafka.client import MAX_REQUEST_BYTES
from tocsin.runtime.kafka.record_headers import unpack

REFUSALS: Final = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidMessageError)
"""Errors of a record itself: Kafka will never accept it."""
ACKNOWLEDGED_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class SentRows:
    """The rows that Kafka acknowledged, the ones that it will never accept, and the error that stopped the sending.

    After an error the producer must be replaced, and the rows that are neither acknowledged nor refused sent again. If
    the error is one of REFUSALS, send them singly: it does not say which record of the batch.
    """

    acknowledged: Sequence[OutboxRow]
    refused: Sequence[tuple[OutboxRow, Exception]]
    error: Exception | None = None


async def send_rows(
    producer: AIOKafkaProducer, topic: str, partition: int, rows: Sequence[OutboxRow], *, singly: bool
) -> SentRows:
    """Send a partition's rows, one batch after the other, until a batch fails or 15 s are over.

    A later batch is never sent before an earlier one was acknowledged, so the order of the rows is kept. `singly` puts
    each row into a batch of its own.
    """
    until = asyncio.get_running_loop().time() + ACKNOWLEDGED_SECONDS
    too_large = [_too_large(row) for row in rows if row.size > MAX_REQUEST_BYTES]
    waiting = [row for row in rows if row.size <= MAX_REQUEST_BYTES]
    done = 0
    while done < len(waiting):
        batch = _new_batch(producer, waiting[done : done + 1] if singly else waiting[done:])
        count = batch.record_count()
        try:
            async with asyncio.timeout_at(until):
                await (await producer.send_batch(batch, topic, partition=partition))
        except (KafkaError, OSError, TimeoutError) as error:
            if count == 1 and isinstance(error, REFUSALS):
                return SentRows(waiting[:done], [*too_large, (waiting[done], error)], error)
            return SentRows(waiting[:done], too_large, error)
        done += count
    return SentRows(waiting, too_large)


def _new_batch(producer: AIOKafkaProducer, rows: Sequence[OutboxRow]) -> BatchBuilder:
    """A batch with as many of the rows as fit, at least the first."""
    batch = producer.create_batch()
    timestamp = int(time.time() * 1000)
    for row in rows:
        if batch.append(timestamp=timestamp, key=row.key, value=row.value, headers=unpack(row.headers)) is None:
            break
    batch.close()
    return batch


def _too_large(row: OutboxRow) -> tuple[OutboxRow, Exception]:
    return row, MessageSizeTooLargeError(f"the record has {row.size} bytes, and {MAX_REQUEST_BYTES} are allowed")
