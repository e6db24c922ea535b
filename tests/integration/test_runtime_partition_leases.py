"""The leases that assign partitions to replicas, with a real PostgreSQL: fair shares, expiry, fencing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from support.metrics import counter_value
from support.polling import eventually
from support.runtime_world import OFFSETS, background_tasks, rows, runtime_database
from support.servers import MakeDatabase
from tocsin.runtime.database.offsets import Position
from tocsin.runtime.database.partition_leases import PartitionLeases, fair_share
from tocsin.runtime.errors import LeaseLostError

TOPIC = "a-topic"
LONG = 60.0
"""A lease that does not expire while a test runs."""


@pytest.fixture
async def db(make_database: MakeDatabase) -> AsyncIterator[AsyncEngine]:
    """A database with the offsets of six partitions."""
    async with runtime_database(make_database()) as made:
        async with made.begin() as connection:
            await OFFSETS.store_missing(connection, TOPIC, dict.fromkeys(range(6), 0))
        yield made


def replica(db: AsyncEngine, seconds: float = LONG) -> PartitionLeases:
    return PartitionLeases(db, OFFSETS, TOPIC, 6, seconds)


async def settle(*replicas: PartitionLeases) -> list[int]:
    """Every replica sends heartbeats and gives back its surplus, until nothing changes: how many each one holds."""
    for _ in range(3):
        for each in replicas:
            await each.renew()
            await each.give_back()
    return [len(each.held) for each in replicas]


async def expire(db: AsyncEngine) -> None:
    """Lets all leases end."""
    async with db.begin() as connection:
        await connection.execute(update(OFFSETS.replicas).values(expires_at=text("clock_timestamp()")))


async def is_fenced_off(db: AsyncEngine, held: dict[int, int]) -> bool:
    """Whether a transaction with these tokens is rejected."""
    async with db.begin() as connection:
        try:
            await OFFSETS.lock_held(connection, TOPIC, held)
        except LeaseLostError:
            return True
    return False


@pytest.mark.parametrize(("replicas", "share"), [(1, 6), (2, 3), (3, 2), (4, 2), (5, 2), (6, 1), (9, 1)])
def test_a_share_is_rounded_up(replicas: int, share: int) -> None:
    assert fair_share(6, replicas) == share


async def test_live_replicas_share_the_partitions(db: AsyncEngine) -> None:
    one, two, three = replica(db), replica(db), replica(db)
    assert await settle(one) == [6]
    assert await settle(one, two) == [3, 3]
    assert counter_value("sla_partitions_held", topic=TOPIC) == 3  # of the last one
    assert await settle(one, two, three) == [2, 2, 2]
    assert sorted([*one.held, *two.held, *three.held]) == list(range(6))
    await two.leave()
    assert two.held == {}
    assert await settle(one, three) == [3, 3]
    await one.leave()
    assert await settle(three, one, two) == [6, 0, 0]  # who has left takes nothing more


async def test_a_replica_more_than_partitions_holds_none(db: AsyncEngine) -> None:
    replicas = [replica(db) for _ in range(7)]
    assert sorted(await settle(*replicas)) == [0, 1, 1, 1, 1, 1, 1]
    assert not any(each.are_expired for each in replicas)


async def test_a_joining_replica_takes_nothing_before_it_is_given_back(db: AsyncEngine) -> None:
    one, two = replica(db), replica(db)
    await one.renew()
    await two.renew()
    assert (len(one.held), len(two.held)) == (6, 0)
    await one.renew()
    assert one.surplus == [3, 4, 5]
    assert not await is_fenced_off(db, dict(one.held))
    tokens = dict(one.held)
    await one.give_back()
    assert await is_fenced_off(db, tokens)
    assert not await is_fenced_off(db, dict(one.held))
    await two.renew()
    assert sorted(two.held) == [3, 4, 5]
    assert all(two.held[partition] > tokens[partition] for partition in two.held)


async def test_a_replica_without_heartbeats_loses_its_partitions(db: AsyncEngine) -> None:
    before = counter_value("sla_lease_losses_total", topic=TOPIC)
    suspended, other = replica(db), replica(db)
    await suspended.renew()
    stale = dict(suspended.held)
    await expire(db)
    await other.renew()
    assert sorted(other.held) == list(range(6))
    assert await is_fenced_off(db, stale)
    await suspended.renew()  # it wakes up
    assert suspended.held == {}
    assert counter_value("sla_lease_losses_total", topic=TOPIC) == before + 6
    assert await settle(suspended, other) == [3, 3]
    assert counter_value("sla_lease_losses_total", topic=TOPIC) == before + 6  # what is given back is not lost


async def test_an_expired_lease_that_nobody_took_goes_on(db: AsyncEngine) -> None:
    alone = replica(db)
    await alone.renew()
    held = dict(alone.held)
    await expire(db)
    assert not await is_fenced_off(db, held)
    await alone.renew()
    assert alone.held == held


async def test_a_replica_that_took_its_partition_back_has_another_token(db: AsyncEngine) -> None:
    """What it began before is fenced off, although the holder is the same."""
    one, two = replica(db), replica(db)
    await one.renew()
    stale = dict(one.held)
    await expire(db)
    await two.renew()
    await two.leave()
    await one.renew()
    assert sorted(one.held) == sorted(stale)
    assert await is_fenced_off(db, stale)


async def test_a_partition_locked_by_a_transaction_is_taken_later(db: AsyncEngine) -> None:
    one = replica(db)
    async with db.begin() as connection:
        await OFFSETS.load(connection, TOPIC, [2], lock=True)
        await asyncio.wait_for(one.renew(), 5)
        assert sorted(one.held) == [0, 1, 3, 4, 5]
    await one.renew()
    assert sorted(one.held) == list(range(6))


async def test_a_missing_offset_is_reported_and_fences_off(db: AsyncEngine) -> None:
    one = replica(db)
    await one.renew()
    held = dict(one.held)
    async with db.begin() as connection:
        await connection.execute(delete(OFFSETS.table).where(OFFSETS.table.c.partition == 4))
    assert await is_fenced_off(db, held)
    await one.renew()
    assert one.missing == {4}
    assert sorted(one.held) == [0, 1, 2, 3, 5]


async def test_positions_are_stored_under_the_lease(db: AsyncEngine) -> None:
    one = replica(db)
    await one.renew()
    async with db.begin() as connection:
        locked = await OFFSETS.lock_held(connection, TOPIC, {1: one.held[1], 5: one.held[5]})
        assert locked == {1: Position(0, None), 5: Position(0, None)}
        await OFFSETS.store(connection, TOPIC, {1: Position(7, None)})
    stored = {row.partition: (row.next_offset, row.token) for row in await rows(db, OFFSETS.table)}
    assert stored[1] == (7, one.held[1])


async def test_a_replica_that_cannot_read_leaves_its_partitions_to_another(db: AsyncEngine) -> None:
    can_read = True
    cut_off, other = replica(db, seconds=1.0), replica(db)
    async with background_tasks(cut_off.keep(lambda: can_read)):
        await eventually(lambda: len(cut_off.held) == 6)
        can_read = False
        before = await rows(db, OFFSETS.replicas)
        await eventually(lambda: has_other_heartbeats(db, before))
        assert len(cut_off.held) == 6  # there is no other yet
        await other.renew()
        await eventually(lambda: cut_off.held == {})
        await other.renew()
        assert len(other.held) == 6
        can_read = True
        await eventually(lambda: are_live(db, 2))
        await settle(other)
        await eventually(lambda: len(cut_off.held) == 3)


async def test_heartbeats_survive_a_lost_connection_and_a_hanging_database(db: AsyncEngine) -> None:
    leases = replica(db, seconds=1.0)
    async with background_tasks(leases.keep(lambda: True)) as (keeping,):
        await eventually(lambda: len(leases.held) == 6)
        async with hanging_heartbeats(db):
            await eventually(lambda: leases.are_expired and held_gauge() == 0)
            assert len(leases.held) == 6  # who knows; a transaction finds out
        await eventually(lambda: not leases.are_expired and held_gauge() == 6)
        async with db.begin() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        await expire(db)
        await eventually(lambda: not leases.are_expired and len(leases.held) == 6)
        assert not keeping.done()


async def test_a_dead_replica_is_noticed_when_its_lease_ends(db: AsyncEngine) -> None:
    """Not only with the next regular heartbeat, which is twenty seconds away here."""
    dead, waiting = replica(db, seconds=2.0), replica(db)
    await dead.renew()
    async with background_tasks(waiting.keep(lambda: True)):
        await eventually(lambda: len(waiting.held) == 6, seconds=LONG / 6)


async def has_other_heartbeats(db: AsyncEngine, before: Sequence[object]) -> bool:
    return await rows(db, OFFSETS.replicas) != before


async def are_live(db: AsyncEngine, replicas: int) -> bool:
    return len(await rows(db, OFFSETS.replicas)) == replicas


def held_gauge() -> float:
    return counter_value("sla_partitions_held", topic=TOPIC)


@asynccontextmanager
async def hanging_heartbeats(db: AsyncEngine) -> AsyncIterator[None]:
    """Nobody can send a heartbeat inside the block."""
    async with db.connect() as connection:
        await connection.execute(text("LOCK TABLE consumer_replicas IN ACCESS EXCLUSIVE MODE"))
        yield
        await connection.rollback()
