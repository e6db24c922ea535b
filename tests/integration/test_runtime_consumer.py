"""The consumer with real PostgreSQL and Kafka: effects happen once whatever fails, and the database decides."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from math import isnan
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError
from sqlalchemy import delete, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from support.metrics import counter_value
from support.polling import eventually
from support.runtime_world import (
    AT,
    DEAD_LETTERS,
    OFFSETS,
    SEEN,
    RecordingHandler,
    background_tasks,
    event,
    number_of,
    rows,
    runtime_database,
    seen,
    ticket,
)
from support.servers import MakeDatabase, SharedKafka
from tocsin.events import Event, Watermark, encode
from tocsin.runtime.database.engine import engine
from tocsin.runtime.database.partition_leases import PartitionLeases
from tocsin.runtime.errors import PoisonMessageError, StuckError
from tocsin.runtime.kafka.client import TICKETS_TOPIC, partition_of
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.kafka.topic_ends import TopicEnds
from tocsin.runtime.kafka.watchdog import Watchdog

NAMES = [f"T-{n}" for n in range(12)]


class Send:
    """Sends events, or raw bytes, to the tickets topic."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def __call__(self, *events: Event | tuple[str, bytes]) -> None:
        for one in events:
            if isinstance(one, tuple):
                name, value = str(ticket(one[0])), one[1]
                headers = [("ce_type", b"ticket.paused")]
            else:
                headers, value = encode(one, "intake")
                name = str(one.ticket_id)
            key = name.encode()
            await self._producer.send(TICKETS_TOPIC, value, key=key, partition=partition_of(key), headers=headers)
        await self._producer.flush()

    async def progress(self, at: datetime) -> None:
        """Send a watermark to every partition."""
        headers, value = encode(Watermark(accepted_through=at), "intake")
        for partition in range(6):
            await self._producer.send(TICKETS_TOPIC, value, partition=partition, headers=headers)
        await self._producer.flush()


@pytest.fixture
def url(make_database: MakeDatabase) -> str:
    return make_database()


@pytest.fixture
async def db(url: str) -> AsyncIterator[AsyncEngine]:
    async with runtime_database(url) as made:
        yield made


@pytest.fixture
async def send(kafka: SharedKafka) -> AsyncIterator[Send]:
    """A sender to an empty topic."""
    kafka.fresh_topics()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    await producer.start()
    yield Send(producer)
    await producer.stop()


def consumer(kafka: SharedKafka, db: AsyncEngine, seer: RecordingHandler, **more: Any) -> Consumer:
    return Consumer(
        bootstrap=kafka.bootstrap,
        topic=TICKETS_TOPIC,
        group=f"group-{id(db)}",
        engine=db,
        lease_engine=more.pop("lease_engine", db),
        offsets=OFFSETS,
        dead_letters=DEAD_LETTERS,
        on_batch=seer.on_batch,
        **more,
    )


def everything(numbers: range) -> list[Event]:
    return [event(name, number) for number in numbers for name in NAMES]


def expected(numbers: range) -> set[object]:
    return {(ticket(name), number) for number in numbers for name in NAMES}


async def test_events_are_handled_and_watermarks_are_stored(db: AsyncEngine, kafka: SharedKafka, send: Send) -> None:
    watermarks: list[Mapping[int, datetime | None]] = []

    async def after_commit(through: Mapping[int, datetime | None]) -> Mapping[int, datetime | None]:
        watermarks.append(through)
        return {}

    seer = RecordingHandler()
    reading = consumer(kafka, db, seer, after_commit=after_commit)
    async with background_tasks(reading.run()) as (task,):
        await send(*everything(range(1, 4)))
        await send.progress(AT)
        await eventually(lambda: all_read(db, reading))
        await send.progress(AT - timedelta(hours=1))
        await eventually(lambda: all_read(db, reading))
        assert await reading.ready() is None
        reading.stop()
        await asyncio.wait_for(task, 10)
    assert await seen(db) == expected(range(1, 4))
    assert {row.accepted_through for row in await rows(db, OFFSETS.table)} == {AT}
    assert all(at in (None, AT) for through in watermarks for at in through.values())
    assert {p for through in watermarks for p in through} == set(range(6))
    for call in seer.calls:
        assert [(one.partition, one.offset) for one in call] == sorted((one.partition, one.offset) for one in call)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    committed = await admin.list_consumer_group_offsets(f"group-{id(db)}")
    await admin.close()
    assert {tp.partition: at.offset for tp, at in committed.items()} == {
        row.partition: row.next_offset for row in await rows(db, OFFSETS.table)
    }


