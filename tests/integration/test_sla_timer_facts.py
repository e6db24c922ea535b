"""Facts and the passing of time in a real PostgreSQL: what is told is what the timeline says, each once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from prometheus_client import REGISTRY
from sla_timer.domain.fact_log import Rulebook
from sla_timer.handlers.handlers import Handlers
from sla_timer.store import reports
from sla_timer.store.tables import AGENDA
from sqlalchemy import func, select
from support.fake_timer import Teller, briefly, moment, said
from support.random_stories import random_story
from support.servers import MakeDatabase
from support.stories import shipped_policy
from support.timer_world import CLOCK, Timer, batch, events, facts_of, imported, ticket, timer
from tocsin.events import DeadlineEvent, Event, Watermark
from tocsin.runtime.errors import PoisonMessageError

OPENED = said(1, "opened", "06-08 13:00", severity=1)
ANSWERED = said(2, "responded", "06-08 13:00")
RULEBOOK = Rulebook([shipped_policy()], None)
TICKETS = 40


@pytest.fixture
async def one(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Timer]:
    async with timer(make_database("sla-timer"), tmp_path) as made:
        yield made


def by_the_pure_function(name: str, channel: str, told: dict[str, object]) -> list[DeadlineEvent]:
    teller = Teller(RULEBOOK, channel)
    facts = facts_of(told)
    teller.ticket = ticket(name, facts, channel=channel)
    teller.receive(facts)
    teller.pass_time(facts[-1].received_at + timedelta(days=60))
    return teller.events


async def test_time_that_passes_tells_what_the_timeline_says(one: Timer) -> None:
    for seed in range(TICKETS):
        told, name = random_story(Random(seed)), f"SR-{seed}"
        facts = facts_of(told)
        channel = told["facts"][0].get("channel", "portal")
        await one.receives(*events(name, facts, channel=channel))
        await one.reaches(facts[-1].received_at + timedelta(days=60))
        expected = by_the_pure_function(name, channel, told)
        assert await one.told(ticket(name, facts).ticket_id) == expected
    assert {event.event_id for event in await one.queued()} == {
        event.event_id
        for seed in range(TICKETS)
        for event in by_the_pure_function(
            f"SR-{seed}", random_story(Random(seed))["facts"][0].get("channel", "portal"), random_story(Random(seed))
        )
    }


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_any_order_and_any_duplicates_lead_to_the_same(
    make_database: MakeDatabase, tmp_path: Path, size: int
) -> None:
    random = Random(size)
    everything: list[Event] = []
    for seed in range(12):
        everything += events(f"SR-{seed}", facts_of(random_story(Random(seed))))
    shuffled = everything + random.sample(everything, len(everything) // 2)
    random.shuffle(shuffled)
    async with (
        timer(make_database("sla-timer"), tmp_path) as straight,
        timer(make_database("sla-timer"), tmp_path) as one,
    ):
        await straight.receives(*everything)
        for start in range(0, len(shuffled), size):
            await one.receives(*shuffled[start : start + size])
        assert (await one.standing())[0] == (await straight.standing())[0]
        queued = len(await one.queued())
        await one.receives(*everything)
        assert len(await one.queued()) == queued


async def test_a_fact_that_is_known_already_tells_nothing_and_changes_nothing(one: Timer) -> None:
    facts = events("SR-1", [OPENED, ANSWERED])
    await one.receives(*facts)
    await one.reaches(moment("06-09 14:00"))
    before = await one.queued(), await one.standing()
    await one.receives(*facts, *facts)
    assert (await one.queued(), await one.standing()) == before


async def test_facts_that_come_before_their_opening_wait_for_it(one: Timer) -> None:
    opening, response = events("SR-1", [OPENED, ANSWERED])
    await one.receives(response)
    assert await one.queued() == []
    await one.receives(opening)
    assert briefly(await one.queued()) == [("met response", "06-08 13:00")]


async def test_two_replicas_that_sweep_at_once_tell_each_thing_once(one: Timer) -> None:
    names = [f"SR-{number}" for number in range(400)]
    await one.receives(*(event for name in names for event in events(name, [OPENED, ANSWERED])))
    await one.progresses(moment("06-09 16:00"))
    other = Handlers(one.writer, one.book, CLOCK)
    await asyncio.gather(*(handlers.sweep_all() for handlers in (one.handlers, other, one.handlers, other)))
    told = Counter(event.event_id for event in await one.queued())
    assert set(told.values()) == {1}
    assert len(told) == len(names) * len(["met", "warned", "breached", "1", "2", "3", "4"])
    story = briefly(await one.told(ticket("SR-7", [OPENED]).ticket_id))
    assert [when for _, when in story[2:]] == [
        "06-09 13:00",
        "06-09 13:00",
        "06-09 14:00",
        "06-09 15:00",
        "06-09 16:00",
    ]


async def test_nothing_is_judged_before_progress_reaches_it(one: Timer) -> None:
    await one.receives(*events("SR-1", [OPENED]))
    await one.reaches(moment("06-08 13:59"))
    assert briefly(await one.queued()) == [("warned response", "06-08 13:45")]
    await one.reaches(moment("06-08 14:00"))
    assert briefly(await one.queued())[1:] == [("breached response", "06-08 14:00")]


async def test_a_resolve_and_the_sweep_race_and_one_truth_remains(one: Timer) -> None:
    """Whoever comes first: what was told before a fact arrived is voided by it, never forgotten, never doubled."""
    names = [f"SR-{number}" for number in range(60)]
    for name in names:
        await one.receives(*events(name, [OPENED, ANSWERED]))
    await one.progresses(moment("06-09 13:00"))
    resolved = said(3, "resolved", "06-09 12:59")

    async def resolve(name: str) -> None:
        await one.receives(events(name, [OPENED, ANSWERED, resolved])[-1])

    await asyncio.gather(one.handlers.sweep_all(), *(resolve(name) for name in names), one.handlers.sweep_all())
    for name in names:
        told = [text for text, _ in briefly(await one.told(ticket(name, [OPENED]).ticket_id))]
        assert "met resolution" in told
        assert ("breached resolution" in told) == ("voided breached resolution" in told)
        assert ("step_due 1 of run 1" in told) == ("ended run 1: voided" in told)
    assert await one.rows(select(func.count()).select_from(AGENDA)) == [(0,)]


async def test_a_clock_breached_by_time_is_breached_in_reports_too(one: Timer) -> None:
    await one.receives(*events("SR-1", [OPENED]))
    await one.reaches(moment("06-08 14:00"))
    clocks, _ = await one.standing()
    assert [(clock.clock, clock.state, clock.outcome_at) for clock in clocks] == [
        ("resolution", "running", None),
        ("response", "breached", moment("06-08 14:00")),
    ]


async def test_history_is_marked_and_what_comes_after_it_is_not(one: Timer) -> None:
    await one.receives(imported("SR-1", [OPENED], moment("06-08 13:50")))
    await one.reaches(moment("06-08 14:00"))
    assert [event.historic for event in await one.queued()] == [True, False]


async def test_what_is_judged_without_proof_is_marked(one: Timer) -> None:
    await one.receives(*events("SR-1", [OPENED]))
    await one.progresses(moment("06-08 13:50"))
    for partition in range(6):
        await one.handlers.sweep(partition, moment("06-08 14:10"), moment("06-08 13:50"))
    assert [event.unconfirmed for event in await one.queued()] == [False, True]
    await one.receives(events("SR-1", [OPENED, said(2, "responded", "06-08 13:55")])[-1])
    assert briefly(await one.queued())[2:] == [
        ("voided breached response", "06-08 14:00"),
        ("met response", "06-08 13:55"),
    ]


async def test_what_is_rolled_back_is_not_counted(one: Timer) -> None:
    def counted() -> tuple[float, float]:
        outcome = {"clock": "response", "severity": "1", "outcome": "met"}
        return (
            REGISTRY.get_sample_value("sla_clock_outcomes_total", outcome) or 0.0,
            REGISTRY.get_sample_value("sla_answer_seconds_count", {"channel": "portal"}) or 0.0,
        )

    before = counted()
    async with one.writer.connect() as connection:
        await one.handlers.facts_received(connection, batch(events("SR-1", [OPENED, ANSWERED])))
        await connection.rollback()
    assert counted() == before
    await one.receives(*events("SR-1", [OPENED, ANSWERED]))
    assert counted() == (before[0] + 1, before[1] + 1)


async def test_an_event_of_another_topic_is_poison(one: Timer) -> None:
    stray = Watermark(accepted_through=moment("06-08 12:00"))
    async with one.writer.begin() as connection:
        with pytest.raises(PoisonMessageError, match="Progress"):
            await one.handlers.facts_received(connection, batch([stray]))


async def test_what_was_told_is_published_again_in_order_with_the_same_ids(one: Timer) -> None:
    for number in range(300):
        await one.receives(*events(f"SR-{number}", [OPENED, ANSWERED]))
    await one.reaches(moment("06-09 14:00"))
    pages = [page async for page in reports.told_since(one.writer, datetime(2020, 1, 1, tzinfo=CLOCK.epoch.tzinfo))]
    assert len(pages) > 1
    assert [event for page in pages for event in page] == await one.queued()
