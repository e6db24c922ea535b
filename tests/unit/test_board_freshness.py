"""The sign on the board that its tickets are out of date: it says why and since when, and only if that lasts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from board.store.stale import Staleness
from board.workers import freshness
from board.workers.freshness import BEHIND, LATE, MOST_NEW, Freshness
from board.workers.open_tickets import OpenTickets
from support.board_tickets import NOW, MemoryTickets, board_clock, board_ticket
from tocsin.business_time import load_zone
from tocsin.runtime.process.clock import BusinessClock

ZONE = load_zone("Europe/Berlin")
NONE = timedelta(0)
LONG = timedelta(minutes=55)
ADVICE = "What you see may be out of date."


@dataclass
class Topic:
    lag_seconds: float | None = 0.0
    fault: str | None = None

    async def ready(self) -> str | None:
        return self.fault


@dataclass
class Refresher:
    staleness: Mapping[str, Staleness] = field(default_factory=dict)
    down: dict[tuple[str, str], timedelta] = field(default_factory=dict)

    def down_for(self, tenant: str) -> Mapping[str, timedelta]:
        return {service: age for (service, owner), age in self.down.items() if owner == tenant}


class World:
    """All is well at first. Business time runs as real time does, so that the ages of faults are the same in both."""

    def __init__(self) -> None:
        self.topics = (Topic(), Topic())
        self.refresher = Refresher()
        self.source = MemoryTickets()
        self.tickets = OpenTickets(self.source)
        clock = BusinessClock(NOW, datetime.now(UTC), 1.0)
        self.freshness = Freshness(
            clock,
            ZONE,
            self.refresher,
            self.topics,
            tenants={"default", "other"},
            unevaluated=self.tickets.unevaluated,
        )

    def put(self, count: int, *, has_deadlines: bool) -> None:
        for number in range(count):
            self.source.put(board_ticket(f"SR-{number}", clocks=[board_clock()] if has_deadlines else []))

    async def sign(self, tenant: str = "default") -> str | None:
        await self.tickets.load(tenant)
        await self.tickets.refresh()
        await self.freshness.check()
        return self.freshness.why_stale(tenant)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that is not read counts at once, because a test does not wait."""
    monkeypatch.setattr(freshness, "BEHIND", NONE)


async def test_nothing_is_said_while_all_is_well_or_a_fault_has_just_begun(world: World) -> None:
    world.topics[0].lag_seconds = BEHIND.total_seconds() - 1
    world.refresher.down["escalator", "default"] = LATE - timedelta(seconds=1)
    world.refresher.staleness = {"default": Staleness(500, LATE, 500, LATE - timedelta(seconds=1))}
    assert await world.sign() is None
    world.topics[1].fault = "does not read its partitions yet"
    assert await world.sign() is None


@pytest.mark.parametrize("topic", [Topic(lag_seconds=None), Topic(fault="its leases are not renewed")], ids=str)
async def test_a_topic_that_is_not_read_is_a_fault(world: World, at_once: None, topic: Topic) -> None:
    world.topics[1].lag_seconds, world.topics[1].fault = topic.lag_seconds, topic.fault
    assert await world.sign() == f"New events have not been read since Mon 16:00. {ADVICE}"


async def test_records_that_wait_are_a_fault_however_few_they_are(world: World) -> None:
    world.topics[1].lag_seconds = LONG.total_seconds()
    assert await world.sign() == f"Events since Mon 15:05 have not been read yet. {ADVICE}"


async def test_a_service_that_does_not_respond_is_named_to_the_tenant_that_it_concerns(world: World) -> None:
    world.refresher.down["sla-timer", "default"] = LONG
    assert await world.sign() == f"sla-timer has not responded since Mon 15:05. {ADVICE}"
    world.refresher.down["escalator", "default"] = LATE
    assert await world.sign() == f"escalator and sla-timer have not responded since Mon 15:05. {ADVICE}"
    assert await world.sign("other") is None


@pytest.mark.parametrize(
    ("tickets", "words"), [(1, "1 ticket has"), (12, "12 tickets have"), (1200, "1,200 tickets have")]
)
async def test_a_tenants_tickets_that_wait_are_counted(world: World, tickets: int, words: str) -> None:
    world.refresher.staleness = {"default": Staleness(tickets, LONG, tickets, LONG)}
    assert await world.sign() == f"{words} waited since Mon 15:05 for deadlines from sla-timer and escalator. {ADVICE}"
    assert await world.sign("other") is None


async def test_a_ticket_that_no_owner_knows_is_not_shown_for_ever(world: World) -> None:
    """One that sla-timer has put aside as a dead letter stays outdated."""
    world.refresher.staleness = {"default": Staleness(1, timedelta(days=2), 0, NONE)}
    assert await world.sign() is None


@pytest.mark.parametrize(("count", "tickets"), [(1, "1 ticket"), (12, "12 tickets"), (1200, "1,200 tickets")])
async def test_tickets_without_their_first_deadlines_are_counted_until_all_are_read(
    world: World, count: int, tickets: str
) -> None:
    world.put(count, has_deadlines=False)
    assert await world.sign() == f"Deadlines of {tickets} are not read yet. {ADVICE}"
    assert await world.sign("other") is None
    world.put(count, has_deadlines=True)
    assert await world.sign() is None


async def test_tickets_that_a_rebuild_reads_again_are_counted(world: World) -> None:
    world.put(12, has_deadlines=True)
    assert await world.sign() is None
    world.source.empty()
    assert await world.sign() is None
    world.put(12, has_deadlines=False)
    assert await world.sign() == f"Deadlines of 12 tickets are not read yet. {ADVICE}"


async def test_a_few_new_tickets_are_counted_only_if_they_wait_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await world.sign() is None
    world.put(MOST_NEW, has_deadlines=False)
    monkeypatch.setattr(freshness, "NEW", 3600)
    assert await world.sign() is None
    monkeypatch.setattr(freshness, "NEW", 0)
    assert await world.sign() == f"Deadlines of {MOST_NEW} tickets are not read yet. {ADVICE}"


async def test_a_ticket_that_was_never_evaluated_is_not_counted_for_ever(world: World) -> None:
    world.put(1, has_deadlines=False)
    world.refresher.staleness = {"default": Staleness(1, timedelta(days=2), 0, NONE, old_unevaluated=1)}
    assert await world.sign() is None


async def test_a_tenant_without_a_key_sees_why_there_are_no_deadlines(world: World) -> None:
    world.topics[1].lag_seconds = LONG.total_seconds()
    assert await world.sign("acme") == (
        "This board has no key for the tenant acme: set TOCSIN_UPSTREAM_KEYS. Until then, no deadlines are shown."
    )