async def test_watermarks_are_stored_when_something_is_due_by_them(
    db: AsyncEngine, kafka: SharedKafka, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then they wait in memory for a second, which is very long in this test."""
    monkeypatch.setattr("tocsin.runtime.kafka.unstored_batches.STORE_SECONDS", 1e6)
    stored: list[Mapping[int, datetime | None]] = []
    due = AT + timedelta(minutes=10)

    async def after_commit(through: Mapping[int, datetime | None]) -> Mapping[int, datetime | None]:
        stored.append(through)
        return {partition: due if partition < 5 else None for partition in through}

    async def watermarks() -> list[datetime | None]:
        return [row.accepted_through for row in sorted(await rows(db, OFFSETS.table), key=lambda row: row.partition)]

    seer = RecordingHandler()
    reading = consumer(kafka, db, seer, after_commit=after_commit)
    async with background_tasks(reading.run()) as (task,):
        await send.progress(AT)
        await eventually(lambda: all_read(db, reading))
        assert await watermarks() == [AT] * 6
        for seconds in range(1, 20):
            await send.progress(AT + timedelta(seconds=seconds))
        before = len(stored)
        await send(event("T-0", 1))  # an event stores what precedes it, in all partitions
        await eventually(lambda: is_seen(db, "T-0", 1))
        assert len(stored) == before + 1
        assert set(await watermarks()) <= {AT, AT + timedelta(seconds=19)}
        await send.progress(due)
        await eventually(lambda: all_read(db, reading))
        assert await watermarks() == [due] * 6
        await send.progress(due - timedelta(seconds=1))
        reading.stop()
        await asyncio.wait_for(task, 10)
    assert await watermarks() == [due] * 6


async def test_a_batch_of_a_lost_lease_is_rolled_back(db: AsyncEngine, kafka: SharedKafka, send: Send) -> None:
    """As after a pause of the whole process, of which it knows nothing."""
    other = PartitionLeases(db, OFFSETS, TICKETS_TOPIC, 6)
    lost = counter_value("sla_lease_losses_total", topic=TICKETS_TOPIC)
    seer = RecordingHandler()
    async with background_tasks(consumer(kafka, db, seer, lease_seconds=30.0).run()):
        await send(*everything(range(1, 2)))
        await eventually(lambda: all_seen(db, range(1, 2)))
        async with db.begin() as connection:
            await connection.execute(update(OFFSETS.replicas).values(expires_at=AT - timedelta(days=1)))
        await other.renew()
        await send(*everything(range(2, 3)))
        await eventually(lambda: counter_value("sla_lease_losses_total", topic=TICKETS_TOPIC) == lost + 6)
        assert await seen(db) == expected(range(1, 2))
        await other.leave()
    async with background_tasks(consumer(kafka, db, seer).run()):
        await eventually(lambda: all_seen(db, range(1, 3)))


async def test_a_consumer_is_ready_when_it_reads_its_share(
    url: str, db: AsyncEngine, kafka: SharedKafka, send: Send
) -> None:
    unreachable = engine(url.replace("127.0.0.1", "127.0.0.2"), "intake-lease")
    lonely = consumer(kafka, db, RecordingHandler(), lease_engine=unreachable)
    others = [PartitionLeases(db, OFFSETS, TICKETS_TOPIC, 6, seconds=600.0) for _ in range(6)]
    reading = consumer(kafka, db, RecordingHandler())
    assert await reading.ready() == "its leases are not renewed"
    async with background_tasks(lonely.run(), reading.run()):
        await eventually(lambda: is_ready(reading))
        assert await lonely.ready() == "its leases are not renewed"

    async def all_share() -> bool:
        for each in others:
            await each.renew()
            await each.give_back()
        return [len(each.held) for each in others] == [1] * 6

    await eventually(all_share)
    without_partitions = consumer(kafka, db, RecordingHandler())
    async with background_tasks(without_partitions.run()):
        await eventually(lambda: is_ready(without_partitions))
        assert counter_value("sla_partitions_held", topic=TICKETS_TOPIC) == 0
    await unreachable.dispose()


async def test_a_restored_database_continues_at_its_own_offsets(
    db: AsyncEngine, kafka: SharedKafka, send: Send
) -> None:
    async with background_tasks(consumer(kafka, db, RecordingHandler()).run()):
        await send(*everything(range(1, 4)))
        await eventually(lambda: all_seen(db, range(1, 4)))
        copy = [row._asdict() for row in await rows(db, OFFSETS.table)]
        await send(*everything(range(4, 6)))
        await eventually(lambda: all_seen(db, range(1, 6)))
        async with db.begin() as connection:  # restore the copy while the process runs
            await connection.execute(delete(OFFSETS.table))
            await connection.execute(OFFSETS.table.insert(), copy)
            await connection.execute(delete(SEEN).where(SEEN.c.number > 3))
        await send(*everything(range(6, 7)))
        await eventually(lambda: all_seen(db, range(1, 7)))
        async with db.begin() as connection:  # and one from before the first event
            await connection.execute(delete(OFFSETS.table))
            await connection.execute(delete(SEEN))
        await send(*everything(range(7, 8)))
        await eventually(lambda: all_seen(db, range(1, 8)))


async def test_bad_records_become_dead_letters_and_others_are_handled(
    db: AsyncEngine, kafka: SharedKafka, send: Send
) -> None:
    bad = ticket(NAMES[3])

    def fails(received: Received) -> Exception | None:
        poisoned = received.event.ticket_id == bad and number_of(received.event) == 2
        return PoisonMessageError("cannot be") if poisoned else None

    await send(*everything(range(1, 3)), (NAMES[5], b"\xff no json"), *everything(range(3, 5)))
    async with background_tasks(consumer(kafka, db, RecordingHandler(fails)).run()):
        await eventually(lambda: all_seen(db, range(4, 5)))
    letters = await rows(db, DEAD_LETTERS.table)
    assert await seen(db) == expected(range(1, 5)) - {(bad, 2)}
    assert {letter.key: letter.reason for letter in letters}[str(bad).encode()] == "cannot be"
    assert {letter.value for letter in letters} >= {b"\xff no json"}
    assert len(letters) == 2


async def test_if_order_matters_a_ticket_waits_behind_its_dead_letter(
    db: AsyncEngine, kafka: SharedKafka, send: Send
) -> None:
    bad, broken = ticket(NAMES[0]), True

    def fails(received: Received) -> Exception | None:
        poisoned = broken and received.event.ticket_id == bad and number_of(received.event) == 2
        return ValueError("not yet") if poisoned else None

    seer = RecordingHandler(fails)
    reading = consumer(kafka, db, seer, ordered=True)
    async with background_tasks(reading.run()):
        await send(*everything(range(1, 4)))
        await eventually(lambda: is_seen(db, NAMES[1], 3))
        await send(*everything(range(4, 5)))
        await eventually(lambda: is_seen(db, NAMES[1], 4))
        await eventually(lambda: count_is(db, 3))
        assert await seen(db) == expected(range(1, 5)) - {(bad, 2), (bad, 3), (bad, 4)}
        first = (await rows(db, DEAD_LETTERS.table))[0]
        assert await reading.replay(first.id) == (0, "internal error: ValueError('not yet')")
        broken = False
        seer.calls.clear()
        assert await reading.replay(first.id) == (3, None)
        assert [number_of(one.event) for call in seer.calls for one in call] == [2, 3, 4]
        assert await reading.replay(first.id) == (0, None)
        await send(*everything(range(5, 6)))
        await eventually(lambda: all_seen(db, range(1, 6)))
    assert all(letter.replayed_at for letter in await rows(db, DEAD_LETTERS.table))


async def test_twenty_bad_records_in_a_row_pause_the_consumer(db: AsyncEngine, kafka: SharedKafka, send: Send) -> None:
    await send(*everything(range(1, 31)))
    reading = consumer(kafka, db, RecordingHandler(lambda _: RuntimeError("a bug")))
    async with background_tasks(reading.run()) as (task,):
        await eventually(lambda: count_is(db, 20))
        await send(*everything(range(31, 32)))
        await eventually(lambda: all_waits(db, reading))
        assert len(await rows(db, DEAD_LETTERS.table)) == 20
        assert "20 bad records in a row" in (await reading.ready() or "")
        assert counter_value("sla_consumer_paused", topic=TICKETS_TOPIC) == 1
        assert not task.done()
    async with background_tasks(consumer(kafka, db, RecordingHandler()).run()):
        await eventually(lambda: seen_count_is(db, 31 * 12 - 20))


async def test_a_failing_database_loses_and_repeats_nothing(db: AsyncEngine, kafka: SharedKafka, send: Send) -> None:
    failures = iter([OSError("network"), TimeoutError(), OSError("network")])
    retried = counter_value("sla_consumer_retries_total", topic=TICKETS_TOPIC)
    await send(*everything(range(1, 11)))
    async with background_tasks(consumer(kafka, db, RecordingHandler(lambda _: next(failures, None))).run()):
        await eventually(lambda: all_seen(db, range(1, 11)))
        assert counter_value("sla_consumer_retries_total", topic=TICKETS_TOPIC) == retried + 3
        async with db.begin() as connection:  # terminate every connection
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        await send(*everything(range(11, 13)))
        await eventually(lambda: all_seen(db, range(1, 13)))
    assert await rows(db, DEAD_LETTERS.table) == []


async def test_an_offset_that_the_topic_no_longer_has_alarms_and_continues_at_the_beginning(
    db: AsyncEngine, kafka: SharedKafka, send: Send
) -> None:
    async with db.begin() as connection:
        lost = [
            {"topic": TICKETS_TOPIC, "partition": p, "next_offset": 1_000_000, "accepted_through": AT} for p in range(6)
        ]
        await connection.execute(OFFSETS.table.insert(), lost)
    before = counter_value("sla_offsets_out_of_range_total", topic=TICKETS_TOPIC)
    await send(*everything(range(1, 3)))
    async with background_tasks(consumer(kafka, db, RecordingHandler()).run()):
        await eventually(lambda: all_seen(db, range(1, 3)))
    assert counter_value("sla_offsets_out_of_range_total", topic=TICKETS_TOPIC) == before + 6
    assert {row.accepted_through for row in await rows(db, OFFSETS.table)} == {AT}


async def test_replicas_come_and_go_under_load(url: str, db: AsyncEngine, kafka: SharedKafka, send: Send) -> None:
    other = engine(url, "intake-writer")
    first, second = RecordingHandler(), RecordingHandler()
    one = consumer(kafka, db, first, max_records=20)
    two = Consumer(
        bootstrap=kafka.bootstrap, topic=TICKETS_TOPIC, group=f"group-{id(db)}", engine=other, lease_engine=other,
        offsets=OFFSETS, dead_letters=DEAD_LETTERS, on_batch=second.on_batch, max_records=20,
    )  # fmt: skip
    async with background_tasks(one.run()) as (leaving,):
        await send(*everything(range(1, 20)))
        async with background_tasks(two.run()):
            numbers = itertools.count(20)

            async def goes_on() -> bool:
                number = next(numbers)
                await send(*everything(range(number, number + 1)))
                return number >= 80 and bool(second.calls)

            await eventually(goes_on)
            one.stop()
            await asyncio.wait_for(leaving, 10)
            last = next(numbers) + 10
            await send(*everything(range(last - 10, last)))
            await eventually(lambda: all_seen(db, range(1, last)))
    handled = [(r.partition, r.offset) for seer in (first, second) for call in seer.calls for r in call]
    assert len(set(handled)) == (last - 1) * 12
    assert len(handled) - len(set(handled)) <= 20 * 12  # only batches rolled back when leases moved are handled twice
    await other.dispose()


async def test_a_day_of_watermarks_is_caught_up_quickly(db: AsyncEngine, kafka: SharedKafka, send: Send) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20, max_batch_size=500_000)
    await producer.start()
    for n in range(10_000):
        headers, value = encode(Watermark(accepted_through=AT + timedelta(milliseconds=n)), "intake")
        for partition in range(6):
            await producer.send(TICKETS_TOPIC, value, partition=partition, headers=headers)
    await producer.stop()
    reading = consumer(kafka, db, RecordingHandler())
    async with background_tasks(reading.run()):
        started = time.monotonic()

        async def caught_up() -> bool:
            found = await rows(db, OFFSETS.table)
            return len(found) == 6 and all(row.next_offset == 10_000 for row in found)

        await eventually(caught_up)
        assert time.monotonic() - started < 8
    assert {row.accepted_through for row in await rows(db, OFFSETS.table)} == {AT + timedelta(milliseconds=9_999)}


async def test_the_watchdog_detects_a_stuck_consumer(db: AsyncEngine, kafka: SharedKafka, send: Send) -> None:
    ends = CountedEnds(kafka.bootstrap, TICKETS_TOPIC, 6)
    watchdog = Watchdog(db, OFFSETS, TICKETS_TOPIC, ends, stuck_seconds=1)
    async with background_tasks(watchdog.run(lambda: frozenset(range(6)))) as (watching,):
        await eventually(lambda: ends.fetched == 3)  # every two seconds
        assert not watching.done()  # no lag
        await send(event("waits", 1))
        with pytest.raises(StuckError, match="has not moved from 0"):
            await asyncio.wait_for(watching, 20)
    assert lag() == 1
    await ends.close()


async def test_the_lag_is_unknown_when_kafka_does_not_respond_for_a_while(
    db: AsyncEngine, kafka: SharedKafka, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tocsin.runtime.metrics.UNKNOWN_SECONDS", 0.0)
    ends = CountedEnds(kafka.bootstrap, TICKETS_TOPIC, 6)
    watchdog = Watchdog(db, OFFSETS, TICKETS_TOPIC, ends)
    async with background_tasks(watchdog.run(lambda: frozenset(range(6)))):
        await send(event("waits", 1))
        await eventually(lambda: ends.fetched > 1 and lag() == 1)
        await eventually(lambda: watchdog.lag_seconds)
        ends.responds = False
        await eventually(lambda: isnan(lag()) and watchdog.lag_seconds is None)
        ends.responds = True
        await eventually(lambda: lag() == 1 and watchdog.lag_seconds)
        async with db.begin() as connection:
            await OFFSETS.store_missing(connection, TICKETS_TOPIC, dict.fromkeys(range(6), 1))
        await eventually(lambda: watchdog.lag_seconds == 0)
    await ends.close()


class CountedEnds(TopicEnds):
    """Counts how often it was fetched; fails while Kafka is said not to respond."""

    fetched = 0
    responds = True

    async def fetch(self) -> dict[int, int]:
        if not self.responds:
            raise KafkaConnectionError
        ends = await super().fetch()
        self.fetched += 1
        return ends


def lag() -> float:
    """The lag of all partitions, as the watchdog exported it."""
    partitions = [{"topic": TICKETS_TOPIC, "partition": str(number)} for number in range(6)]
    return sum(counter_value("sla_consumer_lag", **labels) for labels in partitions)


async def all_read(db: AsyncEngine, reading: Consumer) -> bool:
    ends = await reading.probe()
    return {row.partition: row.next_offset for row in await rows(db, OFFSETS.table)} == ends


async def all_waits(db: AsyncEngine, reading: Consumer) -> bool:
    """True if the exported lag is what the database lacks."""
    read: int = sum(row.next_offset for row in await rows(db, OFFSETS.table))
    return lag() == sum((await reading.probe()).values()) - read


async def all_seen(db: AsyncEngine, numbers: range) -> bool:
    return expected(numbers) <= await seen(db)


async def is_ready(reading: Consumer) -> bool:
    return await reading.ready() is None


async def is_seen(db: AsyncEngine, name: str, number: int) -> bool:
    return (ticket(name), number) in await seen(db)


async def count_is(db: AsyncEngine, count: int) -> bool:
    return len(await rows(db, DEAD_LETTERS.table)) == count


async def seen_count_is(db: AsyncEngine, count: int) -> bool:
    return len(await seen(db)) == count
