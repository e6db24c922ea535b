"""A board that gets events as its consumers hand them over, and sends webhooks, on a real database."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from board.service import BoardService, build
from board.settings import Settings
from board.sources.webhook_request import WebhookClient
from board.store.tables import WEBHOOK_ATTEMPTS, WEBHOOKS
from board.store.webhook_endpoints import add_endpoints
from board.workers.webhook_sender import LEASE, WebhookSender
from sqlalchemy import Row, select
from standardwebhooks import Webhook
from tocsin.events import DeadlineEvent, EscalationEvent, Event
from tocsin.runtime.http.api_keys import ADMIN, TICKETS_READ, KeyFile, issue, write_keys
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, ESCALATIONS_TOPIC, TICKETS_TOPIC
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import BusinessClock

from support.calendar_feed import LOOPBACK
from support.deadline_events import START
from support.polling import eventually
from support.service_apps import POLICIES
from support.webhook_receiver import ReceivedWebhook, WebhookReceiver

SECRET: Final = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SECRET_VARIABLE: Final = "TOCSIN_WEBHOOK_OF_TESTS"
ALL_EVENTS: Final = ["warned", "breached", "tier", "acknowledged", "exhausted", "ended", "voided"]
BEFORE: Final = START - timedelta(hours=12)
"""Business time when a world begins: all events of the tests are later, and less than a day old."""


def endpoint(receiver: WebhookReceiver | str, id: str = "psa", **fields: Any) -> dict[str, Any]:
    """An endpoint of webhooks.yaml that gets all events."""
    url = receiver if isinstance(receiver, str) else receiver.url
    return {"id": id, "url": url, "events": ALL_EVENTS, "secrets": [{"secret_env": SECRET_VARIABLE}]} | fields


@dataclass
class WebhookWorld:
    """`service` is the board as `build` makes it. Its consumers and tasks do not run."""

    service: BoardService
    file: Path
    admin_key: str
    reader_key: str
    offsets: dict[str, int] = field(default_factory=dict)

    async def configure(self, *endpoints: dict[str, Any]) -> None:
        """Write webhooks.yaml, and let the endpoints exist since `BEFORE`."""
        self.file.write_text(json.dumps({"version": "1", "endpoints": list(endpoints)}))  # which is YAML too
        keys = [(each.get("tenant", "default"), each["id"]) for each in endpoints]
        async with self.service.runtime.side_writer.begin() as connection:
            await add_endpoints(connection, keys, BEFORE)
        self.service.webhooks.file.current()
        assert self.service.webhooks.file.problem is None

    async def arrive(self, *events: Event, repeated: int | None = None) -> None:
        """Hand events of one topic to its handler in one transaction, as records that follow each other.

        `repeated`: as the records from this offset on.
        """
        handlers = self.service.handlers
        topic, handle = TICKETS_TOPIC, handlers.on_tickets
        if isinstance(events[0], DeadlineEvent):
            topic, handle = DEADLINES_TOPIC, handlers.on_deadlines
        elif isinstance(events[0], EscalationEvent):
            topic, handle = ESCALATIONS_TOPIC, handlers.on_escalations
        first = self.offsets.get(topic, 0) if repeated is None else repeated
        if repeated is None:
            self.offsets[topic] = first + len(events)
        batch = [Received(event, topic, 0, first + number) for number, event in enumerate(events)]
        async with self.service.runtime.writer.begin() as connection:
            await handle(connection, batch)

    @asynccontextmanager
    async def sending(self, *, seconds: float = 15, lease: timedelta = LEASE) -> AsyncIterator[WebhookSender]:
        """A sender that runs while the block runs. An attempt takes at most `seconds`."""
        runtime = self.service.runtime
        client = WebhookClient(LOOPBACK, seconds=seconds)
        sender = WebhookSender(runtime.side_writer, self.service.webhooks.file, runtime.clock, client, lease=lease)
        stopping = asyncio.Event()
        task = asyncio.create_task(sender.run(stopping))
        try:
            yield sender
        finally:
            stopping.set()
            await task

    async def webhooks(self) -> Sequence[Row[Any]]:
        """All webhooks in the database, in the order in which they were queued."""
        async with self.service.runtime.reader.connect() as connection:
            return (await connection.execute(select(WEBHOOKS).order_by(WEBHOOKS.c.seq))).all()

    async def attempts(self) -> Sequence[Row[Any]]:
        async with self.service.runtime.reader.connect() as connection:
            query = select(WEBHOOK_ATTEMPTS).order_by(WEBHOOK_ATTEMPTS.c.started_at, WEBHOOK_ATTEMPTS.c.number)
            return (await connection.execute(query)).all()

    async def settled(self, *states: str, seconds: float = 60) -> Sequence[Row[Any]]:
        """Wait until the webhooks are in these states, in the order in which they were queued."""

        async def found() -> Sequence[Row[Any]] | None:
            rows = await self.webhooks()
            return rows if [row.state for row in rows] == list(states) else None

        async def describe() -> object:
            return [(row.endpoint, row.event, row.state, row.status, row.problem) for row in await self.webhooks()]

        return await eventually(found, describe, seconds)

    def client(self, key: str) -> httpx.AsyncClient:
        """An HTTP client of the board's API."""
        transport = httpx.ASGITransport(self.service.app)
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.AsyncClient(transport=transport, base_url="http://board", headers=headers)


def board_settings(url: str, folder: Path, **fields: Any) -> Settings:
    """Settings of a board that can reach receivers on loopback."""
    upstream_keys: Any = json.dumps({"default": "tcs_00000000_unknown"})  # pydantic parses it, as from the environment
    return Settings(
        database_url=url,
        kafka="127.0.0.1:1",
        keys=folder / "keys.yaml",
        directory=POLICIES / "directory.yaml",
        upstream_keys=upstream_keys,
        webhooks=folder / "webhooks.yaml",
        webhook_networks=LOOPBACK,
        public_url="https://board.example.com",
        **fields,
    )


@asynccontextmanager
async def webhook_world(url: str, folder: Path) -> AsyncIterator[WebhookWorld]:
    """A world with an empty webhooks.yaml."""
    admin_key, admin = issue("default", (ADMIN, TICKETS_READ))
    reader_key, reader = issue("globex", (TICKETS_READ,))
    write_keys(folder / "keys.yaml", KeyFile(keys=(admin, reader)))
    (folder / "webhooks.yaml").write_text('version: "1"\n')
    os.environ[SECRET_VARIABLE] = SECRET
    service = build(board_settings(url, folder), BusinessClock(BEFORE, datetime.now(UTC), 1))
    try:
        yield WebhookWorld(service, folder / "webhooks.yaml", admin_key, reader_key)
    finally:
        del os.environ[SECRET_VARIABLE]
        await service.runtime.dispose()


def verified(webhook: ReceivedWebhook, secret: str = SECRET) -> Any:
    """The body of a webhook, whose signature the library of Standard Webhooks has verified."""
    return Webhook(secret).verify(webhook.body, dict(webhook.headers))
