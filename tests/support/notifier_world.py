"""A notifier in the test's own process: real PostgreSQL, a real mail server, events handed in as the consumer would."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from notifier import store
from notifier.domain.delivery import Stored
from notifier.handlers.notifications import Handlers
from notifier.settings import Settings
from notifier.store.tables import OUTBOX, deliveries, journal
from notifier.workers.attempts import Attempts
from notifier.workers.composer import letters_from
from notifier.workers.queue import Claims
from notifier.workers.sender import Sender
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.events import DeliveryEvent, Notify, StandDown, Withdraw, decode
from tocsin.runtime.database.engine import engine
from tocsin.runtime.kafka.consumer import Received
from tocsin.runtime.kafka.record_headers import unpack
from tocsin.runtime.process.clock import BusinessClock
from tocsin.sources.directory_file import DirectoryFile

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
DEADLINE = 30.0


@dataclass
class World:
    """One database, and any number of notifiers on it."""

    url: str
    sink: SharedSink
    directory: Path
    now: datetime
    engine: AsyncEngine
    settings: Mapping[str, Any]
    senders: list[Sender] = field(default_factory=list)
    _taken: int = 0

    def clock(self) -> BusinessClock:
        return BusinessClock(self.now, datetime.now(UTC), 1)

    @asynccontextmanager
    async def notifier(self) -> AsyncIterator[Sender]:
        """A notifier that delivers while the block runs, and ends cleanly with it."""
        sender = self.make_sender()
        stopping = asyncio.Event()
        task = asyncio.create_task(sender.run(stopping))
        self.senders.append(sender)
        try:
            yield sender
        finally:
            stopping.set()
            await task
            self.senders.remove(sender)

    def make_settings(self) -> Settings:
        own = {"database_url": self.url, "kafka": "127.0.0.1:9", "keys": "none", "directory": self.directory}
        mail = {"smtp": self.sink.address, "mail_from": "tocsin@example.org", **LINKS}
        return Settings(**{**own, **mail, **self.settings})

    def make_sender(self) -> Sender:
        settings = self.make_settings()
        clock = self.clock()
        directory = DirectoryFile(self.directory)
        claims = Claims(self.engine, directory, clock, settings.lease)
        attempts = Attempts(self.engine, clock, settings.patience, settings.lease)
        return Sender(claims, attempts, letters_from(settings, directory), clock, settings, lambda: None)

    async def take(self, *events: Notify | Withdraw | StandDown) -> None:
        """The events arrive in one batch, in this order."""
        batch = [Received(event, "tocsin.escalations.v1", 0, n) for n, event in enumerate(events, self._taken)]
        self._taken += len(batch)
        async with self.engine.begin() as connection:
            await Handlers(self.clock()).on_batch(connection, batch)
        self.wake()

    def wake(self) -> None:
        for sender in self.senders:
            sender.wake()

    async def deliveries(self) -> list[Stored]:
        async with self.engine.connect() as connection:
            rows = (await connection.execute(select(deliveries.c.ticket_id).distinct())).scalars().all()
            tickets, _ = await store.of_tickets(connection, rows)
        return sorted(chain.from_iterable(tickets.values()), key=lambda delivery: delivery.seq)

    async def states(self) -> list[str]:
        return [delivery.state for delivery in await self.deliveries()]

    async def told(self) -> list[DeliveryEvent]:
        """The delivery events that wait in the outbox, in order."""
        async with self.engine.connect() as connection:
            rows = await OUTBOX.oldest(connection, 10_000)
        events = [decode(unpack(row[3]), row[4]) for row in rows]
        return [event for event in events if isinstance(event, DeliveryEvent)]

    async def journal(self) -> list[str]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(select(journal.c.entry).order_by(journal.c.id))).scalars())

    def mails(self) -> list[dict[str, str]]:
        """The headers of what the mail server took, with `rcpt` for the recipient, oldest first."""
        return [dict(mail["headers"]) | {"rcpt": mail["rcpt_to"][0]} for mail in self.sink.messages()]

    async def reaches(self, *states: str) -> None:
        """Wait until the deliveries, in the order of events, have these states."""
        await eventually(lambda: self._are(list(states)), self.states, DEADLINE)

    async def _are(self, states: list[str]) -> bool:
        return await self.states() == states

    async def quiet(self, seconds: float = DEADLINE, *, every: float = 0.02) -> None:
        """Wait until no delivery is open."""
        await eventually(self._all_final, self.states, seconds, every=every)

    async def _all_final(self) -> bool:
        async with self.engine.connect() as connection:
            counts, _ = await store.queue(connection)
        return not counts


@asynccontextmanager
async def world(url: str, sink: SharedSink, folder: Path, now: datetime, **settings: Any) -> AsyncIterator[World]:
    directory = folder / "directory.yaml"
    directory.write_text(DIRECTORY)
    pool = engine(url, "notifier-writer", pool_size=20)
    try:
        yield World(url, sink, directory, now, pool, {**PATIENT, **settings})
    finally:
        await pool.dispose()
