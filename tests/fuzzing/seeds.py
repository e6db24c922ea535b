"""Data for Schemathesis: each service's own handlers and calls fill its database."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import board.store.tables
import escalator.store.tables
import httpx
import intake.store.tables
import notifier.store.tables
import sla_timer.store.tables
from escalator.api.schemas import LadderResponse
from escalator.service import build
from escalator.settings import Settings
from sla_timer.api.ticket_clocks import current_clocks_json
from sqlalchemy.ext.asyncio import AsyncEngine
from support.board_rows import board_row
from support.deadline_events import START, DeadlineEventFactory
from support.deadline_events import ticket as escalated_ticket
from support.evaluated_board_tickets import evaluated
from support.fake_timer import shipped_history
from support.intake_world import event
from support.intake_world import ticket as posted
from support.notifier_events import NOON, TIERS, escalation
from support.notifier_events import ticket as mailed_ticket
from support.notifier_world import make_world
from support.servers import SharedSink
from support.service_apps import LINKS, POLICIES, build_service
from support.stories import fact
from support.timer_world import events, facts_of, timer_world
from support.webhook_recordings import auth_headers, recorded
from tocsin.acknowledgement import AcknowledgementLink, LinkSigner
from tocsin.events import Event, Fact, FactType, Ticket, TicketOpened, UpcomingStep, encode
from tocsin.runtime.database import bulk
from tocsin.runtime.database.dead_letters import DeadLetter, DeadLetterOrigin, DeadLetters
from tocsin.runtime.kafka.client import (
    DEADLINES_TOPIC,
    ESCALATIONS_TOPIC,
    NOTIFICATIONS_TOPIC,
    TICKETS_TOPIC,
    partition_of,
)
from tocsin.runtime.kafka.record_headers import pack
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import BusinessClock

Known = Mapping[str, Any]
NEVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
LONG_AGO: Final = datetime(2026, 6, 9, tzinfo=UTC)
LETTERS: Final = 20
MAILS: Final = 256


async def seed(service: str, url: str, folder: Path, sink: SharedSink) -> Known:
    """Fill the service's database. Returns the data that the fuzzing hooks use. `folder` holds keys.yaml."""
    match service:
        case "intake":
            return await seed_intake(url, folder)
        case "sla-timer":
            return await seed_timer(url, folder)
        case "escalator":
            return await seed_escalator(url, folder)
        case "board":
            return await seed_board(url, folder)
        case _:
            return await seed_notifier(url, folder, sink)


async def seed_intake(url: str, folder: Path) -> Known:
    """Open, closed and reopened tickets, unmapped deliveries, and acknowledgement links."""
    service = build_service("intake", url, folder)
    key = {"Authorization": f"Bearer {(folder / 'key').read_text()}"}
    tickets = {}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(service.app), base_url="http://intake", headers=key
    ) as client:

        async def post(path: str, **request: Any) -> Any:
            answer = await client.post(path, **request)
            assert answer.is_success, answer.text
            return answer.json()

        for name, kinds in TICKET_EVENTS.items():
            tickets[name] = (await post("/v1/tickets", json=posted(name)))["ticket_id"]
            for kind in kinds:
                await post(f"/v1/tickets/{tickets[name]}/events", json=event(kind))
        pending = [(await post("/v1/tickets", json=posted(f"SR-1{number}")))["ticket_id"] for number in range(8)]
        parked = recorded("connectwise", "1-added").replace(b"New (email)", b"Parked")
        for number in range(LETTERS):
            raw = parked.replace(b"0001", b"%04d" % number)
            answer = await post("/v1/hooks/connectwise/default", content=raw, headers=auth_headers("connectwise", raw))
            assert answer["state"] == "unmapped", answer
    await _add_dead_letters(service.runtime.writer, intake.store.tables.DEAD_LETTERS, TICKETS_TOPIC, None)
    await service.runtime.dispose()
    return {
        "tickets": [posted(name) for name in tickets],
        "ids": list(tickets.values()),
        "open": [LINKS.sign(_link(UUID(ticket), step=1)) for ticket in pending],
        "tokens": _tokens(tickets),
    }


