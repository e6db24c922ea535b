"""The sign on the board that its tickets are out of date: it says why and since when, and only if that lasts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import nan

import pytest
from board.store.stale import Staleness
from board.workers import freshness
from board.workers.freshness import LATE, MOST_LAG, Freshness
from support.board_tickets import NOW
from tocsin.business_time import load_zone
from tocsin.runtime.http.health import Check
from tocsin.runtime.metrics import CONSUMER_LAG
from tocsin.runtime.process.clock import BusinessClock

ZONE = load_zone("Europe/Berlin")
TOPICS = ("freshness.a", "freshness.b")


class Source:
    """What the checks find: at first that all is well."""

    def __init__(self) -> None:
        self.staleness: Staleness | None = Staleness(0, timedelta(0))
        self.faults: dict[str, str] = {}
        # Business time runs as real time does, so that the ages of faults are the same in both.
        clock = BusinessClock(NOW, datetime.now(UTC), 1.0)
        self.freshness = Freshness(clock, ZONE, lambda: self.staleness, {topic: self._check(topic) for topic in TOPICS})

    async def sign(self) -> str | None:
        await self.freshness.check()
        return self.freshness.why_stale()

    def _check(self, topic: str) -> Check:
        async def ready() -> str | None:
            return self.faults.get(topic)

        return ready


@pytest.fixture
def source() -> Iterator[Source]:
    for topic in TOPICS:
        CONSUMER_LAG.labels(topic, "0").set(0)
    yield Source()
    for topic in TOPICS:
        CONSUMER_LAG.remove(topic, "0")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault counts at once, because a test does not wait."""
    monkeypatch.setattr(freshness, "BEHIND", timedelta(0))


async def test_nothing_is_said_while_all_is_well(source: Source, at_once: None) -> None:
    CONSUMER_LAG.labels(TOPICS[0], "0").set(MOST_LAG)
    CONSUMER_LAG.labels("another.service", "0").set(nan)
    source.staleness = Staleness(500, LATE - timedelta(seconds=1))
    assert await source.sign() is None
    source.staleness = None
    assert await source.sign() is None
    CONSUMER_LAG.remove("another.service", "0")


@pytest.mark.parametrize(
    ("tickets", "words"), [(1, "1 ticket has"), (12, "12 tickets have"), (1200, "1,200 tickets have")]
)
async def test_tickets_whose_owners_do_not_respond_are_counted(source: Source, tickets: int, words: str) -> None:
    source.staleness = Staleness(tickets, timedelta(minutes=55))
    assert await source.sign() == (
        f"{words} waited since Mon 15:05 for deadlines from sla-timer and the escalator. "
        "What you see may be out of date."
    )
    source.staleness = Staleness(0, timedelta(0))
    assert await source.sign() is None


async def test_a_topic_that_is_not_read_is_a_fault(source: Source, at_once: None) -> None:
    source.faults[TOPICS[1]] = "does not read its partitions yet"
    assert await source.sign() == "No new events are read since Mon 16:00. What you see may be out of date."
    source.faults.clear()
    assert await source.sign() is None


async def test_while_kafka_does_not_say_how_much_waits_nothing_new_is_read(source: Source, at_once: None) -> None:
    CONSUMER_LAG.labels(TOPICS[0], "0").set(nan)
    assert await source.sign() == "No new events are read since Mon 16:00. What you see may be out of date."


async def test_records_that_wait_are_counted(source: Source, at_once: None) -> None:
    for topic in TOPICS:
        CONSUMER_LAG.labels(topic, "0").set(20_000)
    text = "40,000 events have waited to be read since Mon 16:00. What you see may be out of date."
    assert await source.sign() == text


async def test_a_fault_that_has_just_begun_is_not_shown(source: Source) -> None:
    """Replicas take partitions over in a few seconds."""
    source.faults[TOPICS[0]] = "does not read its partitions yet"
    assert await source.sign() is None
