"""The board's read model equals what the services say, in whatever order their records arrive."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from board.domain.board_ticket import BoardClock, BoardTicket
from board.domain.owner_responses import read_clocks, read_ladder
from board.handlers.rebuild import rebuild
from board.store.history import load_deliveries, load_events, load_facts
from board.store.rebuilds import load_rebuild_version
from board.store.tables import TICKETS
from board.store.tickets import BoardFilter, load_by_external, load_changed, load_open, load_version
from notifier.domain.smtp_reply import SmtpOutcome
from sqlalchemy import select
from support.board_world import CONSUMED, TENANTS, BoardWorld, board_world, ticket_body
from support.random_stories import random_story
from support.search_budget import tries
from support.servers import MakeDatabase
from tocsin.events import DeadlineEvent, EscalationEvent, event_id
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, ESCALATIONS_TOPIC, PARTITIONS, TICKETS_TOPIC, TOPICS

START = datetime(2026, 1, 1, tzinfo=UTC)
MONDAY = datetime(2026, 6, 8, 12, tzinfo=UTC)
STORIES = 5
OUTCOMES = (
    SmtpOutcome.ACCEPTED,
    SmtpOutcome.ACCEPTED,
    SmtpOutcome.DEFERRED,
    SmtpOutcome.AMBIGUOUS,
    SmtpOutcome.REFUSED,
)


@pytest.mark.parametrize("seed", range(tries(2)))
async def test_the_read_model_equals_what_the_services_say(
    seed: int, make_database: MakeDatabase, tmp_path: Path
) -> None:
    """Stories happen while every service reads at random: the board is ahead of the others, or behind, or both. It is
    killed and started, and gets records again. At the end it equals the services; built anew, it does again.
    """
    random = Random(seed)
    async with board_world(make_database, tmp_path, START) as world:
        happen = Happenings(random, world)
        while happen.steps:
            await happen.one()
        happen.republish_some()
        await world.settle()
        await assert_equal(world)

        async with world.engine("board").begin() as connection:
            before = await load_version(connection)
            await rebuild(connection, {})
        async with world.engine("board").begin() as connection:
            assert await load_version(connection) >= await load_rebuild_version(connection) > before
        world.positions |= {key: 0 for key in world.positions if key[0] == "board"}
        while any(world.unread("board", topic) for topic in TOPICS):
            await happen.read_a_batch("board")
        await world.settle()
        await assert_equal(world)


class Happenings:
    """The facts of some stories in the order of time, and everything else that happens between them."""

    def __init__(self, random: Random, world: BoardWorld) -> None:
        self.random, self.world = random, world
        self.steps: list[tuple[datetime, str, str, Any]] = []
        for number in range(STORIES):
            story = random_story(random)
            name, tenant = f"SR-{number}", random.choices(TENANTS, (5, 1))[0]
            opened, *facts = story["facts"]
            first = datetime.fromisoformat(opened["occurred_at"])
            if random.random() < 0.2:
                facts.sort(key=lambda fact: fact["occurred_at"])
                body = opening_body(random, name, opened) | {"events": list(map(event_body, facts)), "history": True}
                end = max(datetime.fromisoformat(fact["occurred_at"]) for fact in story["facts"])
                self.steps.append((end, tenant, "/v1/tickets/batch", {"tickets": [body]}))
                continue
            self.steps.append((first, tenant, "/v1/tickets", opening_body(random, name, opened)))
            path = f"/v1/tickets/by-external/tests/{name}/events"
            for fact in facts:
                first = max(first, datetime.fromisoformat(fact["occurred_at"]))
                self.steps.append((first, tenant, path, event_body(fact)))
        self.steps.sort(key=lambda step: step[0])
        self.steps.reverse()

    async def one(self) -> None:
        """Something happens."""
        random, world = self.random, self.world
        kind = random.choices(
            ("fact", "timer", "others", "mails", "board", "refresh", "restart", "again"), (8, 6, 6, 2, 12, 4, 1, 2)
        )[0]
        if kind == "fact":
            at, tenant, path, body = self.steps.pop()
            world.set_clock(max(at, world.clock.now()))
            await world.post(tenant, path, body)
        elif kind == "timer":
            await (world.advance_timer() if random.random() < 0.7 else self.read_a_batch("sla-timer"))
        elif kind == "others":
            await self.read_a_batch(random.choice(("escalator", "notifier")))
        elif kind == "mails":
            await world.attempt_mails(lambda: random.choice(OUTCOMES))
        elif kind == "board":
            await self.read_a_batch("board")
        elif kind == "refresh":
            await asyncio.gather(world.refresh(), self.read_a_batch("board"), self.read_a_batch("escalator"))
        elif kind == "restart":
            await world.fail_to_read(random.choice(TOPICS), random.randrange(PARTITIONS), random.randrange(1, 5))
        else:
            await self.repeat_records()
        await world.publish()

    async def read_a_batch(self, consumer: str) -> None:
        """One consumer handles some records of a partition that has any."""
        waiting = [
            (topic, partition) for topic in CONSUMED[consumer] for partition in self.world.unread(consumer, topic)
        ]
        if waiting:
            topic, partition = self.random.choice(waiting)
            await self.world.read(consumer, topic, partition, self.random.choice((1, 2, 5, 20)))

    def republish_some(self) -> None:
        """Every service publishes some of what it has stored again, not always up to the latest."""
        for topic, partitions in self.world.topics.items():
            for partition, records in enumerate(partitions):
                begin, end = sorted(self.random.choices(range(len(records) + 1), k=2))
                self.world.republish(topic, partition, begin, end)

    async def repeat_records(self) -> None:
        """Old records are published again, or the board reads records once more."""
        topic, partition = self.random.choice(TOPICS), self.random.randrange(PARTITIONS)
        end = len(self.world.topics[topic][partition])
        begin = self.random.randrange(end + 1)
        if self.random.random() < 0.5:
            self.world.republish(topic, partition, begin, self.random.randrange(begin, end + 1))
        else:
            position = self.world.positions["board", topic, partition]
            self.world.positions["board", topic, partition] = min(begin, position)


async def test_a_ticket_whose_opening_never_arrives_is_shown_from_its_events(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    """The tickets topic keeps three days: after a rebuild older tickets are known from their deadlines alone."""
    async with board_world(make_database, tmp_path, MONDAY) as world:
        await world.open_ticket("SR-1")
        for hours, kind in ((1, "responded"), (2, "paused")):
            world.set_clock(MONDAY + timedelta(hours=hours))
            await world.record("SR-1", kind)
        await world.advance_timer()
        await world.publish()
        (partition,) = world.unread("board", TICKETS_TOPIC)
        world.positions["board", TICKETS_TOPIC, partition] = 1
        await world.read_all("board", DEADLINES_TOPIC)
        found = await world.load("SR-1")
        assert (found.state, found.facts, found.severity) == ("open", 0, 1)
        await world.settle()
        found = await world.load("SR-1")
        assert (found.state, found.facts, found.clocks[-1].state) == ("paused", 2, "paused")
        world.republish(TICKETS_TOPIC, partition, 0, 1)
        await world.settle()
        await assert_equal(world)


async def test_no_version_is_missed_although_they_are_committed_out_of_order(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    async with board_world(make_database, tmp_path, MONDAY) as world:
        for number in range(12):
            await world.open_ticket(f"SR-{number}")
        slow, *others = world.unread("board", TICKETS_TOPIC)
        engine = world.engine("board")
        async with engine.begin() as connection:
            await world.board.handlers.on_tickets(connection, world.topics[TICKETS_TOPIC][slow])
            for partition in others:
                await world.read("board", TICKETS_TOPIC, partition)
            async with engine.connect() as reading:
                before = await load_version(reading)
                assert await load_changed(reading, before) == []
        async with engine.connect() as reading:
            changed = await load_changed(reading, before)
            assert len(changed) == 12
            assert await load_changed(reading, changed[-1].version) == []
            assert await load_version(reading) == changed[-1].version


async def assert_equal(world: BoardWorld) -> None:
    """The board says what the services say of every ticket."""
    at = world.clock.now()
    published = {
        topic: {record.event.ticket_id for records in world.topics[topic] for record in records} for topic in TOPICS
    }
    for tenant in TENANTS:
        listed = (await world.get("intake", tenant, "/v1/tickets?limit=500"))["items"]
        async with world.engine("board").connect() as connection:
            shown = await load_open(connection, BoardFilter(tenant))
        assert {str(each.ticket_id) for each in shown} == {
            each["ticket_id"] for each in listed if each["state"] == "open"
        }
        items = await world.clocks(tenant, [each["ticket_id"] for each in listed]) if listed else []
        clocks = {item["ticket_id"]: read_clocks(item) for item in items}
        for each in listed:
            ticket_id = each["ticket_id"]
            async with world.engine("board").connect() as connection:
                found = await load_by_external(connection, tenant, each["source"], each["external_id"])
            assert str(found.ticket_id) == ticket_id
            await assert_equal_facts(world, tenant, found)
            await assert_equal_history(world, tenant, found)
            if tenant == TENANTS[0]:
                assert_equal_clocks(found.clocks, clocks[ticket_id], at)
                ladder = await world.get("escalator", tenant, f"/v1/tickets/{ticket_id}/escalation")
                assert found.ladder == (None if ladder is None else read_ladder(ladder))
            else:
                assert (found.clocks, found.ladder) == ((), None), "the board has no key of this tenant"
    async with world.engine("board").connect() as connection:
        known = set((await connection.execute(select(TICKETS.c.ticket_id))).scalars())
    assert known == set.union(*published.values())


async def assert_equal_facts(world: BoardWorld, tenant: str, found: BoardTicket) -> None:
    ticket = await world.get("intake", tenant, f"/v1/tickets/{found.ticket_id}")
    assert found.is_open is (ticket["state"] == "open")
    assert found.severity == ticket["severity"]
    assert found.historic is ticket["history"]
    assert found.assignee == (ticket["assignee"]["name"] if ticket["assignee"] else None)
    assert found.facts == len(ticket["facts"])
    async with world.engine("board").connect() as connection:
        facts = await load_facts(connection, found.ticket_id)
    assert [(fact.number, fact.event_id, fact.type) for fact in facts] == [
        (fact["number"], fact["event_id"], fact["type"]) for fact in ticket["facts"]
    ]
    assert found.ticket.summary == ticket["summary"]


async def assert_equal_history(world: BoardWorld, tenant: str, found: BoardTicket) -> None:
    """Every event was kept once, each delivery in its current state, and the last mail is the one sent last."""
    async with world.engine("board").connect() as connection:
        events = await load_events(connection, found.ticket_id)
        deliveries = await load_deliveries(connection, found.ticket_id)
    published = {
        event_id(record.event)
        for topic in (DEADLINES_TOPIC, ESCALATIONS_TOPIC)
        for records in world.topics[topic]
        for record in records
        if isinstance(record.event, DeadlineEvent | EscalationEvent) and record.event.ticket_id == found.ticket_id
    }
    assert Counter(map(event_id, events)) == Counter(published)
    query = f"/v1/deliveries?limit=500&ticket_id={found.ticket_id}"
    expected = (await world.get("notifier", tenant, query))["items"]
    assert {str(each.delivery_id): (each.state, each.attempts) for each in deliveries} == {
        each["id"]: (each["state"], each["attempts"]) for each in expected
    }
    sent = [each for each in expected if each["state"] == "sent" and each["kind"] != "rerouted"]
    last = max(sent, key=lambda each: (each["changed_at"], each["id"]), default=None)
    shown = found.last_mail
    assert (shown and (shown.name, shown.role)) == (last and (last["name"], last["role"]))


def assert_equal_clocks(shown: tuple[BoardClock, ...], expected: tuple[BoardClock, ...], at: datetime) -> None:
    """The clocks are equal, and so are the times left at any instant from now on."""
    for one, other in zip(shown, expected, strict=True):
        for later in (timedelta(0), timedelta(minutes=17), timedelta(hours=9), timedelta(days=3), timedelta(days=40)):
            assert one.left(at + later) == other.left(at + later)
            assert one.is_overdue(at + later) is other.is_overdue(at + later)
        assert _without_progress(one) == _without_progress(other)


def _without_progress(clock: BoardClock) -> BoardClock:
    return replace(clock, counted=timedelta(0), evaluated_to=START, remaining=(), further=timedelta(0))


def opening_body(random: Random, name: str, opened: dict[str, Any]) -> dict[str, Any]:
    stated = {name: opened[name] for name in ("channel", "category", "starts_at", "severity") if name in opened}
    return ticket_body(
        name,
        opened_at=opened["occurred_at"],
        customer=random.choice(({"id": "acme", "name": "Acme"}, {"id": "globex", "name": "Globex"})),
        assignee=random.choice((None, {"name": "Ruth", "email": "ruth.adeyemi@example.com"}, {"name": "Sam"})),
        **stated,
    )


def event_body(fact: dict[str, Any]) -> dict[str, Any]:
    return {"actor": "maya"} | {name: value for name, value in fact.items() if value is not None or name == "assignee"}
