"""The board and the four services in the test's process, on real databases. The test delivers the records.

Each service handles a record with the handler of its consumer, in a transaction, as it would from Kafka. A consumer has
a position in each partition of its topics; what it reads next, and when, is the test's choice.
"""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import board.service
import board.settings
import escalator.service
import escalator.settings
import httpx
import intake.service
import intake.settings
import notifier.service
import notifier.settings
import sla_timer.service
import sla_timer.settings
from board.domain.board_ticket import BoardTicket
from board.store.tickets import load_by_external
from escalator.store.tables import OUTBOX as ESCALATOR_OUTBOX
from intake.store.tables import OUTBOX as INTAKE_OUTBOX
from notifier.domain.retry_policy import RetryPolicy
from notifier.domain.smtp_reply import SmtpOutcome
from notifier.handlers.attempts import AttemptResult, finish_attempts
from notifier.handlers.claims import ClaimTerms, claim_mails
from notifier.store import queue
from notifier.store.tables import OUTBOX as NOTIFIER_OUTBOX
from pydantic import SecretStr
from sla_timer.handlers.facts import receive_facts
from sla_timer.handlers.sweep import sweep_all
from sla_timer.store.tables import OFFSETS as TIMER_OFFSETS
from sla_timer.store.tables import OUTBOX as TIMER_OUTBOX
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import decode
from tocsin.runtime.database.offsets import Position
from tocsin.runtime.http.api_keys import KeyFile, issue, write_keys
from tocsin.runtime.kafka.client import (
    DEADLINES_TOPIC,
    ESCALATIONS_TOPIC,
    NOTIFICATIONS_TOPIC,
    PARTITIONS,
    TICKETS_TOPIC,
    TOPICS,
)
from tocsin.runtime.kafka.record_headers import unpack
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import FileClock
from tocsin.runtime.process.service import Service
from tocsin.sources.directory_file import DirectoryFile

from support.service_apps import LINK_KEY, POLICIES

OnBatch = Callable[[AsyncConnection, Sequence[Received]], Awaitable[None]]
TENANTS: Final = ("default", "other")
"""The board has a key of the first one only."""
_OUTBOXES: Final = {
    "intake": INTAKE_OUTBOX,
    "sla-timer": TIMER_OUTBOX,
    "escalator": ESCALATOR_OUTBOX,
    "notifier": NOTIFIER_OUTBOX,
}
_RETRIES: Final = RetryPolicy(base=timedelta(milliseconds=1))


