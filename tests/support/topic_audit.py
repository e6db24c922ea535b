"""What must hold for everything that a stack has published, whatever was stopped or killed meanwhile."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from tocsin.events import Event, TicketChanged, TicketImported, TicketOpened, Watermark, decode, event_id
from tocsin.events.deadlines import (
    ClockBreached,
    ClockEvent,
    ClockVoided,
    ClockWarned,
    DeadlineEvent,
    LadderExhausted,
    LadderStepDue,
    LadderStepVoided,
)
from tocsin.events.notifications import DeliveryEvent
from tocsin.runtime.kafka.client import (
    DEADLINES_TOPIC,
    ESCALATIONS_TOPIC,
    NOTIFICATIONS_TOPIC,
    PARTITIONS,
    TICKETS_TOPIC,
)

TOPICS: Final = (TICKETS_TOPIC, DEADLINES_TOPIC, ESCALATIONS_TOPIC, NOTIFICATIONS_TOPIC)


@dataclass(frozen=True, slots=True)
class PublishedRecord:
    """A record; `appended_ms` is the broker's time of its appending."""

    partition: int
    appended_ms: int
    event: Event
    value: bytes


Topics = dict[str, list[PublishedRecord]]
"""All records by topic, each partition in order."""


async def read_topics(bootstrap: str) -> Topics:
    """All records of our topics, up to their present ends."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        return {topic: await _read(consumer, topic) for topic in TOPICS}
    finally:
        await consumer.stop()


def assert_published_right(topics: Topics, ticket_ids: Collection[str], *, may_void: bool = False) -> int:
    """Checks the records about these tickets, and returns how many repeat an earlier one.

    An event is published once, or again with the same bytes. The events of a ticket are in order. No warning, breach or
    step precedes the watermark that allows it. None turned out to be false, unless it `may_void`.
    """
    wanted = {UUID(id_) for id_ in ticket_ids}
    repetitions = 0
    firsts: Topics = {}
    for topic, records in topics.items():
        about = [record for record in records if record.event.ticket_id in wanted]
        firsts[topic] = _without_repetitions(about)
        repetitions += len(about) - len(firsts[topic])
    _assert_natural_keys_are_unique(firsts)
    _assert_order(firsts)
    _assert_nothing_is_premature(firsts[DEADLINES_TOPIC], topics[TICKETS_TOPIC])
    if not may_void:
        voided = [each for each in firsts[DEADLINES_TOPIC] if isinstance(each.event, ClockVoided | LadderStepVoided)]
        assert voided == [], "a published event was false"
    return repetitions


def _without_repetitions(records: Sequence[PublishedRecord]) -> list[PublishedRecord]:
    first: dict[UUID, PublishedRecord] = {}
    for record in records:
        earlier = first.setdefault(event_id(record.event), record)
        assert earlier.value == record.value, f"two different events have the same id: {earlier} and {record}"
    return list(first.values())


def _assert_natural_keys_are_unique(topics: Topics) -> None:
    seen: dict[Hashable, PublishedRecord] = {}
    for records in topics.values():
        for record in records:
            key = _natural_key(record.event)
            assert key not in seen, f"published twice: {seen[key]} and {record}"
            seen[key] = record


def _natural_key(event: Event) -> Hashable:
    match event:
        case TicketOpened() | TicketChanged():
            return event.ticket_id, "fact", event.fact.number
        case ClockEvent():
            return event.ticket_id, type(event), event.cycle, event.run, event.clock
        case LadderStepDue() | LadderStepVoided():
            return event.ticket_id, type(event), event.cycle, event.run, event.step
        case DeliveryEvent(state="sent"):
            return event.delivery_id, "sent"
        case _:
            return event_id(event)


def _assert_order(topics: Topics) -> None:
    """Facts by their number, what falls due by its instant."""
    positions: dict[Hashable, Any] = {}
    for records in topics.values():
        for record in records:
            event, position = record.event, _position(record.event)
            if position is not None:
                series = (event.ticket_id, type(position))
                assert positions.get(series, position) <= position, f"out of order: {record}"
                positions[series] = position


def _position(event: Event) -> int | datetime | None:
    match event:
        case TicketOpened() | TicketChanged():
            return event.fact.number
        case TicketImported():
            return len(event.facts)
        case DeadlineEvent() if _falls_due(event):
            return event.at
        case _:
            return None


def _falls_due(event: Event) -> bool:
    """Whether it happens because time passes."""
    if isinstance(event, LadderStepDue):
        return event.reason != "explicit"
    return isinstance(event, ClockWarned | ClockBreached | LadderExhausted)


def _assert_nothing_is_premature(deadlines: Sequence[PublishedRecord], tickets: Sequence[PublishedRecord]) -> None:
    watermarks: dict[int, list[tuple[datetime, int]]] = defaultdict(list)
    for record in tickets:
        if isinstance(record.event, Watermark):
            watermarks[record.partition].append((record.event.accepted_through, record.appended_ms))
    for record in deadlines:
        if not isinstance(record.event, DeadlineEvent) or not _falls_due(record.event) or record.event.unconfirmed:
            continue
        at = record.event.at
        allowed_ms = next(ms for accepted_through, ms in watermarks[record.partition] if accepted_through >= at)
        assert allowed_ms <= record.appended_ms, f"premature: {record}"


async def _read(consumer: AIOKafkaConsumer, topic: str) -> list[PublishedRecord]:
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    found: list[PublishedRecord] = []
    while any([await consumer.position(partition) < end for partition, end in ends.items()]):
        for partition, records in (await consumer.getmany(timeout_ms=200)).items():
            found += [
                PublishedRecord(
                    partition.partition, each.timestamp, decode(each.headers, each.value), each.value or b""
                )
                for each in records
            ]
    return found
