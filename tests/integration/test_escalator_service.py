"""The escalator as a process: deadline events in, escalation events out, and its HTTP API."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from support.deadline_events import HOUR, START, DeadlineEventFactory, ticket
from support.polling import eventually
from support.servers import NO_CERTIFICATES, MakeDatabase, SharedKafka
from tocsin.events import (
    Acknowledgement,
    DeadlineEvent,
    EscalationEvent,
    Event,
    Exhausted,
    Notify,
    StandDown,
    Withdraw,
    decode,
    encode,
)
from tocsin.instants import render_instant
from tocsin.runtime.http.api_keys import KeyFile, issue, write_keys
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, ESCALATIONS_TOPIC, new_producer, partition_of
from tocsin_local.loopback import free_port
from tocsin_local.processes import Process
from tocsin_local.services import ServicePart

pytestmark = pytest.mark.long

SECONDS = 30
PEOPLE = "people:\n  maya: { name: Maya Lindqvist, email: maya@example.com }\nroles:\n"
HELD = ("service_desk_team_lead", "it_operations_director", "account_manager", "chief_operating_officer")


def directory_of(roles: Sequence[str]) -> str:
    return PEOPLE + "".join(f"  {role}: [{{ person: maya }}]\n" for role in roles)


class EscalatorWorld:
    """A running escalator, its topics and its directory."""

    def __init__(self, service: ServicePart, kafka: str, keys: Mapping[str, str], directory: Path, log: Path) -> None:
        self.service = service
        self.kafka = kafka
        self.keys = keys
        self.directory = directory
        self.log = log
        self.process = Process(service, log)
        self.received: list[EscalationEvent] = []

    def restart(self, end: Callable[[Process], None]) -> None:
        end(self.process)
        self.process = Process(self.service, self.log)
        self.process.wait_ready(SECONDS)

    async def publish(self, *events: DeadlineEvent) -> None:
        await self.send(*((str(event.ticket_id).encode(), *encode(event, "sla-timer")) for event in events))

    async def send(self, *records: tuple[bytes, Sequence[tuple[str, bytes]], bytes]) -> None:
        producer = new_producer(self.kafka)
        await producer.start()
        try:
            for key, headers, value in records:
                await producer.send_and_wait(DEADLINES_TOPIC, value, key, partition_of(key), headers=list(headers))
        finally:
            await producer.stop()

    async def listen(self) -> None:
        consumer = AIOKafkaConsumer(
            ESCALATIONS_TOPIC, bootstrap_servers=self.kafka, group_id=None, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            async for record in consumer:
                event: Event = decode(record.headers, record.value)
                assert isinstance(event, EscalationEvent)
                assert record.partition == partition_of(record.key)
                self.received.append(event)
        finally:
            await consumer.stop()

    async def get(self, path: str, tenant: str = "default", status: int = 200, **query: Any) -> Any:
        async with httpx.AsyncClient(base_url=self.service.url, verify=NO_CERTIFICATES) as client:
            headers = {"Authorization": f"Bearer {self.keys[tenant]}"}
            answer = await client.get(path, params=query or None, headers=headers, timeout=10)
        assert answer.status_code == status, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    def status(self) -> str:
        return f"received {[type(event).__name__ for event in self.received]}; log: {self.log.read_text()[-4000:]}"


@pytest.fixture
def running(make_database: MakeDatabase, kafka: SharedKafka, tmp_path: Path) -> Iterator[EscalatorWorld]:
    kafka.fresh_topics()
    issued = {tenant: issue(tenant) for tenant in ("default", "other")}
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=tuple(entry for _, entry in issued.values())))
    directory = tmp_path / "directory.yaml"
    directory.write_text(directory_of(HELD))
    settings = {
        "TOCSIN_DATABASE_URL": make_database("escalator"),
        "TOCSIN_KAFKA": kafka.bootstrap,
        "TOCSIN_KEYS": str(tmp_path / "keys.yaml"),
        "TOCSIN_DIRECTORY": str(directory),
        "TOCSIN_CLOCK_EPOCH": render_instant(START),
        "TOCSIN_CLOCK_ORIGIN": render_instant(START),
    }
    service = ServicePart("escalator", "escalator", free_port(), settings)
    keys = {tenant: text for tenant, (text, _) in issued.items()}
    world = EscalatorWorld(service, kafka.bootstrap, keys, directory, tmp_path / "escalator.log")
    try:
        world.process.wait_ready(SECONDS)
        yield world
    finally:
        world.process.stop()


@pytest.fixture
async def world(running: EscalatorWorld) -> AsyncIterator[EscalatorWorld]:
    listening = asyncio.create_task(running.listen())
    yield running
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_a_ladder_from_its_first_step_to_its_end(world: EscalatorWorld) -> None:
    timer = DeadlineEventFactory()
    steps = [timer.step(n) for n in (1, 2)]
    await world.publish(timer.warned("resolution"), *steps, steps[0], *steps)
    await eventually(lambda: len(world.received) >= 3, world.status)
    path = f"/v1/tickets/{timer.ticket.ticket_id}/escalation"
    found = await world.get(path)
    assert (found["state"], found["tier"], found["step"], found["reason"]) == ("running", 3, 2, "resolution_breached")
    assert [(step["tier"], step["skipped"], step["at"]) for step in found["told"]] == [
        (1, [], "2026-06-09T13:00:00.000000Z"),
        (3, [2], "2026-06-09T14:00:00.000000Z"),
    ]
    assert found["next"] == {"at": "2026-06-09T15:00:00.000000Z", "tier": 4, "role": "account_manager"}

    await world.publish(timer.held(1.5, until=24), timer.ended(2), timer.ended(2))
    await eventually(lambda: isinstance(world.received[-1], Withdraw), world.status)
    assert [type(event) for event in world.received] == [Notify, Notify, Notify, StandDown, Withdraw]
    found = await world.get(path)
    assert (found["state"], found["end_reason"], found["next"]) == ("ended", "resolved", None)
    assert found["ended_at"] == render_instant(START + 2 * HOUR)
    metrics = await world.get("/metrics")
    assert 'sla_escalations_total{reason="resolution_breached",tier="1"} 1.0' in metrics
    assert 'sla_escalations_total{reason="explicit",tier="6"} 0.0' in metrics


async def test_an_item_shows_the_ticket_its_deadline_who_was_told_and_who_acknowledged(world: EscalatorWorld) -> None:
    timer = DeadlineEventFactory(ticket("SR/10 42"))
    known = Acknowledgement(at=START + HOUR / 2, by="maya", held_until=START + HOUR)
    await world.publish(timer.step(1), timer.step(2, acknowledgements=(known,)), timer.held(1.2, until=3, actor="ruth"))
    path = "/v1/tickets/by-external/connectwise/SR%2F10%2042/escalation"
    await eventually_found(world, path, state="held")
    (item,) = (await world.get("/v1/escalations"))["items"]
    assert item == await world.get(path)
    assert (item["source"], item["external_id"], item["summary"]) == ("connectwise", "SR/10 42", "Mail is down")
    assert item["customer"] == {"id": "acme", "name": "Acme"}
    assert (item["severity"], item["due_at"]) == (1, render_instant(START))
    assert [(step["tier"], step["role"], step["at"]) for step in item["told"]] == [
        (1, "service_desk_team_lead", render_instant(START)),
        (3, "it_operations_director", render_instant(START + HOUR)),
    ]
    assert item["acknowledgements"] == [
        {"at": render_instant(START + HOUR / 2), "by": "maya", "held_until": render_instant(START + HOUR)},
        {"at": render_instant(START + 1.2 * HOUR), "by": "ruth", "held_until": render_instant(START + 3 * HOUR)},
    ]
    await world.get("/v1/tickets/by-external/connectwise/SR-1/escalation", status=404)
    await world.get("/v1/tickets/by-external/jira/SR%2F10%2042/escalation", status=404)
    await world.get(path, tenant="other", status=404)


async def eventually_found(world: EscalatorWorld, path: str, **fields: Any) -> None:
    """Wait until the ladder at `path` has these fields."""

    async def found() -> bool:
        items = (await world.get("/v1/escalations"))["items"]
        return any(all(item[name] == value for name, value in fields.items()) for item in items)

    await eventually(found, world.status)
    await world.get(path)


@pytest.mark.rule("5.22")
async def test_an_exhausted_ladder_is_shown_and_counted_until_the_ticket_closes(world: EscalatorWorld) -> None:
    """HELD leaves tiers 2 and 6 vacant, so the fifth step has nobody left."""
    timer = DeadlineEventFactory(ticket("SR-1"))
    await world.publish(*(timer.step(n, reason="no_response") for n in range(1, 6)))
    path = "/v1/tickets/by-external/connectwise/SR-1/escalation"
    await eventually_found(world, path, state="exhausted")
    found = await world.get(path)
    assert (found["exhausted"], found["exhausted_at"]) == ("vacant", render_instant(START + 4 * HOUR))
    assert (found["skipped"], found["next"]) == ([6], None)
    assert [item["external_id"] for item in (await world.get("/v1/escalations", state="exhausted"))["items"]] == [
        "SR-1"
    ]

    async def gauge(value: int) -> bool:
        return f'sla_open_ladders{{severity="1",tier="exhausted"}} {value}.0' in await world.get("/metrics")

    await eventually(lambda: gauge(1), world.status)
    metrics = await world.get("/metrics")
    assert 'sla_escalations_exhausted_total{reason="vacant"} 1.0' in metrics
    assert 'sla_escalations_exhausted_total{reason="ladder"} 0.0' in metrics
    assert 'sla_escalations_total{reason="no_response",tier="5"} 1.0' in metrics
    await world.publish(timer.ended(6))
    await eventually(lambda: gauge(0), world.status)


async def test_the_list_is_filtered_paged_and_limited_to_the_callers_tenant(world: EscalatorWorld) -> None:
    timers = [DeadlineEventFactory(ticket(f"SR-{n}", customer="acme" if n % 2 else "globex")) for n in range(5)]
    theirs = DeadlineEventFactory(ticket("SR-1", tenant="other"))
    await world.publish(*(timer.step(1) for timer in [*timers, theirs]), timers[0].step(2), timers[1].ended(1))
    await eventually(lambda: len(world.received) == 8, world.status)

    pages, cursor = [], None
    while True:
        page = await world.get("/v1/escalations", limit=2, **({"cursor": cursor} if cursor else {}))
        pages.append([item["ticket_id"] for item in page["items"]])
        if (cursor := page["next_cursor"]) is None:
            break
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {name for page in pages for name in page} == {str(timer.ticket.ticket_id) for timer in timers}

    async def names(**query: Any) -> set[str]:
        return {item["ticket_id"] for item in (await world.get("/v1/escalations", **query))["items"]}

    def ids(*numbers: int) -> set[str]:
        return {str(timers[n].ticket.ticket_id) for n in numbers}

    assert await names(customer="acme") == ids(1, 3)
    assert await names(tier=3) == ids(0)
    assert await names(state="ended") == ids(1)
    second = {"step_from": render_instant(START + HOUR), "step_to": render_instant(START + 2 * HOUR)}
    assert await names(**second) == await names(step_from=second["step_from"]) == ids(0)
    assert await names(step_to=second["step_from"]) == ids(0, 1, 2, 3, 4)
    assert await names(step_to=render_instant(START)) == set()
    assert await names(ticket_id=timers[4].ticket.ticket_id) == ids(4)
    assert await names(ticket_id=theirs.ticket.ticket_id) == set()
    assert await names(tenant="other") == {str(theirs.ticket.ticket_id)}
    await world.get(f"/v1/tickets/{theirs.ticket.ticket_id}/escalation", status=404)
    await world.get(f"/v1/tickets/{uuid4()}/escalation", status=404)
    for wrong in ({"limit": 0}, {"limit": 501}, {"cursor": "x"}, {"state": "lost"}, {"tier": 0}, {"customer": "a\0"}):
        problem = await world.get("/v1/escalations", status=422, **wrong)
        assert [error["field"] for error in problem["errors"]] == list(wrong)


async def test_a_new_directory_takes_effect_without_a_restart(world: EscalatorWorld) -> None:
    timer = DeadlineEventFactory()
    await world.publish(timer.step(1))
    await eventually(lambda: len(world.received) == 1, world.status)
    world.directory.write_text(directory_of(["senior_it_operations_manager"]))
    await world.publish(timer.step(2), timer.step(3))
    await eventually(lambda: len(world.received) == 3, world.status)
    second, exhausted = world.received[1:]
    assert isinstance(second, Notify)
    assert second.role == "senior_it_operations_manager"
    assert isinstance(exhausted, Exhausted)
    assert [tier.number for tier in exhausted.skipped] == [3, 4, 5, 6]


async def test_an_invalid_directory_is_reported_and_the_last_valid_one_stays_active(world: EscalatorWorld) -> None:
    world.directory.write_text("people: [\n")
    timer = DeadlineEventFactory()
    await world.publish(timer.step(1), timer.step(2))
    await eventually(lambda: len(world.received) == 2, world.status)
    assert isinstance(world.received[1], Notify)
    assert world.received[1].role == "it_operations_director"
    ready = await world.get("/readyz")
    assert "directory.yaml" in ready["checks"]["directory"]
    assert "sla_directory_broken 1.0" in await world.get("/metrics")


async def test_after_a_kill_and_a_restart_nothing_is_missed_or_repeated(world: EscalatorWorld) -> None:
    timers = [DeadlineEventFactory(ticket(f"SR-{n}")) for n in range(20)]
    await world.publish(*(timer.step(1) for timer in timers))
    world.restart(Process.kill)
    await world.publish(*(timer.step(2) for timer in timers))
    world.restart(Process.stop)
    await world.publish(*(timer.ended(1.5) for timer in timers))
    await eventually(lambda: sum(isinstance(event, StandDown) for event in world.received) >= 20, world.status)
    for timer in timers:
        # On the bus at least once and in order, once in effect: the ids are the same.
        mine = {event.event_id: event for event in world.received if event.ticket_id == timer.ticket.ticket_id}
        assert [type(event) for event in mine.values()] == [Notify, Notify, StandDown]


async def test_later_events_of_a_ticket_wait_behind_its_dead_letter(world: EscalatorWorld) -> None:
    timer = DeadlineEventFactory()
    key = str(timer.ticket.ticket_id).encode()
    headers, value = encode(timer.step(1), "sla-timer")
    await world.send((key, headers, value.replace(b'"step":1', b'"step":"one"')))
    await world.publish(timer.step(2), DeadlineEventFactory(ticket("SR-2")).step(1))
    await eventually(lambda: len(world.received) == 1, world.status)
    letters = (await world.get("/v1/dead-letters"))["items"]
    assert [letter["offset"] for letter in letters] == [0, 1]
    assert "step" in letters[0]["reason"]
    await world.get(f"/v1/tickets/{timer.ticket.ticket_id}/escalation", status=404)


async def test_republish_publishes_decisions_with_the_same_ids(world: EscalatorWorld) -> None:
    timer = DeadlineEventFactory()
    await world.publish(timer.step(1), timer.step(2), timer.ended(2))
    await eventually(lambda: len(world.received) == 3, world.status)
    command = [sys.executable, "-m", "escalator", "republish", "--since", "2020-01-01T00:00:00Z"]
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | world.service.settings)
    assert await process.wait() == 0
    await eventually(lambda: len(world.received) == 6, world.status)
    assert world.received[3:] == world.received[:3]