@dataclass
class BoardWorld:
    """`topics` has the records of each topic by partition; `clients` are HTTP clients by service and tenant."""

    services: Mapping[str, Service]
    clients: Mapping[tuple[str, str], httpx.AsyncClient]
    directory: DirectoryFile
    clock: FileClock
    clock_file: Path
    settings: board.settings.Settings
    transports: dict[str, httpx.AsyncBaseTransport]
    """The board's connections to the services. A change applies to the next `new_board`."""
    new_board: Callable[[], board.service.BoardService]
    board: board.service.BoardService
    topics: dict[str, list[list[Received]]] = field(
        default_factory=lambda: {topic: [[] for _ in range(PARTITIONS)] for topic in TOPICS}
    )
    positions: dict[tuple[str, str, int], int] = field(default_factory=lambda: defaultdict(int))
    """The next offset by consumer, topic and partition."""
    _published: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def set_clock(self, at: datetime) -> None:
        """Stop business time at this instant, which is not before the current one."""
        with self.clock_file.open("a") as file:
            file.write(f"{datetime.now(UTC).isoformat()} {at.isoformat()} 0\n")

    def engine(self, service: str) -> AsyncEngine:
        return self.board.runtime.writer if service == "board" else self.services[service].runtime.writer

    async def post(self, tenant: str, path: str, body: object) -> bool:
        """Post a body to intake. Returns whether intake accepted it."""
        response = await self.clients["intake", tenant].post(path, json=body)
        assert response.status_code in (200, 201, 409), response.text
        assert all(item["status"] in (200, 201, 409) for item in response.json().get("results", ())), response.text
        return response.status_code != 409

    async def get(self, service: str, tenant: str, path: str) -> Any:
        """The body of the response; None for 404."""
        response = await self.clients[service, tenant].get(path)
        assert response.status_code in (200, 404), response.text
        return response.json() if response.status_code == 200 else None

    async def clocks(self, tenant: str, ids: Sequence[str]) -> list[Any]:
        """sla-timer's response about these tickets."""
        response = await self.clients["sla-timer", tenant].post("/v1/clocks", json={"ticket_ids": list(ids)})
        assert response.status_code == 200, response.text
        items: list[Any] = response.json()["items"]
        return items

    async def open_ticket(self, name: str, tenant: str = TENANTS[0], **fields: Any) -> None:
        """Open a ticket with that id in its tool now, and publish it."""
        assert await self.post(tenant, "/v1/tickets", ticket_body(name, **fields))
        await self.publish()

    async def record(self, name: str, kind: str, tenant: str = TENANTS[0], **fields: Any) -> None:
        """Post an event of that ticket now, and publish it."""
        path = f"/v1/tickets/by-external/tests/{name}/events"
        assert await self.post(tenant, path, {"type": kind, "actor": "maya", **fields})
        await self.publish()

    async def publish(self) -> None:
        """Publish the records in the outboxes of the services."""
        for name, outbox in _OUTBOXES.items():
            c = outbox.table.c
            query = select(c.id, c.partition, c.headers, c.value).where(c.id > self._published[name]).order_by(c.id)
            async with self.engine(name).connect() as connection:
                rows = (await connection.execute(query)).all()
            for row in rows:
                self._published[name] = row.id
                records = self.topics[outbox.topic][row.partition]
                event = decode(unpack(row.headers), row.value)
                records.append(Received(event, outbox.topic, row.partition, len(records), datetime.now(UTC)))

    def republish(self, topic: str, partition: int, begin: int, end: int) -> None:
        """Publish records of the topic again."""
        records = self.topics[topic][partition]
        records += [replace(old, offset=len(records) + n) for n, old in enumerate(records[begin:end])]

    def unread(self, consumer: str, topic: str) -> list[int]:
        """The partitions in which the consumer has not read everything."""
        ends = enumerate(map(len, self.topics[topic]))
        return [partition for partition, end in ends if self.positions[consumer, topic, partition] < end]

    async def read(self, consumer: str, topic: str, partition: int, most: int = 1000) -> None:
        """Let the consumer handle its next records of a partition, at most `most`."""
        begin = self.positions[consumer, topic, partition]
        records = self.topics[topic][partition][begin : begin + most]
        if records:
            async with self.engine(consumer).begin() as connection:
                await self._handler(consumer, topic)(connection, records)
        self.positions[consumer, topic, partition] = begin + len(records)

    async def read_all(self, consumer: str, topic: str) -> None:
        for partition in self.unread(consumer, topic):
            await self.read(consumer, topic, partition)

    async def fail_to_read(self, topic: str, partition: int, most: int) -> None:
        """Kill the board before it commits a batch, and start it again."""
        begin = self.positions["board", topic, partition]
        records = self.topics[topic][partition][begin : begin + most]
        async with self.engine("board").connect() as connection, connection.begin() as transaction:
            if records:
                await self._handler("board", topic)(connection, records)
            await transaction.rollback()
        await self.restart()

    async def restart(self) -> None:
        """Replace the process of the board by another one."""
        await self.board.runtime.dispose()
        self.board = self.new_board()

    async def advance_timer(self) -> None:
        """Let sla-timer read everything, the watermark included, and publish the events that are due."""
        await self.read_all("sla-timer", TICKETS_TOPIC)
        through = self.clock.now()
        async with self.engine("sla-timer").begin() as connection:
            await TIMER_OFFSETS.store_missing(connection, TICKETS_TOPIC, dict.fromkeys(range(PARTITIONS), 0))
            positions = {number: Position(0, through) for number in range(PARTITIONS)}
            await TIMER_OFFSETS.store(connection, TICKETS_TOPIC, positions)
        await sweep_all(self._timer.context)

    async def attempt_mails(self, outcome: Callable[[], SmtpOutcome]) -> None:
        """Let the notifier attempt all queued mails, with these outcomes and without pauses between attempts."""
        async with self.engine("notifier").begin() as connection:
            await connection.execute(
                text("UPDATE deliveries SET ready_at = clock_timestamp() WHERE ready_at IS NOT NULL")
            )
        terms = ClaimTerms(timedelta(minutes=1), lambda _: 1000)
        directory = self.directory.current()
        assert directory is not None
        while True:
            async with self.engine("notifier").begin() as connection:
                mails, _ = await claim_mails(connection, self.clock, directory, terms, limit=100, severity=4)
                now = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
            results = [
                AttemptResult(claim.delivery, outcome(), "as the test says", now, claim.addresses)
                for mail in mails
                for claim in mail.claims
            ]
            if not results:
                return
            async with self.engine("notifier").begin() as connection:
                await finish_attempts(connection, self.clock, _RETRIES, results)

    async def refresh(self) -> int:
        """Let the board refresh its outdated tickets without pauses. Returns how many were due."""
        async with self.engine("board").begin() as connection:
            due = "UPDATE tickets SET refresh_at = clock_timestamp() WHERE stale_at IS NOT NULL"
            await connection.execute(text(due))
        return await self.board.refresher.refresh()

    async def load(self, name: str, tenant: str = TENANTS[0]) -> BoardTicket:
        """The ticket as the board has it."""
        async with self.engine("board").connect() as connection:
            return await load_by_external(connection, tenant, "tests", name)

    async def settle(self) -> None:
        """Publish, read and refresh everything; the board is ahead of the others until the end."""
        while await self._is_unsettled():
            for consumer, topics in CONSUMED.items():
                for topic in topics:
                    await self.read_all(consumer, topic)
                if consumer == "board":
                    await self.refresh()
            await self.advance_timer()
            await self.attempt_mails(lambda: SmtpOutcome.ACCEPTED)
            await self.publish()
        while await self.refresh():
            pass

    async def _is_unsettled(self) -> bool:
        if any(self.unread(consumer, topic) for consumer, topics in CONSUMED.items() for topic in topics):
            return True
        async with self.engine("notifier").connect() as connection:
            return bool((await queue.measure(connection)).counts)

    @property
    def _timer(self) -> sla_timer.service.SlaTimerService:
        timer = self.services["sla-timer"]
        assert isinstance(timer, sla_timer.service.SlaTimerService)
        return timer

    def _handler(self, consumer: str, topic: str) -> OnBatch:
        handlers = self.board.handlers
        if consumer == "board":
            return {
                TICKETS_TOPIC: handlers.on_tickets,
                DEADLINES_TOPIC: handlers.on_deadlines,
                ESCALATIONS_TOPIC: handlers.on_escalations,
                NOTIFICATIONS_TOPIC: handlers.on_notifications,
            }[topic]
        service = self.services[consumer]
        if isinstance(service, escalator.service.EscalatorService | notifier.service.NotifierService):
            return service.handlers.on_batch
        context = self._timer.context

        async def on_facts(connection: AsyncConnection, batch: Sequence[Received]) -> None:
            await receive_facts(context, connection, batch)

        return on_facts


