"""Kafka: the topics, the partition of a key, and clients configured so that no record is lost."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from tocsin.runtime.errors import TopicError

TICKETS_TOPIC: Final = "tocsin.tickets.v1"
DEADLINES_TOPIC: Final = "tocsin.deadlines.v1"
ESCALATIONS_TOPIC: Final = "tocsin.escalations.v1"
NOTIFICATIONS_TOPIC: Final = "tocsin.notifications.v1"
TOPICS: Final = (TICKETS_TOPIC, DEADLINES_TOPIC, ESCALATIONS_TOPIC, NOTIFICATIONS_TOPIC)
PARTITIONS: Final = 6
"""The same for every topic, so that a ticket's events stay in order end to end. A change needs new topics."""

MAX_REQUEST_BYTES: Final = 1_000_000
"""The largest record with its headers, a little below the broker's default."""

_GATHERED_BYTES: Final = 1_000_000
"""So many are sent at once, however long they could be gathered."""
_CLOSE_SECONDS: Final = 1.0
_CANCEL_SECONDS: Final = 0.1
_DAY_MS: Final = 24 * 3600 * 1000


def partition_of(key: bytes, partitions: int = PARTITIONS) -> int:
    """The partition of a key, as Kafka's default partitioner computes it (murmur2)."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


async def create_topics(bootstrap: str) -> list[str]:
    """Create the topics that do not exist yet, and return their names. Raises TopicError.

    Records are stamped by the broker's clock: with business timestamps retention would delete history at once. The
    tickets topic carries the watermarks, ten a second, hence its small segments.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        replicas = min(3, len((await admin.describe_cluster())["brokers"]))
        response = await admin.create_topics([_new_topic(topic, replicas) for topic in TOPICS])
    finally:
        await admin.close()
    created = []
    for name, code, *rest in response.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:
            raise TopicError(f"Topic {name} could not be created: {error.__name__} {rest}")
    await check_partitions(bootstrap, dict.fromkeys(TOPICS, PARTITIONS))
    return created


def _new_topic(topic: str, replicas: int) -> NewTopic:
    days = 3 if topic == TICKETS_TOPIC else 14
    configuration = {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(days * _DAY_MS),
        "min.insync.replicas": str(max(1, replicas - 1)),
    }
    if topic == TICKETS_TOPIC:
        configuration["segment.bytes"] = str(128 * 1024 * 1024)
    return NewTopic(topic, PARTITIONS, replicas, topic_configs=configuration)


async def check_partitions(bootstrap: str, expected: Mapping[str, int]) -> None:
    """Raise TopicError unless every topic exists with the number of partitions that the code expects."""
    producer = new_producer(bootstrap)
    try:
        await producer.start()
        for topic, count in expected.items():
            try:
                async with asyncio.timeout(10):
                    found = await producer.partitions_for(topic)
            except (KafkaError, TimeoutError) as error:
                raise TopicError(f"Topic {topic} does not exist: run `python -m tocsin topics`.") from error
            if len(found) != count:
                raise TopicError(f"Topic {topic} has {len(found)} partitions where the code expects {count}.")
    finally:
        await discard(producer)


def new_producer(bootstrap: str) -> AIOKafkaProducer:
    """An idempotent producer that waits for all replicas and does not linger. Not started; end it with `discard`."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=256 * 1024,
        max_request_size=MAX_REQUEST_BYTES,
        request_timeout_ms=20_000,
        metadata_max_age_ms=30_000,
    )


def new_consumer(bootstrap: str, group: str | None, *, gather_seconds: float = 0) -> AIOKafkaConsumer:
    """A consumer that never commits and never chooses partitions or a start offset on its own. Not started.

    `group` is only the name under which offsets are committed: nothing subscribes, so there is no group to join.
    With `gather_seconds` Kafka holds back records for so long, to send more of them at once.
    """
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=20_000,
        metadata_max_age_ms=30_000,
        fetch_max_wait_ms=int(gather_seconds * 1000) or 500,
        fetch_min_bytes=_GATHERED_BYTES if gather_seconds else 1,
    )


async def discard(producer: AIOKafkaProducer) -> None:
    """Stop a producer at once. Its own `stop()` would wait until Kafka accepts what it holds, for hours if need be.

    Unacknowledged records stay in the outbox, so nothing is lost; but the producer must not send them later.
    """
    producer._closed = True  # otherwise its finaliser logs an error
    sending = producer._sender.sender_task
    if sending is not None:
        sending.cancel()
    with contextlib.suppress(KafkaError, OSError, TimeoutError):  # ends the requests that the sender still waits for
        async with asyncio.timeout(_CLOSE_SECONDS):
            await producer.client.close()
    if sending is not None:  # a cancelled sender sends nothing more
        done, _ = await asyncio.wait([sending], timeout=_CANCEL_SECONDS)
        for task in done:
            with contextlib.suppress(KafkaError, asyncio.CancelledError):
                task.result()
