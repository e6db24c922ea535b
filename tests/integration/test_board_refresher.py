"""The board asks sla-timer and the escalator again for whatever is outdated, and spares them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import board.workers.refresher
import httpx
import pytest
from board.commands.rebuild import rebuild_read_model
from board.sources.upstream import MOST_TICKETS
from board.store.stale import claim, load_staleness
from board.store.tables import TICKETS
from sqlalchemy import func, select
from support.board_world import BoardWorld, board_world, ticket_body
from support.metrics import counter_value
from support.polling import eventually
from support.servers import MakeDatabase, SharedKafka
from tocsin.events import encode
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, TICKETS_TOPIC, TOPICS, new_producer

MONDAY = datetime(2026, 6, 8, 12, tzinfo=UTC)


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[BoardWorld]:
    async with board_world(make_database, tmp_path, MONDAY) as made:
        yield made


class Gate(httpx.AsyncBaseTransport):
    """The connection to a service: it may fail, and `asked` is set when a request waits for `opened`."""

    def __init__(self, service: httpx.AsyncBaseTransport) -> None:
        self.service = service
        self.asked, self.opened = asyncio.Event(), asyncio.Event()
        self.opened.set()
        self.is_down = False
        self.requests: list[tuple[str, int]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.requests.append((request.url.path, len(body.get("ticket_ids", body.get("items", [])))))
        response = await self.service.handle_async_request(request)
        self.asked.set()
        await self.opened.wait()
        if self.is_down:
            raise httpx.ConnectError("refused")
        return response


async def gate(world: BoardWorld, name: str) -> Gate:
    """Put a gate before the service, for the board only."""
    made = Gate(httpx.ASGITransport(world.services[name].app))
    world.transports[name] = made
    await world.restart()
    return made


async def test_an_owner_that_is_down_is_asked_again_and_the_board_shows_what_it_has(world: BoardWorld) -> None:
    await world.open_ticket("SR-1")
    await world.settle()
    before = await world.load("SR-1")
    timer = await gate(world, "sla-timer")
    timer.is_down = True
    world.set_clock(MONDAY + timedelta(minutes=10))
    await world.record("SR-1", "responded")
    failures = counter_value("sla_board_refresh_failures_total", upstream="sla-timer")
    await world.read_all("board", TICKETS_TOPIC)
    await world.refresh()
    found = await world.load("SR-1")
    assert (found.facts, found.clocks) == (2, before.clocks)
    await world.board.refresher.measure()
    assert counter_value("sla_board_stale_tickets") == 1
    assert counter_value("sla_board_stale_seconds") > 0
    assert counter_value("sla_board_refresh_failures_total", upstream="sla-timer") == failures + 1
    refreshed = counter_value("sla_board_refreshed_total")
    timer.is_down = False
    await world.settle()
    found = await world.load("SR-1")
    assert found.clocks[0].state == "met"
    await world.board.refresher.measure()
    assert (counter_value("sla_board_stale_tickets"), counter_value("sla_board_stale_seconds")) == (0, 0)
    assert counter_value("sla_board_refreshed_total") > refreshed
    assert counter_value("sla_board_upstream_seconds_count", upstream="sla-timer") > 0


async def test_a_response_that_is_older_than_what_has_arrived_is_not_the_last_word(world: BoardWorld) -> None:
    """The board may read a fact before sla-timer does, and an event of a ladder before the escalator does."""
    await world.open_ticket("SR-1")
    await world.read_all("board", TICKETS_TOPIC)
    await world.refresh()
    assert await stale(world) == 1
    await world.advance_timer()
    await world.refresh()
    assert await stale(world) == 0
    world.set_clock(MONDAY + timedelta(days=2))
    await world.advance_timer()
    await world.publish()
    await world.read_all("board", DEADLINES_TOPIC)
    await world.refresh()
    assert await stale(world) == 1
    assert (await world.load("SR-1")).ladder is None
    await world.read_all("escalator", DEADLINES_TOPIC)
    await world.refresh()
    assert await stale(world) == 0
    ladder = (await world.load("SR-1")).ladder
    assert ladder is not None
    assert ladder.tier is not None


async def test_a_record_that_arrives_during_a_request_is_not_lost_and_waits_for_nothing(world: BoardWorld) -> None:
    await world.open_ticket("SR-1")
    await world.settle()
    timer = await gate(world, "sla-timer")
    timer.opened.clear()
    world.set_clock(MONDAY + timedelta(minutes=10))
    await world.record("SR-1", "responded")
    await world.advance_timer()
    await world.read_all("board", TICKETS_TOPIC)
    refreshing = asyncio.create_task(world.refresh())
    await timer.asked.wait()
    await world.record("SR-1", "paused")
    await world.read_all("board", TICKETS_TOPIC)  # no lock is held during the request
    timer.opened.set()
    await refreshing
    assert await stale(world) == 1
    await world.settle()
    assert (await world.load("SR-1")).clocks[-1].state == "paused"


async def test_the_worker_starts_at_once_when_a_batch_was_committed(
    world: BoardWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board.workers.refresher, "_POLL_SECONDS", 3600.0)
    stopping = asyncio.Event()
    refresher = world.board.refresher
    worker = asyncio.create_task(refresher.run(stopping))
    await world.open_ticket("SR-1")
    await world.advance_timer()
    await world.read_all("board", TICKETS_TOPIC)
    await asyncio.sleep(0)
    refresher.wake()

    async def has_clocks() -> bool:
        return bool((await world.load("SR-1")).clocks)

    await eventually(has_clocks, "the clocks are read")
    stopping.set()
    await worker


async def test_closed_tickets_wait_and_only_tickets_with_ladders_are_asked_about_them(world: BoardWorld) -> None:
    for number in range(3):
        await world.open_ticket(f"SR-{number}")
    await world.record("SR-0", "cancelled")
    await world.read_all("board", TICKETS_TOPIC)
    async with world.engine("board").begin() as connection:
        pauses = select(func.bool_and(TICKETS.c.refresh_at > TICKETS.c.stale_at))
        assert (await connection.execute(pauses)).scalar_one()  # the owners get a moment to handle the same record

    async def two_are_due() -> bool:
        async with world.engine("board").begin() as connection:
            due = await claim(connection, ["default"], most=2, lease=timedelta(0))
        return [each.is_open for each in due] == [True, True]

    await eventually(two_are_due)
    timer, ladders = await gate(world, "sla-timer"), await gate(world, "escalator")
    await world.settle()
    assert timer.requests[0] == ("/v1/clocks", 3)
    assert ladders.requests == []


async def test_a_tenant_without_a_key_is_shown_without_clocks_and_counted(world: BoardWorld) -> None:
    await world.open_ticket("SR-1", "other")
    await world.settle()
    assert (await world.load("SR-1", "other")).clocks == ()
    await world.board.refresher.measure()
    assert counter_value("sla_board_tickets_without_key") == 1
    assert counter_value("sla_board_stale_tickets") == 0


async def test_a_burst_is_read_in_requests_of_bounded_size_by_all_replicas_together(world: BoardWorld) -> None:
    count = MOST_TICKETS + 20
    body = [ticket_body(f"SR-{number}", severity=2) for number in range(count)]
    await world.post("default", "/v1/tickets/batch", {"tickets": body})
    await world.publish()
    timer = await gate(world, "sla-timer")
    other = world.new_board()
    await world.advance_timer()
    await world.read_all("board", TICKETS_TOPIC)

    async def both() -> bool:
        await asyncio.gather(world.refresh(), other.refresher.refresh())
        return await stale(world) == 0

    await eventually(both)
    assert max(size for _, size in timer.requests) == MOST_TICKETS
    assert sum(size for _, size in timer.requests) == count, "no ticket was read twice"
    await other.runtime.dispose()


async def test_a_rebuild_while_two_replicas_run_ends_with_the_same_read_model(
    make_database: MakeDatabase,
    kafka: SharedKafka,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kafka.fresh_topics()
    async with board_world(make_database, tmp_path, MONDAY, kafka=kafka.bootstrap) as world:
        for number in range(6):
            await world.open_ticket(f"SR-{number}")
        world.set_clock(MONDAY + timedelta(days=2))
        await world.advance_timer()
        await world.publish()
        await world.read_all("escalator", DEADLINES_TOPIC)
        await send_all(world, kafka.bootstrap)
        async with running(world), running(world):
            await eventually(lambda: is_complete(world, 6), "every ticket has its clocks and its ladder")
            before = [await world.load(f"SR-{number}") for number in range(6)]
            monkeypatch.setenv("TOCSIN_DATABASE_URL", str(world.settings.database_url))
            monkeypatch.setenv("TOCSIN_KAFKA", kafka.bootstrap)
            await asyncio.to_thread(rebuild_read_model)
            said = capsys.readouterr().out
            assert f"{TICKETS_TOPIC}: 6 records to read" in said
            assert "republish" in said
            await eventually(lambda: is_complete(world, 6), "the read model is complete again")
            after = [await world.load(f"SR-{number}") for number in range(6)]
    assert [(each.ticket, each.clocks, each.ladder, each.facts) for each in after] == [
        (each.ticket, each.clocks, each.ladder, each.facts) for each in before
    ]
    assert all(new.version > old.version for new, old in zip(after, before, strict=True))


@asynccontextmanager
async def running(world: BoardWorld) -> AsyncIterator[None]:
    """One more replica reads its share of the topics, and refreshes."""
    service = world.new_board()
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(consumer.run()) for consumer in service.consumers]
    tasks.append(asyncio.create_task(service.refresher.run(stopping)))
    try:
        yield
    finally:
        stopping.set()
        for consumer in service.consumers:
            consumer.stop()
        await asyncio.gather(*tasks)
        await service.runtime.dispose()


async def send_all(world: BoardWorld, bootstrap: str) -> None:
    """The records that the services have published are sent to the real topics."""
    await world.publish()
    producer = new_producer(bootstrap)
    await producer.start()
    for topic in TOPICS:
        for partition, records in enumerate(world.topics[topic]):
            for record in records:
                headers, value = encode(record.event, "tests")
                key = str(record.event.ticket_id).encode()
                await producer.send_and_wait(topic, value, key, partition, headers=headers)
    await producer.stop()


async def is_complete(world: BoardWorld, count: int) -> bool:
    async with world.engine("board").connect() as connection:
        c = TICKETS.c
        known = c.opened, c.clocks.is_not(None), c.ladder.is_not(None), c.stale_at.is_(None)
        query = select(func.count()).where(*known)
        return bool((await connection.execute(query)).scalar_one() == count)


async def stale(world: BoardWorld) -> int:
    """How many tickets are outdated."""
    async with world.engine("board").connect() as connection:
        found = await load_staleness(connection, ["default"])
    return found["default"].tickets if found else 0
