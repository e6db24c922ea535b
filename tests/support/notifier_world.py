"""A notifier in the test's own process: real PostgreSQL, a real mail server, events handed over as by the consumer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from notifier.domain.delivery import Delivery
from notifier.handlers.notifications import Handlers
from notifier.service import NotifierService, build
from notifier.settings import Settings
from notifier.store import deliveries, queue
from notifier.store.tables import DELIVERIES, JOURNAL, OUTBOX
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.events import DeliveryEvent, EscalationEvent, ReportReady, decode
from tocsin.runtime.database.engine import driver_connection, engine
from tocsin.runtime.kafka.record_headers import unpack
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import BusinessClock

from support.polling import eventually
from support.servers import SharedSink

DIRECTORY = """
people:
  dana: { name: Dana, email: dana@example.com }
  kim: { name: Kim, email: kim@example.com }
  lee: { name: Lee, email: lee@example.com }
roles:
  service_desk_team_lead:
    - person: dana
    - { person: lee, customer: globex }
  senior_it_operations_manager:
    - person: kim
  it_operations_director:
    - person: dana
  account_manager:
    - { person: lee, to: 2026-06-08T13:30:00Z }
"""
PATIENT: Mapping[str, Any] = {"retry_base": 0.1, "smtp_timeout": 10, "smtp_data_timeout": 10, "lease_seconds": 5}
IMPATIENT: Mapping[str, Any] = {"smtp_data_timeout": 0.5}
LINKS: Mapping[str, str] = {"public_url": "https://sla.example.org", "ack_keys": "a key for the links of tests only"}
REQUIRED: Mapping[str, Any] = {
    "database_url": "postgresql+asyncpg://nobody@127.0.0.1:9/notifier",
    "kafka": "127.0.0.1:9",
    "keys": "none",
    "directory": "none",
    "smtp": "127.0.0.1:25",
    "mail_from": "tocsin@example.org",
    **LINKS,
}
"""Settings that a notifier needs at least."""
DEADLINE = 30.0


@dataclass
class NotifierWorld:
    """One database, and any number of notifiers on it."""

    url: str
    sink: SharedSink
    directory: Path
    now: datetime
    engine: AsyncEngine
    settings: Mapping[str, Any]
    running: list[NotifierService] = field(default_factory=list)
    published_at: datetime | None = None
    """When the events that arrive next were published; None: it is not known."""
    _received: int = 0

    def clock(self) -> BusinessClock:
        return BusinessClock(self.now, datetime.now(UTC), 1)

    @asynccontextmanager
    async def notifier(self) -> AsyncIterator[NotifierService]:
        """A notifier that delivers while the block runs, and then stops cleanly."""
        service = build(self.make_settings(), self.clock())
        stopping = asyncio.Event()
        task = asyncio.create_task(service.sender.run(stopping))
        self.running.append(service)
        try:
            yield service
        finally:
            stopping.set()
            await task
            self.running.remove(service)
            await service.runtime.dispose()

    def make_settings(self, **changes: Any) -> Settings:
        own = {"database_url": self.url, "directory": self.directory, "smtp": self.sink.address}
        return Settings.model_validate({**REQUIRED, **own, **self.settings, **changes})

    async def receive(self, *events: EscalationEvent | ReportReady) -> None:
        """The events arrive in one batch, in this order."""
        batch = [
            Received(event, "tocsin.escalations.v1", 0, offset, self.published_at)
            for offset, event in enumerate(events, self._received)
        ]
        self._received += len(batch)
        async with self.engine.begin() as connection:
            await Handlers(self.clock()).on_batch(connection, batch)
        self.wake()

    def wake(self) -> None:
        for service in self.running:
            service.sender.wake()

    async def deliveries(self) -> list[Delivery]:
        async with self.engine.connect() as connection:
            rows = await connection.execute(select(*deliveries.COLUMNS).order_by(DELIVERIES.c.seq))
            return [Delivery(*row) for row in rows]

    async def states(self) -> list[str]:
        return [delivery.state for delivery in await self.deliveries()]

    async def events(self) -> list[DeliveryEvent]:
        """The delivery events in the outbox, in order."""
        async with self.engine.connect() as connection:
            rows = await OUTBOX.oldest(await driver_connection(connection), 10_000)
        events = [decode(unpack(row.headers), row.value) for row in rows]
        return [event for event in events if isinstance(event, DeliveryEvent)]

    async def journal(self) -> list[str]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(select(JOURNAL.c.entry).order_by(JOURNAL.c.id))).scalars())

    def mails(self) -> list[dict[str, str]]:
        """The headers of the mails that the server accepted, with `rcpt` for the recipient, oldest first."""
        return [dict(mail["headers"]) | {"rcpt": mail["rcpt_to"][0]} for mail in self.sink.messages()]

    async def reaches(self, *states: str) -> None:
        """Wait until the deliveries, in the order of events, have these states."""

        async def reached() -> bool:
            return await self.states() == list(states)

        await eventually(reached, self.states, DEADLINE)

    async def quiet(self, seconds: float = DEADLINE, *, every: float = 0.02) -> None:
        """Wait until no delivery is open."""

        async def all_final() -> bool:
            async with self.engine.connect() as connection:
                return not (await queue.measure(connection)).counts

        await eventually(all_final, self.states, seconds, every=every)


@asynccontextmanager
async def make_world(
    url: str, sink: SharedSink, folder: Path, now: datetime, **settings: Any
) -> AsyncIterator[NotifierWorld]:
    directory = folder / "directory.yaml"
    directory.write_text(DIRECTORY)
    pool = engine(url, "test", pool_size=20)
    try:
        yield NotifierWorld(url, sink, directory, now, pool, {**PATIENT, **settings})
    finally:
        await pool.dispose()
