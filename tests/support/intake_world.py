"""Intake for tests: its application on a real database, API keys of two tenants, and a view of its outbox."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from intake.service import build
from intake.settings import Settings
from intake.sources.signing_keys import SigningKeys
from intake.store import tables
from intake.workers.webhook_worker import WebhookWorker
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.events import TicketChanged, TicketImported, TicketOpened, decode
from tocsin.runtime.http.api_keys import TICKETS_READ, KeyFile, issue, write_keys
from tocsin.runtime.kafka.record_headers import unpack

from support.service_apps import LINK_KEY, LINKS, POLICIES

__all__ = ["HISTORY_LIMIT", "LINKS", "ROOT", "IntakeWorld", "command_environment", "event", "ticket", "world"]

ROOT = Path(__file__).parents[2]
HISTORY_LIMIT = 3


@dataclass(frozen=True)
class IntakeWorld:
    """`default`, `second` and `reading` are clients of one tenant, `other` of another; `reading` may only read.

    A test may write integrations.yaml at the path `integrations` at any time.
    """

    writer: AsyncEngine
    clients: Mapping[str, httpx.AsyncClient]
    webhook_worker: WebhookWorker
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

    async def scrape(self, name: str, **labels: str) -> float | None:
        """The value of a metric with these labels as `/metrics` shows it; None if it has no such labels."""
        lines = (await self.clients["nobody"].get("/metrics")).text.splitlines()
        shown = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        start = f"{name}{{{shown}}} " if labels else f"{name} "
        return next((float(line.removeprefix(start)) for line in lines if line.startswith(start)), None)

    async def queued(self) -> list[TicketOpened | TicketChanged | TicketImported]:
        """The events in the outbox, in order."""
        table = tables.OUTBOX.table
        async with self.writer.connect() as connection:
            rows = (await connection.execute(select(table).order_by(table.c.id))).all()
        events = [decode(unpack(row.headers), row.value) for row in rows]
        ours = [event for event in events if isinstance(event, TicketOpened | TicketChanged | TicketImported)]
        assert len(ours) == len(events)
        return ours


@asynccontextmanager
async def world(url: str, folder: Path, *, signing_keys: SigningKeys | None = None) -> AsyncIterator[IntakeWorld]:
    """Intake's application on that database, in this process; its relay is not running. Business time begins at noon
    of 8 June 2026.
    """
    texts, entries = zip(
        issue("default"), issue("other"), issue("default", (TICKETS_READ,)), issue("default"), strict=True
    )
    write_keys(folder / "keys.yaml", KeyFile(keys=entries))
    policy = (POLICIES / "policy.yaml").read_text()
    policy = policy.replace("machine_sources: {}", "machine_sources: {probe: 2}")
    policy = policy.replace("automatic_actors: []", 'automatic_actors: [Workflow, "robot@*"]')
    (folder / "policy.yaml").write_text(policy)
    settings = Settings(
        database_url=url,
        kafka="127.0.0.1:1",
        keys=folder / "keys.yaml",
        policy=folder / "policy.yaml",
        ack_keys=SecretStr(LINK_KEY),
        integrations=folder / "integrations.yaml",
        history_outbox_limit=HISTORY_LIMIT,
        clock_epoch=datetime(2026, 6, 8, 12, tzinfo=UTC),
        clock_origin=datetime.now(UTC),
    )
    intake = build(settings, signing_keys=signing_keys)
    transport = httpx.ASGITransport(intake.app, raise_app_exceptions=False)
    clients = {
        name: httpx.AsyncClient(
            transport=transport, base_url="http://intake", headers={"Authorization": f"Bearer {text}"}
        )
        for name, text in zip(("default", "other", "reading", "second"), texts, strict=True)
    }
    clients["nobody"] = httpx.AsyncClient(transport=transport, base_url="http://intake")
    try:
        yield IntakeWorld(intake.runtime.writer, clients, intake.webhook_worker, folder / "integrations.yaml")
    finally:
        for client in clients.values():
            await client.aclose()
        await intake.runtime.dispose()


def command_environment(url: str, folder: Path) -> dict[str, str]:
    """The variables of a command on that database, with the other settings of `world`."""
    keys, policy = folder / "keys.yaml", folder / "policy.yaml"
    if not keys.exists():
        write_keys(keys, KeyFile())
    return {
        "TOCSIN_DATABASE_URL": url,
        "TOCSIN_KAFKA": "127.0.0.1:1",
        "TOCSIN_KEYS": str(keys),
        "TOCSIN_POLICY": str(policy if policy.exists() else POLICIES / "policy.yaml"),
        "TOCSIN_ACK_KEYS": LINK_KEY,
        "TOCSIN_INTEGRATIONS": str(folder / "integrations.yaml"),
    }


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
