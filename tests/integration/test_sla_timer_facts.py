"""Facts and the passing of time in a real PostgreSQL: what is published is what the timeline says, each event once."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sla_timer.handlers.facts import receive_facts
from sla_timer.handlers.sweep import fire_due, sweep_all
from sla_timer.store.firing import load_due
from sla_timer.store.published_events import published_since
from sla_timer.store.tables import AGENDA, CLOCKS, OUTBOX
from sqlalchemy import func, literal_column, select
from support.fake_timer import FakeTimer, moment, numbered_fact, summaries
from support.metrics import counter_value
from support.random_stories import random_story
from support.servers import MakeDatabase
from support.stories import shipped_policy
from support.timer_world import TimerWorld, batch, events, facts_of, fields_of, imported, ticket, timer_world
from tocsin.events import (
    Assignee,
    DeadlineEvent,
    Event,
    LadderContinued,
    LadderHeld,
    LadderStepDue,
    Watermark,
    decode,
    encode,
    event_type,
)
from tocsin.instants import render_instant
from tocsin.runtime.errors import PoisonMessageError
from tocsin.runtime.kafka.client import PARTITIONS, partition_of
from tocsin.runtime.kafka.record_headers import header, unpack

OPENED = numbered_fact(1, "opened", "06-08 13:00", severity=1)
RESPONDED = numbered_fact(2, "responded", "06-08 13:00")
TICKETS = 40
MAYA = {"name": "Maya", "email": "maya@msp.example"}


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[TimerWorld]:
    async with timer_world(make_database("sla-timer"), tmp_path) as made:
        yield made


def by_the_pure_function(name: str, drawn: dict[str, Any]) -> list[DeadlineEvent]:
    """What is published of this story until 60 days after its last fact, apart from continuations."""
    facts = facts_of(drawn)
    timer = FakeTimer()
    timer.ticket = ticket(name, facts, **fields_of(drawn))
    timer.receive(facts)
    timer.pass_time(facts[-1].received_at + timedelta(days=60))
    return without_continuations(timer.events)


def without_continuations(published: Sequence[DeadlineEvent]) -> list[DeadlineEvent]:
    """A continuation depends on how far the watermark was when the facts arrived."""
    return [event for event in published if not isinstance(event, LadderContinued)]


async def test_passing_time_publishes_the_events_of_the_timeline(world: TimerWorld) -> None:
    all_ids = set()
    for seed in range(TICKETS):
        drawn, name = random_story(Random(seed)), f"SR-{seed}"
        facts = facts_of(drawn)
        await world.receive(*events(name, facts, **fields_of(drawn)))
        await world.advance(facts[-1].received_at + timedelta(days=60))
        expected = by_the_pure_function(name, drawn)
        assert without_continuations(await world.published(ticket(name, facts).ticket_id)) == expected
        all_ids |= {event.event_id for event in expected}
    assert {event.event_id for event in without_continuations(await world.outbox())} == all_ids


async def test_the_record_of_a_fired_event_is_that_of_any_event(world: TimerWorld) -> None:
    """It is put together from parts that were rendered ahead."""
    maya = numbered_fact(9, "assigned", "06-08 13:00", assignee=MAYA)
    for seed in range(10):
        facts = facts_of(random_story(Random(seed)))
        assigned = maya.model_copy(update={"number": len(facts) + 1, "received_at": facts[-1].received_at})
        await world.receive(*events(f"SR-{seed}", [*facts, assigned], summary='A "quote": {"unconfirmed":false}\n'))
        await world.advance(facts[-1].received_at + timedelta(days=60))
    rows = await world.rows(select(OUTBOX.table))
    assert len({json.loads(row.value)["event_id"] for row in rows}) == len(rows) > 50
    for row in rows:
        headers, value = encode(decode(unpack(row.headers), row.value), "sla-timer")
        assert unpack(row.headers) == headers
        assert json.loads(row.value) == json.loads(value)
        assert (row.key, row.partition) == (header(headers, "ce_subject"), partition_of(row.key))


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_any_order_with_any_duplicates_leads_to_the_same_clocks(
    make_database: MakeDatabase, tmp_path: Path, size: int
) -> None:
    random = Random(size)
    in_order: list[Event] = []
    for seed in range(12):
        drawn = random_story(Random(seed))
        in_order += events(f"SR-{seed}", facts_of(drawn), **fields_of(drawn))
    shuffled = in_order + random.sample(in_order, len(in_order) // 2)
    random.shuffle(shuffled)
    async with (
        timer_world(make_database("sla-timer"), tmp_path) as straight,
        timer_world(make_database("sla-timer"), tmp_path) as world,
    ):
        await straight.receive(*in_order)
        for start in range(0, len(shuffled), size):
            await world.receive(*shuffled[start : start + size])
        assert (await world.clocks_and_agendas())[0] == (await straight.clocks_and_agendas())[0]
        queued = len(await world.outbox())
        await world.receive(*in_order)
        assert len(await world.outbox()) == queued


async def test_a_known_fact_publishes_nothing_and_changes_nothing(world: TimerWorld) -> None:
    facts = events("SR-1", [OPENED, RESPONDED])
    await world.receive(*facts)
    await world.advance(moment("06-09 14:00"))
    before = await world.outbox(), await world.clocks_and_agendas()
    await world.receive(*facts, *facts)
    assert (await world.outbox(), await world.clocks_and_agendas()) == before


async def test_facts_that_arrive_before_their_opening_wait_for_it(world: TimerWorld) -> None:
    opening, response = events("SR-1", [OPENED, RESPONDED])
    await world.receive(response)
    assert await world.outbox() == []
    await world.receive(opening)
    assert summaries(await world.outbox()) == [("met response", "06-08 13:00")]


async def test_facts_of_long_tickets_that_arrive_together_are_all_evaluated(world: TimerWorld) -> None:
    changes = [numbered_fact(number, ("paused", "resumed")[number % 2], "06-08 13:00") for number in range(3, 600)]
    names = [f"SR-{number}" for number in range(4)]
    await world.receive(*(event for name in names for event in events(name, [OPENED, RESPONDED, *changes])))
    clocks, agendas = await world.clocks_and_agendas()
    assert len(clocks) == len(names) * len(["response", "resolution"])
    assert len(agendas) == len(names)


async def test_a_fact_that_changes_no_clock_writes_none(world: TimerWorld) -> None:
    written = select(CLOCKS.c.clock, literal_column("xmin::text")).order_by(CLOCKS.c.clock)
    await world.receive(*events("SR-1", [OPENED, RESPONDED]))
    before = dict(await world.rows(written))
    later = [numbered_fact(3, "assigned", "06-08 13:10", assignee=MAYA), numbered_fact(4, "resolved", "06-08 13:20")]
    assigned, resolved = events("SR-1", [OPENED, RESPONDED, *later])[2:]
    await world.receive(assigned)
    assert dict(await world.rows(written)) == before
    await world.receive(resolved)
    after = dict(await world.rows(written))
    assert [clock for clock in before if after[clock] != before[clock]] == ["resolution"]


async def test_two_replicas_that_sweep_at_once_publish_each_event_once(world: TimerWorld) -> None:
    names = [f"SR-{number}" for number in range(400)]
    await world.receive(*(event for name in names for event in events(name, [OPENED, RESPONDED])))
    await world.set_watermark(moment("06-09 16:00"))
    other = world.another_process()
    await asyncio.gather(*(sweep_all(context) for context in (world.context, other, world.context, other)))
    published = Counter(event.event_id for event in await world.outbox())
    assert set(published.values()) == {1}
    assert len(published) == len(names) * len(["met", "warned", "breached", "1", "2", "3", "4"])
    one = summaries(await world.published(ticket("SR-7", [OPENED]).ticket_id))
    assert [when for _, when in one[2:]] == [
        "06-09 13:00",
        "06-09 13:00",
        "06-09 14:00",
        "06-09 15:00",
        "06-09 16:00",
    ]


@pytest.mark.rule("4.21")
async def test_nothing_fires_before_the_watermark_reaches_it(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED]))
    await world.advance(moment("06-08 13:59"))
    assert summaries(await world.outbox()) == [("warned response", "06-08 13:45")]
    await world.advance(moment("06-08 14:00"))
    assert summaries(await world.outbox())[1:] == [("breached response", "06-08 14:00")]


async def test_a_ticket_that_changed_before_it_was_locked_does_not_fire(world: TimerWorld) -> None:
    """The statement that locks tickets has found them by their agendas of before."""
    facts = [OPENED, RESPONDED, numbered_fact(3, "paused", "06-09 12:00")]
    opened, responded, paused = events("SR-1", facts)
    ticket_ids = [ticket("SR-1", facts).ticket_id]
    await world.receive(opened, responded)
    throughs = dict.fromkeys(range(PARTITIONS), moment("06-09 13:00"))
    async with world.writer.begin() as connection:
        found = [await load_due(connection, ticket_ids, throughs)]
    await world.receive(paused)
    async with world.writer.begin() as connection:
        found.append(await load_due(connection, ticket_ids, throughs))
    assert [len(tickets) for tickets in found] == [1, 0]


async def test_a_sweep_renders_what_a_crash_has_left_unrendered(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED, RESPONDED]))
    await fire_due(world.context, dict.fromkeys(range(PARTITIONS), moment("06-09 07:00")))
    assert summaries(await world.outbox())[1:] == [("warned resolution", "06-09 07:00")]
    assert [agenda.due for agenda in (await world.clocks_and_agendas())[1]] == [None]
    await world.advance(moment("06-09 13:00"))
    assert summaries(await world.outbox())[2:] == [
        ("breached resolution", "06-09 13:00"),
        ("step_due 1 of run 1", "06-09 13:00"),
    ]


async def test_a_race_between_a_resolve_and_the_sweep_ends_with_the_same_timeline(world: TimerWorld) -> None:
    """Whichever comes first: an event published before the fact arrived is voided, never forgotten, never doubled."""
    names = [f"SR-{number}" for number in range(60)]
    for name in names:
        await world.receive(*events(name, [OPENED, RESPONDED]))
    await world.set_watermark(moment("06-09 13:00"))
    resolved = numbered_fact(3, "resolved", "06-09 12:59")

    async def resolve(name: str) -> None:
        await world.receive(events(name, [OPENED, RESPONDED, resolved])[-1])

    await asyncio.gather(sweep_all(world.context), *(resolve(name) for name in names), sweep_all(world.context))
    for name in names:
        published = [text for text, _ in summaries(await world.published(ticket(name, [OPENED]).ticket_id))]
        assert "met resolution" in published
        assert ("breached resolution" in published) == ("voided breached resolution" in published)
        assert ("step_due 1 of run 1" in published) == ("ended run 1: voided" in published)
    assert await world.rows(select(func.count()).select_from(AGENDA)) == [(0,)]


async def test_a_clock_that_breaches_as_time_passes_is_breached_in_reports_too(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED]))
    await world.advance(moment("06-08 14:00"))
    clocks, _ = await world.clocks_and_agendas()
    assert [(clock.clock, clock.state, clock.outcome_at) for clock in clocks] == [
        ("resolution", "running", None),
        ("response", "breached", moment("06-08 14:00")),
    ]


@pytest.mark.rule("4.24")
async def test_history_is_marked_and_later_events_are_not(world: TimerWorld) -> None:
    await world.receive(imported("SR-1", [OPENED], moment("06-08 13:50")))
    await world.advance(moment("06-08 14:00"))
    assert [event.historic for event in await world.outbox()] == [True, False]


@pytest.mark.rule("4.22")
async def test_events_without_a_watermark_are_unconfirmed_and_voided_when_disproved(world: TimerWorld) -> None:
    await world.receive(*events("SR-1", [OPENED]))
    await world.set_watermark(moment("06-08 13:50"))
    await world.sweep_unconfirmed(moment("06-08 14:10"), confirmed_through=moment("06-08 13:50"))
    assert [event.unconfirmed for event in await world.outbox()] == [False, True]
    await world.receive(events("SR-1", [OPENED, numbered_fact(2, "responded", "06-08 13:55")])[-1])
    assert summaries(await world.outbox())[2:] == [
        ("voided breached response", "06-08 14:00"),
        ("met response", "06-08 13:55"),
    ]


async def test_a_transaction_that_is_rolled_back_is_not_counted(world: TimerWorld) -> None:
    def counted() -> tuple[float, float]:
        outcome = {"clock": "response", "severity": "1", "outcome": "met"}
        return (
            counter_value("sla_clock_outcomes_total", **outcome),
            counter_value("sla_answer_seconds_count", channel="portal"),
        )

    before = counted()
    async with world.writer.connect() as connection:
        await receive_facts(world.context, connection, batch(events("SR-1", [OPENED, RESPONDED])))
        await connection.rollback()
    assert counted() == before
    await world.receive(*events("SR-1", [OPENED, RESPONDED]))
    assert counted() == (before[0] + 1, before[1] + 1)


async def test_an_event_of_another_topic_is_a_poison_message(world: TimerWorld) -> None:
    stray = Watermark(accepted_through=moment("06-08 12:00"))
    async with world.writer.begin() as connection:
        with pytest.raises(PoisonMessageError, match="Watermark"):
            await receive_facts(world.context, connection, batch([stray]))


async def test_the_published_log_can_be_read_in_order_with_the_same_ids(world: TimerWorld) -> None:
    for number in range(300):
        await world.receive(*events(f"SR-{number}", [OPENED, RESPONDED]))
    await world.advance(moment("06-09 14:00"))
    pages = [page async for page in published_since(world.writer, datetime(2020, 1, 1, tzinfo=UTC))]
    assert len(pages) > 1
    read = [event for page in pages for event in page]

    def in_order_of_tickets(all_events: Sequence[Event]) -> list[Event]:
        return sorted(all_events, key=lambda event: str(event.ticket_id) if isinstance(event, DeadlineEvent) else "")

    assert in_order_of_tickets(read) == in_order_of_tickets(await world.outbox())


@pytest.mark.rule("0.10", "1.7")
async def test_an_event_from_the_agenda_has_the_details_of_its_instant(world: TimerWorld) -> None:
    silent = [numbered_fact(1, "opened", "06-08 12:00", severity=2)]
    await world.receive(*events("SR-1", silent))
    await world.advance(moment("06-08 13:30"))
    later = [
        numbered_fact(2, "assessed", "06-08 13:40", impact={"business_risk": "catastrophic"}),
        numbered_fact(3, "assigned", "06-08 13:50", assignee=MAYA),
    ]
    await world.receive(*events("SR-1", [*silent, *later])[1:])
    await world.advance(moment("06-10 02:00"))
    await world.receive(events("SR-1", [*silent, numbered_fact(4, "acknowledged", "06-10 02:10", actor="maya")])[-1])
    await world.advance(moment("06-10 04:10"))
    published = await world.published(ticket("SR-1", silent).ticket_id)
    assert [(event.suggested_severity, event.ticket.assignee) for event in published] == [
        (None, None),
        *[(1, Assignee.model_validate(MAYA))] * 4,
    ]
    step = published[-1]
    assert isinstance(step, LadderStepDue)
    assert [(one.by, one.held_until) for one in step.acknowledgements] == [("maya", moment("06-10 04:10"))]


@pytest.mark.rule("5.30")
async def test_each_explicit_step_says_who_requested_the_latest_escalation(world: TimerWorld) -> None:
    escalated = [
        numbered_fact(number, "escalated", f"06-08 {time}", actor=actor, reason="The customer called.")
        for number, time, actor in ((2, "12:10", "ada"), (3, "12:20", "ida"))
    ]
    await world.receive(*events("SR-1", [numbered_fact(1, "opened", "06-08 12:00", severity=2), *escalated]))
    await world.advance(moment("06-08 14:20"))
    steps = [event for event in await world.outbox() if isinstance(event, LadderStepDue)]
    assert [(step.step, step.requested_by, step.requested_reason) for step in steps] == [
        (1, "ada", "The customer called."),
        (2, "ida", "The customer called."),
        (3, "ida", "The customer called."),
    ]


@pytest.mark.rule("6.6", "6.7")
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"routed_to": "escalations", "category": "project"}, "escalation.requested"),
        (
            {"channel": "email", "flags": ["rerouted"], "contact": {"name": "Ada", "email": "ada@acme.example"}},
            "request.rerouted",
        ),
    ],
)
async def test_a_notice_is_published_once_and_is_no_event_of_the_timeline(
    world: TimerWorld, fields: dict[str, Any], kind: str
) -> None:
    story = [
        OPENED,
        RESPONDED,
        numbered_fact(3, "resolved", "06-08 14:00"),
        numbered_fact(4, "reopened", "06-08 15:00"),
    ]
    all_events = events("SR-1", story, **fields)
    await world.receive(*all_events[:2])
    await world.receive(*all_events, *all_events)
    await world.advance(moment("06-09 15:00"))
    await world.store_policy(
        shipped_policy().model_copy(update={"version": "2", "in_force_from": moment("06-08 14:30")})
    )
    await world.service.policy_rollout.run()
    assert [event_type(event) for event in await world.outbox()].count(kind) == 1
    key = ticket("SR-1", story).ticket_id
    assert event_type((await world.published(key))[0]) == kind
    clocks = await world.get(f"/v1/tickets/{key}/clocks")
    assert kind not in {event["type"] for event in clocks["events"]}
    pages = [page async for page in published_since(world.writer, moment("06-01 12:00"))]
    assert [event_type(event) for page in pages for event in page].count(kind) == 1


@pytest.mark.rule("4.8", "4.13")
async def test_how_a_ladder_continues_is_published_once_and_is_no_event_of_the_timeline(world: TimerWorld) -> None:
    story = [
        numbered_fact(1, "opened", "06-08 13:00", severity=2),
        RESPONDED,
        numbered_fact(3, "resolved", "06-10 01:30"),
        numbered_fact(4, "reopened", "06-10 02:00"),
        numbered_fact(5, "severity_changed", "06-10 02:10", severity=1),
        numbered_fact(6, "paused", "06-10 02:20"),
        numbered_fact(7, "resumed", "06-10 02:30"),
    ]
    all_events = events("SR-1", story)
    for event, fact in zip(all_events, story, strict=True):
        await world.advance(fact.received_at)
        await world.receive(event)
        await world.receive(event, event)
    key = ticket("SR-1", story).ticket_id
    continued = [event for event in await world.published(key) if isinstance(event, LadderContinued)]
    stated = [(event.cycle, event.run, event.kept, event.severity, event.next_at) for event in continued]
    assert stated == [
        (2, 1, True, 2, moment("06-10 04:00")),
        (2, 1, True, 1, moment("06-10 03:00")),
        (2, 1, True, 1, None),
        (2, 1, True, 1, moment("06-10 03:10")),
    ]
    assert [event.at for event in continued] == [fact.occurred_at for fact in story[3:]]
    assert len({event.event_id for event in continued}) == 4
    clocks = await world.get(f"/v1/tickets/{key}/clocks")
    assert (clocks["next"], clocks["next_at"]) == ("step:2", render_instant(moment("06-10 03:10")))
    assert "ladder.continued" not in {event["type"] for event in clocks["events"]}
    # The sweep publishes the step; nothing is left to state.
    await world.advance(moment("06-10 03:10"))
    before = await world.published(key)
    await world.receive(*all_events)
    assert await world.published(key) == before
    assert summaries(before[-1:]) == [("step_due 2 of run 1", "06-10 03:10")]


@pytest.mark.rule("4.20", "5.12")
async def test_a_voided_step_that_falls_due_again_is_stated_by_the_sweep(world: TimerWorld) -> None:
    facts = [OPENED, RESPONDED]
    await world.receive(*events("SR-1", facts))
    await world.advance(moment("06-09 14:10"))
    late = numbered_fact(3, "acknowledged", "06-09 13:30", "06-09 14:10")
    await world.receive(events("SR-1", [*facts, late])[-1])
    await world.advance(moment("06-09 14:30"))
    key = ticket("SR-1", facts).ticket_id
    [*_, held, continued] = await world.published(key)
    assert isinstance(held, LadderHeld)
    assert isinstance(continued, LadderContinued)
    assert (held.until, continued.at, continued.held) == (continued.at, moment("06-09 14:30"), False)
    assert continued.next_at == moment("06-09 15:30")