TICKET_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "SR-1": ("responded",),
    "SR-2": (),
    "SR-3": ("responded", "resolved"),
    "SR-4": ("resolved", "reopened"),
}


def _tokens(tickets: Mapping[str, str]) -> list[str]:
    """Tokens of open, closed, reopened and unknown tickets, an expired one, and one with another signature."""
    ids = [*map(UUID, tickets.values()), UUID(int=7)]
    ours = [LINKS.sign(_link(ticket, step=step)) for ticket in ids for step in (1, 2, 3)]
    expired = LINKS.sign(_link(ids[0], step=1, expires_at=LONG_AGO))
    return [*ours, expired, LinkSigner(["z" * 32]).sign(_link(ids[0], step=1))]


def _link(ticket: UUID, **fields: Any) -> AcknowledgementLink:
    defaults = {
        "tenant": "default",
        "ticket_id": ticket,
        "cycle": 1,
        "run": 1,
        "tier": TIERS[1],
        "reason": "resolution_breached",
        "person": "ruth.adeyemi",
        "name": "Ruth Adeyemi",
        "upcoming": UpcomingStep(at=NOON, tier=TIERS[2]),
        "expires_at": NEVER,
    }
    return AcknowledgementLink.model_validate(defaults | fields)


async def seed_timer(url: str, folder: Path) -> Known:
    """Tickets with running, paused, met and breached clocks."""
    (folder / "timer").mkdir()
    stories = [events(name, facts_of({"facts": facts})) for name, facts in TIMER_FACTS.items()]
    async with timer_world(url, folder / "timer") as made:
        for story in stories:
            await made.receive(*story)
        await made.advance(datetime(2026, 6, 12, tzinfo=UTC))
        await _add_dead_letters(made.writer, sla_timer.store.tables.DEAD_LETTERS, DEADLINES_TOPIC, TICKETS_TOPIC)
    tickets = [opened.ticket for opened, *_ in stories if isinstance(opened, TicketOpened)]
    return {"tickets": list(map(_own_id, tickets)), "ids": [str(ticket.ticket_id) for ticket in tickets]}


TIMER_FACTS: Final = {
    "silent": [fact("opened", "06-08 12:00", severity=1)],
    "met": [
        fact("opened", "06-08 12:00", severity=2),
        fact("responded", "06-08 12:10"),
        fact("resolved", "06-08 13:00"),
    ],
    "paused": [
        fact("opened", "06-08 12:00", severity=3),
        fact("responded", "06-08 12:10"),
        fact("paused", "06-08 14:00"),
    ],
}


async def seed_escalator(url: str, folder: Path) -> Known:
    """Running, held, ended and exhausted ladders."""
    service = build(
        Settings(
            database_url=url,
            kafka="127.0.0.1:1",
            keys=folder / "keys.yaml",
            directory=POLICIES / "directory.yaml",
        ),
        BusinessClock(START, START, 0.0),
    )
    database = service.runtime.writer
    tickets = [escalated_ticket(name) for name in ("SR-1", "SR-2", "SR-3")]
    one, two, three = map(DeadlineEventFactory, tickets)
    story = [
        *(one.step(1), one.step(2), two.step(1), two.held(0.5, until=24), three.warned("resolution")),
        *(three.step(number) for number in range(1, 7)),
        *(three.exhausted(7), one.ended(1.5)),
    ]
    async with database.begin() as connection:
        await service.handlers.on_batch(
            connection, [Received(each, DEADLINES_TOPIC, 0, n) for n, each in enumerate(story)]
        )
    await _add_dead_letters(database, escalator.store.tables.DEAD_LETTERS, ESCALATIONS_TOPIC, DEADLINES_TOPIC)
    await service.runtime.dispose()
    return {
        "tickets": list(map(_own_id, tickets)),
        "ids": [str(ticket.ticket_id) for ticket in tickets],
        "events": [str(event.event_id) for event in story],
    }


def _own_id(ticket: Ticket) -> dict[str, str]:
    return {"source": ticket.source, "external_id": ticket.external_id}


