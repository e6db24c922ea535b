"""Intake for tests: its application on a real database, keys of two tenants, and a look at what it queued."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from intake import api
from intake.api import ack, mail, webhooks
from intake.api.webhook_size import WebhookSizeMiddleware
from intake.domain.mail import MAX_MAIL_BYTES
from intake.handlers.context import IngestContext
from intake.sources.integrations_file import IntegrationsFile
from intake.sources.signing_keys import SigningKeys
from intake.store import tables
from intake.workers.webhook_worker import WebhookWorker
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.acknowledgement import Links
from tocsin.events import TicketChanged, TicketImported, TicketOpened, decode
from tocsin.policy import load_policy
from tocsin.runtime.database.engine import engine
from tocsin.runtime.http.api_keys import TICKETS_READ, KeyFile, KeyRing, issue, write_keys
from tocsin.runtime.http.app import create_app
from tocsin.runtime.kafka.record_headers import unpack
from tocsin.runtime.process.clock import BusinessClock

ROOT = Path(__file__).parents[2]
HISTORY_LIMIT = 3
LINKS = Links(["k" * 32])


@dataclass(frozen=True)
class World:
    """`default`, `second` and `reading` are clients of one tenant, `other` of another; `reading` only reads.

    `integrations` is where its integrations.yaml may be written, at any time.
    """

    writer: AsyncEngine
    clients: Mapping[str, httpx.AsyncClient]
    woken: list[int]
    deliveries: WebhookWorker
    integrations: Path

    async def post(
        self, path: str, body: object, status: int, *, key: str = "default", headers: Mapping[str, str] | None = None
    ) -> Any:
        answer = await self.clients[key].post(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def get(self, path: str, status: int = 200, *, key: str = "default", **query: Any) -> Any:
        answer = await self.clients[key].get(path, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def queued(self) -> list[TicketOpened | TicketChanged | TicketImported]:
        """The events in the outbox, in order."""
        table = tables.outbox.table
        async with self.writer.connect() as connection:
            rows = (await connection.execute(select(table).order_by(table.c.id))).all()
        events = [decode(unpack(row.headers), row.value) for row in rows]
        ours = [event for event in events if isinstance(event, TicketOpened | TicketChanged | TicketImported)]
        assert len(ours) == len(events)
        return ours


@asynccontextmanager
async def world(
    url: str, folder: Path, *, connections: int = 10, signing_keys: SigningKeys | None = None
) -> AsyncIterator[World]:
    """Intake's application on that database, in this process, without a relay."""
    texts, entries = zip(
        issue("default"), issue("other"), issue("default", (TICKETS_READ,)), issue("default"), strict=True
    )
    write_keys(folder / "keys.yaml", KeyFile(keys=entries))
    policy = load_policy(
        (ROOT / "deploy/policy/policy.yaml").read_text().replace("machine_sources: {}", "machine_sources: {probe: 2}"),
        "policy.yaml",
    )
    origin = datetime.now(UTC)
    clock = BusinessClock(datetime(2026, 6, 8, 12, tzinfo=UTC), origin, 1.0)
    writer = engine(url, "intake-writer", pool_size=connections)
    reader = engine(url, "intake-reader", pool_size=2)
    woken: list[int] = []
    app = create_app(
        "intake",
        "Tests",
        KeyRing(folder / "keys.yaml"),
        {},
        body_limits={"/v1/tickets/batch": 32_000_000, mail.MAIL_PREFIX: MAX_MAIL_BYTES},
        free_form=("/ack/", webhooks.PREFIX),
    )
    context = IngestContext(policy, clock.business, tables.outbox, HISTORY_LIMIT)
    integrations = IntegrationsFile(folder / "integrations.yaml")
    app.add_middleware(WebhookSizeMiddleware, integrations=integrations)
    deliveries = WebhookWorker(context, writer, reader, lambda: woken.append(1), integrations)
    app.include_router(api.router(context, writer, reader, lambda: woken.append(1)))
    app.include_router(mail.router(deliveries, integrations))
    app.include_router(webhooks.router(reader, deliveries, integrations, signing_keys or SigningKeys()))
    app.include_router(ack.router(context, writer, reader, lambda: woken.append(1), LINKS))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    clients = {
        name: httpx.AsyncClient(
            transport=transport, base_url="http://intake", headers={"Authorization": f"Bearer {text}"}
        )
        for name, text in zip(("default", "other", "reading", "second"), texts, strict=True)
    }
    clients["nobody"] = httpx.AsyncClient(transport=transport, base_url="http://intake")
    yield World(writer, clients, woken, deliveries, folder / "integrations.yaml")
    for client in clients.values():
        await client.aclose()
    await writer.dispose()
    await reader.dispose()


def ticket(external_id: str = "SR-1042", **fields: Any) -> dict[str, Any]:
    """A ticket's body; a field that is None is left out."""
    body: dict[str, Any] = {
        "source": "connectwise",
        "external_id": external_id,
        "severity": 1,
        "summary": "Mail is down",
        "affected_services": ["Email"],
        "contact": {"name": "Ada", "email": "ada@acme.example"},
        "customer": {"id": "acme", "name": "Acme"},
        **fields,
    }
    return {name: value for name, value in body.items() if value is not None}


def event(type: str, **fields: Any) -> dict[str, Any]:
    """An event's body."""
    return {"type": type, "actor": "Bob", **fields}
