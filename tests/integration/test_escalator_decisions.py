"""The escalator's decisions in a real PostgreSQL: each is made once, however the events are batched."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from escalator import metrics
from escalator.domain.decisions import decide
from escalator.domain.tiers import TicketEscalation
from escalator.domain.vacancies import vacancy_check
from escalator.handlers import Handlers
from escalator.service import EscalatorService, build
from escalator.settings import Settings
from escalator.store.decisions import stored_decisions
from escalator.store.escalations import load_escalations
from escalator.store.ladders import count_open_ladders
from escalator.store.tables import DECISIONS, NOTIFICATIONS, OUTBOX
from prometheus_client import REGISTRY
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from support.deadline_events import HOUR, START, DeadlineEventFactory, ticket
from support.metrics import counter_value
from support.servers import MakeDatabase
from tocsin.events import DeadlineEvent, EscalationEvent, Watermark, event_id
from tocsin.runtime.errors import PoisonMessageError
from tocsin.runtime.http.api_keys import KeyFile, issue, write_keys
from tocsin.runtime.kafka.client import DEADLINES_TOPIC
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import BusinessClock

MOON = DeadlineEventFactory(ticket("SR-1"))
SUN = DeadlineEventFactory(ticket("SR-2", customer="globex"))
MISSED = MOON.breached("response")
EVENTS: list[DeadlineEvent] = [
    MOON.warned("resolution"),
    MISSED,
    SUN.step(1, reason="no_response"),
    MOON.voided(MISSED),
    MOON.step(1),
    SUN.held(0.5, until=24),
    MOON.step(2),
    MOON.step_voided(2),
    MOON.ended(1.5, "workaround"),
    MOON.step(3),
    MOON.ended(4),
    SUN.step(2, hours=24),
    MOON.continued(29, 30, cycle=2, kept=True),
    MOON.step(4, hours=30, cycle=2, kept=True),
    *(MOON.step(n, hours=26 + n, cycle=2, kept=True) for n in (5, 6)),
    MOON.exhausted(33, cycle=2, kept=True),
    MOON.ended(34, "cancelled", cycle=2, kept=True),
]
STEP_1 = EVENTS[2]
DIRECTORY = """
people:
  maya: { name: Maya Lindqvist, email: maya@example.com }
roles:
  service_desk_team_lead: [{ person: maya }]
  it_operations_director: [{ person: maya }]
  account_manager: [{ person: maya }]
  chief_executive_officer: [{ person: maya }]