async def seed_board(url: str, folder: Path) -> Known:
    """Open tickets, also with a ladder, one of them closed, and outgoing webhooks."""
    service = build_service("board", url, folder)
    now = service.runtime.clock.now()
    rows = []
    for number, state in enumerate(("open", "open", "paused", "resolved"), start=1):
        opened_at = now - timedelta(minutes=20 * number)
        facts = [Fact(number=1, event_id="1", type=FactType.OPENED, occurred_at=opened_at, received_at=opened_at)]
        facts[0] = facts[0].model_copy(update={"severity": number})
        found = evaluated(facts, now, shipped_history(), name=f"SR-{number}")
        ladder = LADDER | {"ticket_id": str(found.record.ticket.ticket_id)} if number == 1 else None
        rows.append(board_row(found.record.ticket, facts, current_clocks_json(found), ladder, state=state))
    database = service.runtime.writer
    async with database.begin() as connection:
        await bulk.insert(connection, board.store.tables.TICKETS, rows)
        await bulk.insert(connection, board.store.tables.WEBHOOKS, list(_webhooks(rows[0]["ticket_id"])))
    await _add_dead_letters(database, board.store.tables.DEAD_LETTERS, ESCALATIONS_TOPIC, TICKETS_TOPIC)
    await service.runtime.dispose()
    return {"tickets": [{"source": row["source"], "external_id": row["external_id"]} for row in rows]}


def _webhooks(ticket_id: UUID) -> Iterator[Mapping[str, Any]]:
    """Outgoing webhooks, most of which can be sent again."""
    for number in range(1, MAILS + 1):
        is_waiting = number % 16 == 0
        yield {
            "delivery_id": UUID(int=number),
            "tenant": "default",
            "endpoint": "psa",
            "ticket_id": ticket_id,
            "event_id": UUID(int=number),
            "event": "breached",
            "at": LONG_AGO,
            "body": "{}",
            "state": "waiting" if is_waiting else ("delivered", "failed")[number % 2],
            "queued_at": LONG_AGO,
            "give_up_at": NEVER,
            "ready_at": NEVER if is_waiting else None,
            "finished_at": None if is_waiting else LONG_AGO,
        }


LADDER: Final = LadderResponse.model_json_schema()["examples"][0]


async def seed_notifier(url: str, folder: Path, sink: SharedSink) -> Known:
    """Sent mails, and some that every address refused."""
    sink.fail("refuse", code=550, recipient="kim@example.com")
    higher = {"role": TIERS[2].role, "role_title": TIERS[2].title, "tier": TIERS[2], "step": 2}
    async with make_world(url, sink, folder, NOON + timedelta(hours=1)) as made:
        async with made.notifier():
            for number in range(1, MAILS + 1):
                about = mailed_ticket(ticket_id=UUID(int=number), external_id=f"SR-{number}")
                await made.receive(escalation(about, event_id=UUID(int=1000 + number)))
                if number % 8 == 0:
                    await made.receive(escalation(about, event_id=UUID(int=2000 + number), **higher))
            await made.quiet()
        await _add_dead_letters(made.engine, notifier.store.tables.DEAD_LETTERS, NOTIFICATIONS_TOPIC, ESCALATIONS_TOPIC)
        mails = await made.deliveries()
    sent = [mail for mail in mails if mail.state == "sent"]
    assert len(sent) == MAILS
    bouncing = sent[::2]  # the others stay sent, and can be sent again
    return {
        "mails": [(mail.message_id, mail.email) for mail in bouncing],
        "deliveries": [str(mail.id) for mail in mails],
    }


async def _add_dead_letters(database: AsyncEngine, table: DeadLetters, out: str, into: str | None) -> None:
    """Dead letters: unpublished events, which can be replayed, and a record that could not be handled."""
    event: Event = escalation()
    headers, value = encode(event, "tests")
    key = str(event.ticket_id).encode()
    origins = [(DeadLetterOrigin.OUTBOX, out, None)] * LETTERS + (
        [(DeadLetterOrigin.CONSUMED, into, 7)] if into else []
    )
    letters = [
        DeadLetter(origin, topic, partition_of(key), offset, key, pack(headers), value, "RecordTooLarge: too large")
        for origin, topic, offset in origins
    ]
    async with database.begin() as connection:
        await table.add(connection, letters)
