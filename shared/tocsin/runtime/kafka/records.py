"""Kafka records and the events in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from tocsin.events import Event, InvalidEventError, Watermark, decode
from tocsin.runtime.database.offsets import Position
from tocsin.runtime.kafka.record_headers import Headers

_WATERMARK: Final = ("ce_type", b"progress")


class Record(Protocol):
    """The attributes of a Kafka record that are used."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


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


@dataclass(frozen=True, slots=True)
class DecodedRecord:
    """A record that is not a watermark, with its event, or the error if it has none."""

    record: Record
    content: Received | InvalidEventError


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


def decode_partition(topic: str, partition: int, records: Sequence[Record]) -> PartitionBatch:
    """Decode a partition's records. Only the last watermark is parsed: after a day there are millions of them."""
    decoded: list[DecodedRecord] = []
    last_watermark: Record | None = None
    for record in records:
        if _WATERMARK in record.headers:
            last_watermark = record
        else:
            decoded.append(_decoded(topic, partition, record))
    watermark = None
    if last_watermark is not None:
        last = _decoded(topic, partition, last_watermark)
        if isinstance(last.content, Received) and isinstance(last.content.event, Watermark):
            watermark = last.content.event.accepted_through
        else:
            decoded = sorted([*decoded, last], key=lambda each: each.record.offset)
    return PartitionBatch(partition, records[0].offset, records[-1].offset + 1, decoded, watermark)


def decode_record(
    headers: Headers,
    value: bytes | None,
    *,
    topic: str,
    partition: int,
    offset: int,
    published_at: datetime | None = None,
) -> Received | InvalidEventError:
    """The event of a record, or the error if it has none."""
    try:
        return Received(decode(headers, value), topic, partition, offset, published_at)
    except InvalidEventError as error:
        return error


def _decoded(topic: str, partition: int, record: Record) -> DecodedRecord:
    content = decode_record(
        record.headers,
        record.value,
        topic=topic,
        partition=partition,
        offset=record.offset,
        published_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
    )
    return DecodedRecord(record, content)