"""


@pytest.fixture
async def service(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[EscalatorService]:
    directory = tmp_path / "directory.yaml"
    directory.write_text(DIRECTORY)
    settings = Settings(
        database_url=make_database("escalator"),
        kafka="127.0.0.1:1",
        keys=tmp_path / "keys.yaml",
        directory=directory,
    )
    built = build(settings, BusinessClock(START, START, 0.0))
    yield built
    await built.runtime.dispose()


@pytest.fixture
def writer(service: EscalatorService) -> AsyncEngine:
    return service.runtime.writer


@pytest.fixture
def handlers(service: EscalatorService) -> Handlers:
    return service.handlers


async def handle(writer: AsyncEngine, handlers: Handlers, events: Sequence[DeadlineEvent]) -> None:
    """Handle the events as one batch."""
    async with writer.begin() as connection:
        await handlers.on_batch(connection, _batch(events))


def _batch(events: Sequence[DeadlineEvent]) -> list[Received]:
    return [Received(event, DEADLINES_TOPIC, 0, offset) for offset, event in enumerate(events)]


async def load(writer: AsyncEngine) -> dict[str, TicketEscalation]:
    async with writer.begin() as connection:
        found = await load_escalations(connection, {MOON.ticket.ticket_id, SUN.ticket.ticket_id})
    return {"moon": found[MOON.ticket.ticket_id], "sun": found[SUN.ticket.ticket_id]}


async def decided(writer: AsyncEngine, since: datetime = START) -> list[EscalationEvent]:
    pages = [page async for page in stored_decisions(writer, since)]
    return [event for page in pages for event in page if isinstance(event, EscalationEvent)]


async def queued(writer: AsyncEngine) -> int:
    async with writer.begin() as connection:
        count, _ = await OUTBOX.pending(connection)
    return count


def expected(handlers: Handlers) -> tuple[dict[str, TicketEscalation], list[EscalationEvent]]:
    """What the pure function decides."""
    escalations = {"moon": TicketEscalation(), "sun": TicketEscalation()}
    published: list[EscalationEvent] = []
    for event in EVENTS:
        name = "moon" if event.ticket == MOON.ticket else "sun"
        is_vacant = vacancy_check(handlers.directory.current(), event.ticket.customer.id)
        escalations[name], new = decide(event, escalations[name], is_vacant)
        published += new
    return escalations, published


@pytest.mark.parametrize("size", [1, 2, 5, len(EVENTS)])
async def test_the_stored_state_equals_that_of_the_pure_functions(
    writer: AsyncEngine, handlers: Handlers, size: int
) -> None:
    for start in range(0, len(EVENTS), size):
        await handle(writer, handlers, EVENTS[start : start + size])
    escalations, published = expected(handlers)
    assert await load(writer) == escalations
    assert await decided(writer) == published
    assert len(published) > len(EVENTS) / 2


async def test_repeated_events_change_nothing(writer: AsyncEngine, handlers: Handlers) -> None:
    await handle(writer, handlers, [*EVENTS[:3], *EVENTS[:3], *EVENTS[3:]])
    before = await load(writer), await decided(writer), await queued(writer)
    await handle(writer, handlers, EVENTS)
    for event in EVENTS:
        await handle(writer, handlers, [event])
    assert (await load(writer), await decided(writer), await queued(writer)) == before
    assert before[2] == len(before[1])


async def test_a_decision_is_stored_counted_and_logged_only_by_the_commit(
    writer: AsyncEngine, handlers: Handlers
) -> None:
    def counted() -> float:
        labels = {"tier": "1", "reason": "no_response"}
        return counter_value("sla_escalations_total", **labels)

    before = counted()
    with capture_logs() as logs:
        async with writer.connect() as connection:
            await handlers.on_batch(connection, _batch([STEP_1]))
            await connection.rollback()
    assert (counted(), logs, await decided(writer)) == (before, [], [])
    with capture_logs() as logs:
        await handle(writer, handlers, [STEP_1])
    assert counted() == before + 1
    assert [(entry["type"], entry["role"]) for entry in logs] == [("notify", "service_desk_team_lead")]


async def test_decisions_can_be_read_from_an_instant_on(writer: AsyncEngine, handlers: Handlers) -> None:
    later = replace(handlers, clock=BusinessClock(START + HOUR, START, 0.0))
    await handle(writer, handlers, EVENTS[:5])
    await handle(writer, later, EVENTS[5:])
    everything = await decided(writer)
    since = await decided(writer, START + HOUR)
    assert 0 < len(since) < len(everything)
    assert since == everything[-len(since) :]
    async with writer.connect() as connection:
        ids = set((await connection.execute(select(DECISIONS.c.id))).scalars())
        still_open = (await connection.execute(select(func.count()).where(NOTIFICATIONS.c.open))).scalar_one()
    assert ids == {event_id(event) for event in everything}
    assert still_open == 2  # the tiers of the ticket that is still open


async def test_an_event_of_another_topic_is_a_poison_message(writer: AsyncEngine, handlers: Handlers) -> None:
    stray = Watermark(accepted_through=START)
    async with writer.begin() as connection:
        with pytest.raises(PoisonMessageError, match="progress"):
            await handlers.on_batch(connection, [Received(stray, DEADLINES_TOPIC, 0, 0)])


async def open_ladders(writer: AsyncEngine) -> dict[tuple[str, int], int]:
    async with writer.connect() as connection:
        return await count_open_ladders(connection)


async def test_open_ladders_are_counted_by_tier_and_severity(writer: AsyncEngine, handlers: Handlers) -> None:
    timers = [DeadlineEventFactory(ticket(f"SR-{number}")) for number in range(9)]
    silent, real, held, exhausted, vacant, ended, voided, history, kept = timers
    story: list[DeadlineEvent] = [
        silent.step(1, reason="no_response"),
        *(real.step(n, severity=2) for n in (1, 2)),  # tier 2 is vacant
        held.step(1),
        held.held(0.5, until=24, severity=3),
        exhausted.step(1),
        exhausted.exhausted(2),
        *(vacant.step(n) for n in (1, 2, 3, 4, 5)),
        ended.step(1),
        ended.ended(0.5),
        voided.step(1),
        voided.ended(0.5, "voided"),
        *(history.step(n, historic=True) for n in (1, 2, 3)),
        kept.step(1),
        kept.ended(0.5),
    ]
    await handle(writer, handlers, story)
    expected = {("1", 1): 1, ("3", 2): 1, ("1", 3): 1, ("exhausted", 1): 2}
    assert await open_ladders(writer) == expected
    await handle(writer, handlers, [kept.step(2, hours=9, cycle=2, kept=True), history.step(4, severity=4)])
    assert await open_ladders(writer) == expected | {("3", 1): 1, ("4", 4): 1}
    await handle(writer, handlers, [timer.ended(30, cycle=2 if timer is kept else 1) for timer in timers])
    assert await open_ladders(writer) == {}


@pytest.mark.rule("5.22")
async def test_the_ladder_of_a_reopened_ticket_is_counted_as_open_with_its_tier(
    writer: AsyncEngine, handlers: Handlers
) -> None:
    kept, exhausted, changed = [DeadlineEventFactory(ticket(f"SR-{number}")) for number in range(3)]
    closed = [kept.step(1), kept.ended(0.5), exhausted.step(1), exhausted.exhausted(1), exhausted.ended(2)]
    await handle(writer, handlers, [*closed, changed.step(1)])
    assert await open_ladders(writer) == {("1", 1): 1}
    reopened = [kept.continued(5, 6, cycle=2, kept=True), exhausted.continued(5, exhausted=1, cycle=2, kept=True)]
    await handle(writer, handlers, [*reopened, changed.continued(5, 7, severity=2)])
    expected = {("1", 1): 1, ("exhausted", 1): 1, ("1", 2): 1}
    assert await open_ladders(writer) == expected
    queue = await queued(writer)
    await handle(writer, handlers, [*reopened, *reopened])
    assert (await open_ladders(writer), await queued(writer)) == (expected, queue)
    await handle(writer, handlers, [timer.ended(8, cycle=2, kept=True) for timer in (kept, exhausted)])
    assert await open_ladders(writer) == {("1", 2): 1}


async def test_exhausted_history_is_neither_open_nor_counted(writer: AsyncEngine, handlers: Handlers) -> None:
    before = counter_value("sla_escalations_exhausted_total", reason="ladder")
    events = [*(MOON.step(n, historic=True) for n in range(1, 7)), MOON.exhausted(historic=True)]
    await handle(writer, handlers, events)
    assert await open_ladders(writer) == {}
    assert counter_value("sla_escalations_exhausted_total", reason="ladder") == before
    await handle(writer, handlers, [SUN.step(1), SUN.exhausted(2), SUN.exhausted(2)])
    assert counter_value("sla_escalations_exhausted_total", reason="ladder") == before + 1


def test_every_label_set_of_open_ladders_exists_and_returns_to_zero_or_to_unknown() -> None:
    labels = [
        {"tier": tier, "severity": str(severity)}
        for tier in (*map(str, range(1, 7)), "exhausted")
        for severity in range(1, 5)
    ]

    def values(*more: dict[str, str]) -> list[float | None]:
        return [REGISTRY.get_sample_value("sla_open_ladders", label) for label in (*labels, *more)]

    assert None not in values()  # before anything was measured
    higher = {"tier": "8", "severity": "2"}  # of a customer's own ladder
    metrics.set_open_ladders({("8", 2): 1, ("exhausted", 1): 3})
    assert sum(value or 0 for value in values(higher)) == 4
    metrics.set_open_ladders({})
    assert values(higher) == [0.0] * 29
    metrics.forget_open_ladders()
    assert all(value is not None and isnan(value) for value in values(higher))


@pytest.fixture
async def clients(service: EscalatorService, tmp_path: Path) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client for each of two tenants."""
    issued = {tenant: issue(tenant) for tenant in ("default", "other")}
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=tuple(entry for _, entry in issued.values())))
    transport = httpx.ASGITransport(service.app)
    async with AsyncExitStack() as stack:
        yield {
            tenant: await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=transport, base_url="http://escalator", headers={"Authorization": f"Bearer {text}"}
                )
            )
            for tenant, (text, _) in issued.items()
        }