CONSUMED: Final[Mapping[str, Sequence[str]]] = {
    "board": TOPICS,
    "sla-timer": (TICKETS_TOPIC,),
    "escalator": (DEADLINES_TOPIC,),
    "notifier": (ESCALATIONS_TOPIC,),
}
"""The topics of each consumer."""


def ticket_body(name: str, **fields: Any) -> dict[str, Any]:
    """The body of a ticket with that id in its tool."""
    return {
        "source": "tests",
        "external_id": name,
        "severity": 1,
        "summary": f"Mail is down at {name}",
        "affected_services": ["Email"],
        "contact": {"name": "Ada", "email": "ada@acme.example"},
        "customer": {"id": "acme", "name": "Acme"},
        **fields,
    }


@asynccontextmanager
async def board_world(
    make_database: Callable[[str], str], folder: Path, start: datetime, *, kafka: str = "127.0.0.1:1"
) -> AsyncIterator[BoardWorld]:
    """Five services on empty databases, with the shipped policy and directory. Business time stands at `start`.

    `kafka` is for a test that runs consumers; without it they would find no broker.
    """
    texts, entries = zip(*map(issue, TENANTS), strict=True)
    keys = folder / "keys.yaml"
    write_keys(keys, KeyFile(keys=entries))
    clock_file = folder / "clock"
    clock_file.write_text(f"{datetime.now(UTC).isoformat()} {start.isoformat()} 0\n")
    common: dict[str, Any] = {"kafka": kafka, "keys": keys, "clock_file": clock_file}
    policy, directory = POLICIES / "policy.yaml", POLICIES / "directory.yaml"
    services: dict[str, Service] = {
        "intake": intake.service.build(
            intake.settings.Settings(
                **common, database_url=make_database("intake"), policy=policy, ack_keys=SecretStr(LINK_KEY)
            )
        ),
        "sla-timer": sla_timer.service.build(
            sla_timer.settings.Settings(**common, database_url=make_database("sla-timer"), policy=policy),
            idle_seconds=60,
        ),
        "escalator": escalator.service.build(
            escalator.settings.Settings(**common, database_url=make_database("escalator"), directory=directory)
        ),
        "notifier": notifier.service.build(
            notifier.settings.Settings(
                **common,
                database_url=make_database("notifier"),
                directory=directory,
                ack_keys=SecretStr(LINK_KEY),
                smtp="127.0.0.1:1",
                mail_from="tocsin@example.com",
                public_url="https://tocsin.example.com",
            )
        ),
    }
    transports: dict[str, httpx.AsyncBaseTransport] = {
        name: httpx.ASGITransport(service.app) for name, service in services.items()
    }
    own: dict[str, Any] = {"directory": directory, "upstream_keys": json.dumps({TENANTS[0]: texts[0]})}
    settings = board.settings.Settings(**common, **own, database_url=make_database("board"))

    def new_board() -> board.service.BoardService:
        return board.service.build(settings, transports=transports)

    async with AsyncExitStack() as stack:
        clients = {
            (name, tenant): await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=transport, base_url=f"http://{name}", headers={"Authorization": f"Bearer {key}"}
                )
            )
            for name, transport in transports.items()
            for tenant, key in zip(TENANTS, texts, strict=True)
        }
        for service in services.values():
            stack.push_async_callback(service.runtime.dispose)
            if service.prepare is not None:
                await service.prepare()
        clock = FileClock(clock_file)
        reader = DirectoryFile(directory, clock.now, ())
        await reader.refresh()
        world = BoardWorld(services, clients, reader, clock, clock_file, settings, transports, new_board, new_board())
        try:
            yield world
        finally:
            await world.board.runtime.dispose()
