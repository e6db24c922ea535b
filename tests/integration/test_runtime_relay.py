"""The relay with real PostgreSQL and Kafka: in order, nothing lost, and watermarks that are always true."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from support.metrics import counter_value
from support.polling import eventually
from support.runtime_world import (
    DEAD_LETTERS,
    OUTBOX,
    add_to_outbox,
    background_tasks,
    event,
    number_of,
    read_topic,
    rows,
    runtime_database,
    ticket,
)
from support.servers import MakeDatabase, SharedKafka, running, suspended
from tocsin.events import Event, TicketChanged, Watermark
from tocsin.runtime.database.engine import driver_connection, engine
from tocsin.runtime.database.watermark import WatermarkSource
from tocsin.runtime.errors import WatermarkBlindError
from tocsin.runtime.kafka.client import check_partitions, create_topics, partition_of
from tocsin.runtime.kafka.record_headers import pack
from tocsin.runtime.kafka.relay import Relay
from tocsin.runtime.process.clock import BusinessClock
from tocsin_local.kafka import Kafka
from tocsin_local.loopback import free_port
from tocsin_local.postgres import DatabaseRole, Postgres

REAL = BusinessClock(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), 1.0)
WATERMARKS = WatermarkSource(writers="intake-writer", clock=REAL, interval=0.1)


@pytest.fixture
def url(make_database: MakeDatabase) -> str:
    return make_database()


@pytest.fixture
async def writer(url: str) -> AsyncIterator[AsyncEngine]:
    async with runtime_database(url) as made:
        yield made


@pytest.fixture
async def relay_engine(url: str) -> AsyncIterator[AsyncEngine]:
    made = engine(url, "intake-relay", pool_size=4, statement_seconds=5)
    yield made
    await made.dispose()


async def empty(writer: AsyncEngine) -> bool:
    return not await rows(writer, OUTBOX.table)


async def leads_on(writer: AsyncEngine, longer: timedelta) -> None:
    """Wait until the holder of the lease has renewed it for this much longer."""
    (before,) = await rows(writer, OUTBOX.lease)

    async def renewed() -> bool:
        (now,) = await rows(writer, OUTBOX.lease)
        return bool(now.expires_at >= before.expires_at + longer)

    await eventually(renewed)


async def take_away(writer: AsyncEngine, duration: timedelta) -> datetime:
    """Give the lease to another holder; returns when it expires."""
    taken = text("UPDATE outbox_lease SET token = 99, expires_at = clock_timestamp() + :duration RETURNING expires_at")
    async with writer.begin() as connection:
        until: datetime = (await connection.execute(taken, {"duration": duration})).scalar_one()
    return until


async def limit_records(bootstrap: str, size: int) -> None:
    """Make the broker refuse batches of more bytes on the relay's topic; returns when it does, on partition 1."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await admin.start()
    await producer.start()

    async def is_limited() -> bool:
        try:
            await producer.send_and_wait(OUTBOX.topic, b"x" * size, partition=1)
        except MessageSizeTooLargeError:
            return True
        return False

    try:
        limit = {"max.message.bytes": str(size)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, OUTBOX.topic, configs=limit)])
        await eventually(is_limited)
    finally:
        await producer.stop()
        await admin.close()


async def values_of(bootstrap: str, partition: int) -> list[bytes | None]:
    """The values of a partition's records, in order."""
    where = TopicPartition(OUTBOX.topic, partition)
    client = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await client.start()
    try:
        client.assign([where])
        (end,) = (await client.end_offsets([where])).values()
        values: list[bytes | None] = []
        while len(values) < end:
            values += [record.value for record in (await client.getmany(timeout_ms=200)).get(where, ())]
    finally:
        await client.stop()
    return values


async def instant(writer: AsyncEngine) -> datetime:
    """The database's clock."""
    async with writer.connect() as connection:
        shown: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return shown


@contextmanager
def relay_process(url: str, bootstrap: str, log: Path) -> Iterator[psutil.Process]:
    """Runs a relay in its own process, and kills it at the end."""
    command = (sys.executable, "-m", "support.relay_process", url, bootstrap)
    tests = str(Path(__file__).parents[1])
    with log.open("wb") as output:
        started = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": tests})
    try:
        yield psutil.Process(started.pid)
    finally:
        started.kill()
        started.wait()