async def post_ladders(client: httpx.AsyncClient, *items: tuple[UUID, UUID | None]) -> list[dict[str, Any]]:
    body = {"items": [{"ticket_id": str(ticket_id), "event_id": event and str(event)} for ticket_id, event in items]}
    response = await client.post("/v1/ladders", json=body)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    assert [item["ticket_id"] for item in found] == [str(ticket_id) for ticket_id, _ in items]
    return found


async def test_the_ladders_of_several_tickets_are_those_of_each(
    writer: AsyncEngine, handlers: Handlers, clients: dict[str, httpx.AsyncClient]
) -> None:
    await handle(writer, handlers, EVENTS)
    moon, sun, client = MOON.ticket.ticket_id, SUN.ticket.ticket_id, clients["default"]
    singles = {each: (await client.get(f"/v1/tickets/{each}/escalation")).json() for each in (moon, sun)}
    assert singles[moon]["cycle"] == 2
    found = await post_ladders(client, (sun, None), (moon, EVENTS[-1].event_id), (sun, STEP_1.event_id))
    assert [item["ladder"] for item in found] == [singles[sun], singles[moon], singles[sun]]
    assert [item["handled"] for item in found] == [True, True, True]


async def test_an_event_is_handled_once_it_was_and_only_for_its_ticket(
    writer: AsyncEngine, handlers: Handlers, clients: dict[str, httpx.AsyncClient]
) -> None:
    moon, sun = MOON.ticket.ticket_id, SUN.ticket.ticket_id
    warning, step = EVENTS[0].event_id, MOON.step(1).event_id
    await handle(writer, handlers, EVENTS[:1])
    items = ((moon, warning), (moon, step), (moon, None), (sun, warning), (sun, None), (UUID(int=1), warning))
    found = await post_ladders(clients["default"], *items)
    assert [item["handled"] for item in found] == [True, False, True, False, True, False]
    assert {item["ladder"] for item in found} == {None}
    await handle(writer, handlers, [MOON.step(1)])
    [item] = await post_ladders(clients["default"], (moon, step))
    assert (item["handled"], item["ladder"]["step"]) == (True, 1)
    [foreign] = await post_ladders(clients["other"], (moon, step))
    assert (foreign["handled"], foreign["ladder"]) == (False, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": [{"ticket_id": str(UUID(int=1))}] * 201}, "items"),
        ({"items": [{"ticket_id": "SR-1"}]}, "items[0].ticket_id"),
        ({"items": [{"ticket_id": str(UUID(int=1)), "event_id": 7}]}, "items[0].event_id"),
        ({"items": [{"ticket_id": str(UUID(int=1)), "event": None}]}, "items[0].event"),
    ],
)
async def test_an_invalid_request_for_ladders_names_its_field(
    clients: dict[str, httpx.AsyncClient], body: dict[str, Any], field: str
) -> None:
    response = await clients["default"].post("/v1/ladders", json=body)
    assert (response.status_code, [error["field"] for error in response.json()["errors"]]) == (422, [field])
