"""sla-timer, escalator and the board in the test's process, on real databases and without Kafka, for reports."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import board.service
import board.settings
import escalator.service
import escalator.settings
import httpx
from board.domain.report import Report
from board.domain.report_month import ReportMonth
from board.handlers.reports import build_report
from board.service import BoardService
from escalator.service import EscalatorService
from tocsin.runtime.kafka.client import DEADLINES_TOPIC
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import TimeSource

from support.servers import MakeDatabase
from support.service_apps import POLICIES
from support.timer_world import TimerWorld, timer_world

_CHUNK = 500


@dataclass(frozen=True)
class ReportWorld:
    """The services. `client` calls the board with a key of the tenant `default`."""

    timer: TimerWorld
    escalator: EscalatorService
    board: BoardService
    client: httpx.AsyncClient

    async def escalate(self) -> None:
        """The escalator handles everything that sla-timer has published."""
        events = await self.timer.outbox()
        for begin in range(0, len(events), _CHUNK):
            batch = [
                Received(event, DEADLINES_TOPIC, 0, begin + offset)
                for offset, event in enumerate(events[begin : begin + _CHUNK])
            ]
            async with self.escalator.runtime.writer.begin() as connection:
                await self.escalator.handlers.on_batch(connection, batch)

    async def report(self, month: str, customer: str | None = None) -> Report:
        """The report of a month."""
        return await build_report(
            self.board.upstream.get,
            self.board.runtime.clock.now(),
            tenant="default",
            month=ReportMonth.parse(month),
            customer=customer,
        )

    async def get(self, path: str, status: int = 200, **query: str) -> httpx.Response:
        """A response of the board."""
        response = await self.client.get(path, params=query)
        assert response.status_code == status, response.text
        return response


@asynccontextmanager
async def report_world(make_database: MakeDatabase, folder: Path, clock: TimeSource) -> AsyncIterator[ReportWorld]:
    """The services with the shipped policy and directory at the business time of `clock`."""
    async with timer_world(make_database("sla-timer"), folder, clock) as timer:
        keys = {
            tenant: client.headers["Authorization"].removeprefix("Bearer ") for tenant, client in timer.clients.items()
        }
        common: Mapping[str, Any] = {
            "kafka": "127.0.0.1:1",
            "keys": folder / "keys.yaml",
            "directory": POLICIES / "directory.yaml",
        }
        made_escalator = escalator.service.build(
            escalator.settings.Settings(database_url=make_database("escalator"), **common), clock
        )
        upstream_keys: Any = json.dumps(keys)  # pydantic parses it, as from the environment
        settings = board.settings.Settings(database_url=make_database("board"), upstream_keys=upstream_keys, **common)
        transports = {
            "sla-timer": httpx.ASGITransport(timer.service.app),
            "escalator": httpx.ASGITransport(made_escalator.app),
        }
        made_board = board.service.build(settings, clock, transports=transports)
        headers = {"Authorization": f"Bearer {keys['default']}"}
        transport = httpx.ASGITransport(made_board.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://board", headers=headers) as client:
            yield ReportWorld(timer, made_escalator, made_board, client)
        await made_board.upstream.close()
        await made_board.runtime.dispose()
        await made_escalator.runtime.dispose()