def watermarks_of(found: Sequence[Sequence[Event]]) -> list[list[datetime]]:
    """The watermarks of each partition, in order."""
    return [[one.accepted_through for one in part if isinstance(one, Watermark)] for part in found]


async def test_everything_is_published_once_in_order_per_ticket_and_deleted(
    writer: AsyncEngine, relay_engine: AsyncEngine, kafka: SharedKafka
) -> None:
    kafka.fresh_topics()
    names = [f"T-{n}" for n in range(20)]
    for number in range(1, 51):
        await add_to_outbox(writer, *(event(name, number) for name in names))
    relay = Relay(relay_engine, kafka.bootstrap, OUTBOX, DEAD_LETTERS)
    async with background_tasks(relay.run()):
        await eventually(lambda: empty(writer))
    found = await read_topic(kafka.bootstrap)
    for name in names:
        partition = partition_of(str(ticket(name)).encode())
        mine = [number_of(one) for one in found[partition] if one.ticket_id == ticket(name)]
        assert mine == list(range(1, 51))


async def test_wake_publishes_without_waiting_for_the_next_poll(
    writer: AsyncEngine, relay_engine: AsyncEngine, kafka: SharedKafka
) -> None:
    kafka.fresh_topics()
    relay = Relay(relay_engine, kafka.bootstrap, OUTBOX, DEAD_LETTERS, interval=600)
    async with background_tasks(relay.run()):
        for number in (1, 2):
            await add_to_outbox(writer, event("first", number))
            relay.wake()
            await eventually(lambda: empty(writer))
        assert await relay.flush(1)


