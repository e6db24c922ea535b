"""The board on a real database, with tickets as sla-timer and the escalator know them: their own APIs fill the rows."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import board.service
import board.settings
import escalator.service
import escalator.settings
import httpx
import orjson
from board.store.records import delivery_writes
from board.store.tables import TICKETS
from escalator.service import EscalatorService
from sqlalchemy import delete
from tocsin.events import DeliveryEvent, Fact, Ticket
from tocsin.runtime.database import bulk
from tocsin.runtime.http.api_keys import TICKETS_READ, KeyFile, issue, write_keys
from tocsin.runtime.kafka.client import DEADLINES_TOPIC
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import BusinessClock
from tocsin.runtime.process.service import Service

from support.servers import MakeDatabase
from support.timer_world import TimerWorld, events, timer_world


@dataclass(frozen=True)
class BoardRows:
    """The board, and clients with keys of two tenants, `default` and `other`; `keys` are the texts of keys by name:
    `default`, `other` (`tickets:read` alone), and `writer` (of `default`, with every scope).
    """

    board: Service
    timer: TimerWorld
    escalator: EscalatorService
    now: datetime
    keys: Mapping[str, str]
    client: httpx.AsyncClient
    escalator_client: httpx.AsyncClient

    async def get(self, path: str, status: int = 200, *, tenant: str = "default", **query: Any) -> Any:
        """The JSON of a response with this status."""
        headers = {"Authorization": f"Bearer {self.keys[tenant]}"}
        response = await self.client.get(path, params=query or None, headers=headers)
        assert response.status_code == status, response.text
        return response.json()

    async def add(self, name: str, facts: Sequence[Fact], *, state: str = "open", **fields: Any) -> UUID:
        """Add a ticket to all services, with everything due by now published and handled. Returns its id."""
        received = events(name, facts, **fields)
        await self.timer.receive(*received)
        await self.timer.advance(self.now)
        ticket = received[0].ticket  # type: ignore[union-attr]  # the first event opens the ticket
        published = await self.timer.published(ticket.ticket_id)
        async with self.escalator.runtime.writer.begin() as connection:
            batch = [Received(event, DEADLINES_TOPIC, 0, offset) for offset, event in enumerate(published)]
            await self.escalator.handlers.on_batch(connection, batch)
        ticket_id, tenant = str(ticket.ticket_id), ticket.tenant
        clocks = (await self.timer.post("/v1/clocks", {"ticket_ids": [ticket_id]}, tenant=tenant))["items"][0]
        asked = {"items": [{"ticket_id": ticket_id, "event_id": None}]}
        headers = {"Authorization": f"Bearer {self.keys[tenant]}"}
        answer = await self.escalator_client.post("/v1/ladders", json=asked, headers=headers)
        ladder = answer.json()["items"][0]["ladder"]
        row = board_row(ticket, facts, clocks, ladder, state=state)
        async with self.board.runtime.writer.begin() as connection:
            await connection.execute(delete(TICKETS).where(TICKETS.c.ticket_id == ticket.ticket_id))
            await bulk.insert(connection, TICKETS, [row])
        return ticket.ticket_id

    async def add_deliveries(self, *deliveries: DeliveryEvent) -> None:
        """Store these events as the latest of their deliveries."""
        async with self.board.runtime.writer.begin() as connection:
            await bulk.execute(connection, delivery_writes(deliveries))


def board_row(
    ticket: Ticket,
    facts: Sequence[Fact],
    clocks: Mapping[str, Any],
    ladder: Mapping[str, Any] | None,
    *,
    state: str = "open",
) -> dict[str, Any]:
    """The row of a ticket with these facts, `clocks` from sla-timer's response, and the `ladder` from escalator's."""
    assignees = [fact.assignee for fact in facts if fact.assignee is not None]
    return {
        "ticket_id": ticket.ticket_id,
        "tenant": ticket.tenant,
        "source": ticket.source,
        "external_id": ticket.external_id,
        "customer_id": ticket.customer.id,
        "ticket": ticket.model_dump_json(),
        "opened": True,
        "severity": clocks["severity"],
        "state": state,
        "is_open": state in ("open", "paused"),
        "assignee": assignees[-1].name if assignees else None,
        "facts": len(facts),
        "last_fact": facts[-1].number,
        "clocks": orjson.dumps(clocks).decode(),
        "ladder": None if ladder is None else orjson.dumps(ladder).decode(),
    }


@asynccontextmanager
async def board_rows(
    make_database: MakeDatabase, folder: Path, now: datetime, directory: str, **settings: Any
) -> AsyncIterator[BoardRows]:
    """The board at a fixed instant of business time, with this directory and these settings."""
    issued = {name: issue(name, (TICKETS_READ,)) for name in ("default", "other")} | {"writer": issue("default")}
    write_keys(folder / "keys.yaml", KeyFile(keys=tuple(entry for _, entry in issued.values())))
    (folder / "directory.yaml").write_text(directory)
    (folder / "timer").mkdir()
    common: dict[str, Any] = {
        "kafka": "127.0.0.1:1",
        "keys": folder / "keys.yaml",
        "directory": folder / "directory.yaml",
    }
    clock = BusinessClock(now, now, 0.0)
    ladders = escalator.service.build(
        escalator.settings.Settings(database_url=make_database("escalator"), **common), clock
    )
    upstream: Any = orjson.dumps({"default": "tcs_00000000_unknown"}).decode()
    shown = board.service.build(
        board.settings.Settings(database_url=make_database("board"), upstream_keys=upstream, **common, **settings),
        clock,
    )
    async with AsyncExitStack() as stack:
        timer = await stack.enter_async_context(timer_world(make_database("sla-timer"), folder / "timer"))
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")
            )
            for app in (shown.app, ladders.app)
        ]
        stack.push_async_callback(shown.runtime.dispose)
        stack.push_async_callback(ladders.runtime.dispose)
        keys = {name: text for name, (text, _) in issued.items()}
        yield BoardRows(shown, timer, ladders, now, keys, *clients)
