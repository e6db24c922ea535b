"""Consumers as real processes that are killed, suspended and stopped: others read on within a few lease lengths."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy.ext.asyncio import AsyncEngine
from support.consumer_process import consumer_process
from support.polling import eventually
from support.runtime_world import DEAD_LETTERS, OFFSETS, background_tasks, event, rows, runtime_database, seen
from support.servers import MakeDatabase, SharedKafka, log_line, running, service_role
from tocsin.events import encode
from tocsin.runtime.database.partition_leases import LEASE_SECONDS
from tocsin.runtime.kafka.client import PARTITIONS, TICKETS_TOPIC
from tocsin_local.loopback import free_port
from tocsin_local.postgres import Postgres

pytestmark = pytest.mark.long

A_FEW_LEASES = 3 * LEASE_SECONDS
"""On a quiet machine one lease and some tenths of a second pass; test machines are not quiet."""


class Feed:
    """Sends an event to each partition of the tickets topic, again and again."""

    def __init__(self, producer: AIOKafkaProducer, db: AsyncEngine) -> None:
        self._producer = producer
        self._db = db
        self._numbers = itertools.count(1)
        self.sent: list[tuple[UUID, int]] = []

    async def run(self) -> None:
        while True:
            await self.send()
            await asyncio.sleep(0.02)

    async def send(self) -> None:
        number = next(self._numbers)
        for partition in range(PARTITIONS):
            one = event(f"partition-{partition}", number)
            headers, value = encode(one, "intake")
            await self._producer.send(TICKETS_TOPIC, value, partition=partition, headers=headers)
            self.sent.append((one.ticket_id, number))
        await self._producer.flush()

    async def seconds_until_read(self) -> float:
        """How long it takes until what was sent to all partitions so far, and a last event, has been handled."""
        began = time.monotonic()
        await self.send()
        expected = set(self.sent)

        async def is_read() -> bool:
            return expected <= await seen(self._db)

        await eventually(is_read, "everything was read", every=0.02)
        return time.monotonic() - began


@pytest.fixture
def url(make_database: MakeDatabase) -> str:
    return make_database()


@pytest.fixture
async def db(url: str) -> AsyncIterator[AsyncEngine]:
    async with runtime_database(url) as made:
        yield made


@asynccontextmanager
async def feeding(kafka: SharedKafka, db: AsyncEngine) -> AsyncIterator[Feed]:
    kafka.fresh_topics()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    await producer.start()
    feed = Feed(producer, db)
    try:
        async with background_tasks(feed.run()):
            yield feed
    finally:
        await producer.stop()


async def holders(db: AsyncEngine) -> list[UUID]:
    """Who holds the partitions that are held."""
    return [row.holder for row in await rows(db, OFFSETS.table) if row.holder is not None]


async def all_are_held_by(db: AsyncEngine, processes: int) -> bool:
    held = await holders(db)
    return len(held) == PARTITIONS and len(set(held)) == processes


async def test_a_killed_consumer_is_replaced_by_the_other_one(url: str, db: AsyncEngine, kafka: SharedKafka) -> None:
    async with feeding(kafka, db) as feed:
        with consumer_process(url, kafka.bootstrap) as one, consumer_process(url, kafka.bootstrap):
            await eventually(lambda: all_are_held_by(db, 2))
            await feed.seconds_until_read()
            one.kill()
            assert await feed.seconds_until_read() < A_FEW_LEASES
            assert await all_are_held_by(db, 1)


async def test_a_killed_consumer_is_replaced_by_its_restart(url: str, db: AsyncEngine, kafka: SharedKafka) -> None:
    async with feeding(kafka, db) as feed:
        with consumer_process(url, kafka.bootstrap) as one:
            await feed.seconds_until_read()
            killed = set(await holders(db))
            one.kill()
            with consumer_process(url, kafka.bootstrap):
                await eventually(lambda: has_joined(db, killed))
                assert await feed.seconds_until_read() < A_FEW_LEASES
                assert await is_replaced(db, killed)


async def test_a_stopping_consumer_releases_its_partitions_at_once(
    url: str, db: AsyncEngine, kafka: SharedKafka
) -> None:
    async with feeding(kafka, db) as feed:
        with consumer_process(url, kafka.bootstrap) as one, consumer_process(url, kafka.bootstrap):
            await eventually(lambda: all_are_held_by(db, 2))
            one.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(one.wait, 30) == 0
            assert len(await rows(db, OFFSETS.replicas)) == 1
            assert await feed.seconds_until_read() < A_FEW_LEASES


async def test_a_suspended_consumer_wakes_up_and_does_nothing_with_what_it_held(
    url: str, db: AsyncEngine, kafka: SharedKafka
) -> None:
    async with feeding(kafka, db) as feed:
        with consumer_process(url, kafka.bootstrap) as one:
            await feed.seconds_until_read()
            one.send_signal(signal.SIGSTOP)
            suspended = set(await holders(db))
            with consumer_process(url, kafka.bootstrap) as two:
                await eventually(lambda: is_replaced(db, suspended), "the other one holds all partitions")
                await feed.seconds_until_read()
                before = {row.partition: row.next_offset for row in await rows(db, OFFSETS.table)}
                one.send_signal(signal.SIGCONT)
                await eventually(lambda: all_are_held_by(db, 2), "they share the partitions")
                await feed.seconds_until_read()
                after = {row.partition: row.next_offset for row in await rows(db, OFFSETS.table)}
                assert all(after[partition] > before[partition] for partition in before)
                assert one.poll() is None
                assert two.poll() is None
    assert await rows(db, DEAD_LETTERS.table) == []  # nothing was handled twice


async def test_consumers_go_on_after_their_database_was_killed(tmp_path: Path, kafka: SharedKafka) -> None:
    server = Postgres(tmp_path / "postgres", free_port(), log_line, durable=True)
    role = service_role("intake")
    try:
        with running(server, tmp_path) as first:
            server.create_role(role)
            url = server.create_database("reader", role)
            async with runtime_database(url) as db, feeding(kafka, db) as feed:
                with consumer_process(url, kafka.bootstrap) as one, consumer_process(url, kafka.bootstrap) as two:
                    await eventually(lambda: all_are_held_by(db, 2))
                    await feed.seconds_until_read()
                    first.kill()
                    with running(server, tmp_path):
                        await feed.seconds_until_read()
                        await eventually(lambda: all_are_held_by(db, 2))
                        assert one.poll() is None
                        assert two.poll() is None
                        assert await rows(db, DEAD_LETTERS.table) == []
    finally:
        server.remove()


async def has_joined(db: AsyncEngine, before: set[UUID]) -> bool:
    """Whether another replica has sent a heartbeat."""
    return not {row.holder for row in await rows(db, OFFSETS.replicas)} <= before


async def is_replaced(db: AsyncEngine, before: set[UUID]) -> bool:
    held = await holders(db)
    return len(held) == PARTITIONS and not set(held) & before