async def test_the_outbox_gauges_are_unknown_when_it_cannot_be_read_for_a_while(
    writer: AsyncEngine, relay_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> tuple[float, float]:
        return counter_value("sla_outbox_pending"), counter_value("sla_outbox_oldest_age_seconds")

    relay = Relay(relay_engine, "127.0.0.1:1", OUTBOX, DEAD_LETTERS)
    await add_to_outbox(writer, event("one", 1))
    await relay.measure()
    assert shown()[0] == 1
    async with writer.begin() as connection:
        await connection.execute(text("ALTER TABLE outbox RENAME TO lost"))
    with pytest.raises(DBAPIError):
        await relay.measure()
    assert shown()[0] == 1
    monkeypatch.setattr("tocsin.runtime.metrics.UNKNOWN_SECONDS", 0.0)
    with pytest.raises(DBAPIError):
        await relay.measure()
    async with writer.begin() as connection:
        await connection.execute(text("ALTER TABLE lost RENAME TO outbox"))
    assert all(map(isnan, shown()))


async def test_unpublishable_rows_become_dead_letters_and_block_nothing(
    writer: AsyncEngine, relay_engine: AsyncEngine, kafka: SharedKafka
) -> None:
    kafka.fresh_topics()
    huge = b"x" * 2_000_000
    async with writer.begin() as connection:
        await OUTBOX.put_back(connection, 0, b"huge", pack([("ce_type", b"notify")]), huge)
        await OUTBOX.put_back(connection, 17, b"nowhere", pack([("ce_type", b"notify")]), b"{}")
        await OUTBOX.add(connection, [event("behind", 1)])
    async with background_tasks(Relay(relay_engine, kafka.bootstrap, OUTBOX, DEAD_LETTERS).run()):
        await eventually(lambda: empty(writer))
    assert [one.ticket_id for part in await read_topic(kafka.bootstrap) for one in part] == [ticket("behind")]
    reasons = {
        letter.key: letter.reason for letter in await rows(writer, DEAD_LETTERS.table) if letter.origin == "outbox"
    }
    assert set(reasons) == {b"huge", b"nowhere"}
    assert reasons[b"huge"].startswith("internal error: MessageSizeTooLargeError")
    assert "no partition 17" in reasons[b"nowhere"]


async def test_records_that_only_the_broker_refuses_become_dead_letters_too(
    writer: AsyncEngine, relay_engine: AsyncEngine, kafka: SharedKafka
) -> None:
    kafka.fresh_topics()
    await limit_records(kafka.bootstrap, 2000)
    headers, key = pack([("ce_type", b"notify")]), b"one"
    async with background_tasks(Relay(relay_engine, kafka.bootstrap, OUTBOX, DEAD_LETTERS, interval=0.05).run()):
        for values in ((b"1",), (b"2", b"x" * 3000, b"3", b"y" * 3000, b"4"), (b"5",)):
            async with writer.begin() as connection:
                for value in values:
                    await OUTBOX.put_back(connection, 0, key, headers, value)
                await OUTBOX.put_back(connection, 2, key, headers, b"of another partition")
            await eventually(lambda: empty(writer))
    assert await values_of(kafka.bootstrap, 0) == [b"1", b"2", b"3", b"4", b"5"]
    assert await values_of(kafka.bootstrap, 2) == 3 * [b"of another partition"]
    letters = await rows(writer, DEAD_LETTERS.table)
    assert [letter.value[:1] for letter in letters] == [b"x", b"y"]
    assert all("MessageSizeTooLargeError" in letter.reason for letter in letters)


async def test_a_relay_that_does_not_lead_tells_the_leader_of_commits(
    url: str, writer: AsyncEngine, relay_engine: AsyncEngine, kafka: SharedKafka
) -> None:
    kafka.fresh_topics()
    other_engine = engine(url, "intake-relay", pool_size=4)
    leader = Relay(relay_engine, kafka.bootstrap, OUTBOX, DEAD_LETTERS, interval=600)
    follower = Relay(other_engine, kafka.bootstrap, OUTBOX, DEAD_LETTERS, interval=600)
    await add_to_outbox(writer, event("a", 1))
    async with background_tasks(leader.run()):
        await eventually(lambda: empty(writer))
        async with background_tasks(follower.run()):
            for number in (2, 3):
                await add_to_outbox(writer, event("a", number))
                follower.wake()
                await eventually(lambda: empty(writer))
            assert [lease.token for lease in await rows(writer, OUTBOX.lease)] == [1]
    await other_engine.dispose()


async def test_one_relay_leads_and_stops_when_it_loses_the_lease(
    url: str, writer: AsyncEngine, relay_engine: AsyncEngine, kafka: SharedKafka
) -> None:
    kafka.fresh_topics()
    other_engine = engine(url, "intake-relay", pool_size=4)
    first = Relay(relay_engine, kafka.bootstrap, OUTBOX, DEAD_LETTERS, lease_seconds=0.9)
    second = Relay(other_engine, kafka.bootstrap, OUTBOX, DEAD_LETTERS, lease_seconds=0.9)
    async with background_tasks(first.run()) as (leading,):
        await add_to_outbox(writer, event("a", 1))
        await eventually(lambda: empty(writer))
        async with background_tasks(second.run()):
            await leads_on(writer, timedelta(seconds=1))  # the other relay has tried to acquire the lease several times
            assert [lease.token for lease in await rows(writer, OUTBOX.lease)] == [1]
            leading.cancel()
            await add_to_outbox(writer, event("a", 2))
            await eventually(lambda: empty(writer))
            taken_until = await take_away(writer, timedelta(seconds=2))
            await add_to_outbox(writer, event("a", 3))
            await eventually(lambda: empty(writer))
            assert await instant(writer) > taken_until
            assert [lease.token for lease in await rows(writer, OUTBOX.lease)] == [100]
    await other_engine.dispose()


async def test_a_relay_that_cannot_reach_kafka_counts_its_restarts(
    writer: AsyncEngine, relay_engine: AsyncEngine
) -> None:
    before = counter_value("sla_relay_restarts_total")
    async with background_tasks(Relay(relay_engine, "127.0.0.1:9", OUTBOX, DEAD_LETTERS).run()):
        await eventually(lambda: counter_value("sla_relay_restarts_total") >= before + 2, "it restarted twice")
    assert counter_value("sla_relay_leader") == 0


async def test_a_stopped_relay_releases_its_lease(writer: AsyncEngine, relay_engine: AsyncEngine) -> None:
    async with background_tasks(Relay(relay_engine, "127.0.0.1:9", OUTBOX, DEAD_LETTERS, lease_seconds=60).run()):
        await eventually(lambda: rows(writer, OUTBOX.lease))
    (lease,) = await rows(writer, OUTBOX.lease)
    assert lease.expires_at <= await instant(writer)


async def test_watermarks_advance_without_events_and_wait_for_open_transactions(
    writer: AsyncEngine, relay_engine: AsyncEngine, kafka: SharedKafka
) -> None:
    kafka.fresh_topics()
    relay = Relay(relay_engine, kafka.bootstrap, OUTBOX, DEAD_LETTERS, watermarks=WATERMARKS)

    async def lie_there(count: int) -> bool:
        return all(len(instants) >= count for instants in watermarks_of(await read_topic(kafka.bootstrap)))

    async def are_past(instant: datetime) -> bool:
        return all(instants[-1] > instant for instants in watermarks_of(await read_topic(kafka.bootstrap)))

    async with background_tasks(relay.run()):
        await eventually(lambda: lie_there(3))
        async with writer.begin() as connection:
            begun: datetime = (await connection.execute(text("SELECT now()"))).scalar_one()
            so_far = max(len(instants) for instants in watermarks_of(await read_topic(kafka.bootstrap)))
            await eventually(lambda: lie_there(so_far + 3))
            await OUTBOX.add(connection, [event("slow", 1)])
        await eventually(lambda: are_past(begun))
    found = await read_topic(kafka.bootstrap)
    assert all(instants == sorted(instants) for instants in watermarks_of(found))
    part = found[partition_of(str(ticket("slow")).encode())]
    before = part[: [isinstance(one, Watermark) for one in part].index(False)]
    assert all(isinstance(one, Watermark) and one.accepted_through < begun for one in before)
    assert max(one.accepted_through for one in before if isinstance(one, Watermark)) == begun - timedelta(
        microseconds=1
    )


async def test_no_fact_follows_a_watermark_that_covers_it(
    url: str, writer: AsyncEngine, relay_engine: AsyncEngine, kafka: SharedKafka
) -> None:
    kafka.fresh_topics()
    received: dict[str, datetime] = {}
    dice = random.Random(7)

    async def write(name: str) -> None:
        for number in range(1, 60):
            async with writer.begin() as connection:
                await asyncio.sleep(dice.random() * 0.02)  # a slow writer
                at: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
                await OUTBOX.add(connection, [event(name, number)], at)
                received[f"{name}-{number}"] = at
                await asyncio.sleep(dice.random() * 0.05)
                if dice.random() < 0.1:
                    await connection.rollback()

    quick = WatermarkSource(writers="intake-writer", clock=REAL, interval=0.005)
    relay = Relay(relay_engine, kafka.bootstrap, OUTBOX, DEAD_LETTERS, watermarks=quick, interval=0.005)
    async with background_tasks(relay.run()):
        await asyncio.gather(*(write(f"W-{n}") for n in range(8)))
        await eventually(lambda: empty(writer))
    facts = 0
    for partition in await read_topic(kafka.bootstrap):
        vouched = datetime(1970, 1, 1, tzinfo=UTC)
        for one in partition:
            if isinstance(one, Watermark):
                vouched = max(vouched, one.accepted_through)
            else:
                facts += 1
                assert isinstance(one, TicketChanged)
                assert received[one.fact.event_id] > vouched
    assert facts > 300


async def test_hidden_transactions_are_an_error(postgres: Postgres, url: str, writer: AsyncEngine) -> None:
    stranger = DatabaseRole("stranger", "for-tests-only")
    postgres.create_role(stranger)
    database = url.rpartition("/")[2]
    async with writer.begin() as connection:
        await connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger"))
        await connection.execute(text("GRANT USAGE ON SCHEMA public TO stranger"))
    blind = engine(postgres.url(stranger, database), "intake-relay").execution_options(isolation_level="AUTOCOMMIT")
    async with writer.begin(), blind.connect() as connection:
        with pytest.raises(WatermarkBlindError):
            await WATERMARKS.accepted_through(await driver_connection(connection), OUTBOX)
    await blind.dispose()


async def test_a_lease_lost_while_kafka_hangs_stops_the_relay_at_once(
    writer: AsyncEngine, relay_engine: AsyncEngine, tmp_path: Path
) -> None:
    broker = Kafka(tmp_path / "kafka", free_port(), free_port(), lambda _: None)
    relay = Relay(relay_engine, broker.bootstrap, OUTBOX, DEAD_LETTERS, interval=0.05, lease_seconds=0.9)
    with running(broker, tmp_path) as process:
        await create_topics(broker.bootstrap)
        async with background_tasks(relay.run()):
            await add_to_outbox(writer, event("a", 1))
            await eventually(lambda: empty(writer))
            hanging = psutil.Process(process.record["pid"])
            hanging.suspend()
            try:
                await add_to_outbox(writer, event("a", 2))
                await leads_on(writer, timedelta(seconds=0.5))  # ten polls: the second event is in flight
                await take_away(writer, timedelta(seconds=5))
                await eventually(lambda: REGISTRY.get_sample_value("sla_relay_leader") == 0, seconds=2)
            finally:
                hanging.resume()
            await eventually(lambda: empty(writer))
            assert [lease.token for lease in await rows(writer, OUTBOX.lease)] == [100]


async def test_a_lease_holder_that_wakes_up_after_it_lost_its_lease(
    url: str, writer: AsyncEngine, tmp_path: Path
) -> None:
    names = [f"T-{n}" for n in range(40)]

    async def write(*numbers: int) -> None:
        for number in numbers:
            await add_to_outbox(writer, *(event(name, number) for name in names))

    def is_published() -> Awaitable[bool]:
        return empty(writer)

    async def leads(token: int) -> bool:
        return [lease.token for lease in await rows(writer, OUTBOX.lease)] == [token]

    broker = Kafka(tmp_path / "kafka", free_port(), free_port(), lambda _: None)
    with running(broker, tmp_path) as kafka, relay_process(url, broker.bootstrap, tmp_path / "first.log") as first:
        await create_topics(broker.bootstrap)
        await write(1)
        await eventually(is_published)
        with suspended(kafka.pid):
            await write(*range(2, 42))
            await leads_on(writer, timedelta(seconds=0.5))  # ten polls: some records are in flight, others not yet sent
            first.suspend()
        with relay_process(url, broker.bootstrap, tmp_path / "second.log"):
            await eventually(lambda: leads(2))
            await eventually(is_published)
            await write(42)
            await eventually(is_published)
            first.resume()
            await eventually(lambda: "relay_lease_lost" in (tmp_path / "first.log").read_text())
            await write(43)
            await eventually(is_published)
            assert await leads(2)
        await write(44)
        await eventually(is_published)
        assert await leads(3)
        found = await read_topic(broker.bootstrap)
    for name in names:
        numbers = [number_of(one) for part in found for one in part if one.ticket_id == ticket(name)]
        assert list(dict.fromkeys(numbers)) == list(range(1, 45))  # consumers skip what they have handled
    assert sum(map(len, found)) > 44 * len(names)  # the first relay did send what the second one sent, too


async def test_kafka_goes_away_and_comes_back(writer: AsyncEngine, relay_engine: AsyncEngine, tmp_path: Path) -> None:
    broker = Kafka(tmp_path / "kafka", free_port(), free_port(), lambda _: None)
    relay = Relay(relay_engine, broker.bootstrap, OUTBOX, DEAD_LETTERS, watermarks=WATERMARKS)
    with running(broker, tmp_path):
        assert len(await create_topics(broker.bootstrap)) == 4
        assert await create_topics(broker.bootstrap) == []
        await check_partitions(broker.bootstrap, {OUTBOX.topic: 6})
        relaying = asyncio.create_task(relay.run())
        await add_to_outbox(writer, event("before", 1))
        await eventually(lambda: empty(writer))
    for number in range(1, 301):
        await add_to_outbox(writer, event("meanwhile", number))
    await leads_on(writer, timedelta(seconds=1))
    assert len(await rows(writer, OUTBOX.table)) == 300
    with running(broker, tmp_path):
        started = time.monotonic()
        await eventually(lambda: empty(writer))
        took = time.monotonic() - started
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
        found = await read_topic(broker.bootstrap)
    part = found[partition_of(str(ticket("meanwhile")).encode())]
    mine = [number_of(one) for one in part if one.ticket_id == ticket("meanwhile")]
    assert list(dict.fromkeys(mine)) == list(range(1, 301))
    assert took < 2
