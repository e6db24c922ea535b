"""Builds the notifier from its settings."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

import structlog
from tocsin.runtime.kafka.client import ESCALATIONS
from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.service import Service
from tocsin.sources.directory_file import DirectoryFile

from notifier import api, metrics, store
from notifier.api import on_call
from notifier.api.bounces import PATH
from notifier.domain.on_call import seconds_to_gap, unknown_events
from notifier.handlers.notifications import Handlers
from notifier.settings import Settings
from notifier.store.tables import DEAD_LETTERS, KEY_USES, OFFSETS, OUTBOX
from notifier.workers.attempts import Attempts
from notifier.workers.composer import letters_from
from notifier.workers.queue import Claims
from notifier.workers.sender import Sender

log = structlog.get_logger(__name__)


def build(settings: Settings) -> Service:
    """The service, not started. Raises ConfigurationError if the policy cannot be used."""
    runtime = build_runtime(
        settings, "notifier", outbox=OUTBOX, dead_letters=DEAD_LETTERS, key_uses=KEY_USES, writer_pool=8
    )
    clock, writer, reader, scheduler = runtime.clock, runtime.writer, runtime.reader, runtime.scheduler
    directory = DirectoryFile(settings.directory, clock.now)
    claims = Claims(writer, directory, clock, settings.lease)
    attempts = Attempts(writer, clock, settings.patience, settings.lease)
    sender = Sender(claims, attempts, letters_from(settings, directory), clock, settings, runtime.relay.wake)

    def queued() -> None:
        sender.wake()
        runtime.relay.wake()

    async def committed(_: Mapping[int, datetime | None]) -> None:
        queued()

    async def measure() -> None:
        async with reader.connect() as connection:
            metrics.set_queue(*await store.queue(connection))
            metrics.set_undelivered(await store.undelivered(connection))

    async def look_ahead() -> None:
        if (known := directory.current()) is not None:
            metrics.set_gaps(await asyncio.to_thread(seconds_to_gap, known, clock.now()))
            unknown = await asyncio.to_thread(unknown_events, known, clock.now())
            metrics.DIRECTORY_UNKNOWN_EVENTS.set(len(unknown))
            if unknown:
                log.warning("calendar_events_name_nobody", events=unknown[:10])

    async def someone_to_mail() -> str | None:
        return None if directory.current() else "there is no directory that can be used; mails wait"

    scheduler.every(5, measure, name="queue_gauges", timeout=5)
    scheduler.every(5, directory.refresh, name="directory", timeout=20)
    scheduler.every(60, look_ahead, name="directory_gaps", timeout=60)
    consumer = runtime.consumer(ESCALATIONS, OFFSETS, Handlers(clock).on_batch, ordered=True, after_commit=committed)
    app = runtime.create_app(
        "What became of every mail.",
        consumer,
        [on_call.router(directory, clock), api.router(reader, writer, clock, directory.current, queued)],
        checks={"directory": someone_to_mail},
        notes={"directory_file": directory.note},
        free_form=[PATH],
    )
    return Service(runtime=runtime, app=app, consumer=consumer, tasks=[sender.run])
