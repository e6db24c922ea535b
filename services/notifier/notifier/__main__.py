"""`python -m notifier`: serve; `migrate`; `republish --since T`. The only place that builds things."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

import structlog
import typer
from tocsin.policy import PolicyError
from tocsin.runtime.database.engine import database_check, engine
from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.http.app import create_app
from tocsin.runtime.http.dead_letter_routes import dead_letter_routes
from tocsin.runtime.http.key_routes import KeyUsage
from tocsin.runtime.http.key_usage import SAVE_SECONDS
from tocsin.runtime.kafka.client import ESCALATIONS
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.kafka.relay import Relay
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.commands import service_commands
from tocsin.runtime.process.scheduler import Scheduler
from tocsin.runtime.process.service import run
from tocsin.sources.directory_file import DirectoryFile

from notifier import api, metrics, store
from notifier.api import on_call
from notifier.api.bounces import PATH
from notifier.commands.bounce import bounce
from notifier.commands.on_call import add_commands
from notifier.domain.on_call import seconds_to_gap, unknown_events
from notifier.handlers.notifications import Handlers
from notifier.settings import Settings
from notifier.store.tables import DEAD_LETTERS, KEY_USES, OFFSETS, OUTBOX
from notifier.workers.attempts import Attempts
from notifier.workers.composer import letters_from
from notifier.workers.queue import Claims
from notifier.workers.sender import Sender

log = structlog.get_logger(__name__)


async def serve(settings: Settings) -> None:
    """Run until TERM or INT."""
    clock = clock_from(settings)
    writer = engine(settings.database_url, "notifier-writer", pool_size=8)
    reader = engine(settings.database_url, "notifier-reader", pool_size=5)
    relay_engine = engine(settings.database_url, "notifier-relay", pool_size=3, statement_seconds=5)
    directory = DirectoryFile(settings.directory, clock.now)
    relay = Relay(relay_engine, settings.kafka, OUTBOX, DEAD_LETTERS, interval=settings.relay_interval)
    claims = Claims(writer, directory, clock, settings.lease)
    attempts = Attempts(writer, clock, settings.patience, settings.lease)
    try:
        letters = letters_from(settings, directory)
    except (PolicyError, OSError) as error:
        typer.echo(f"TOCSIN_POLICY: {error}", err=True)
        raise SystemExit(2) from None
    sender = Sender(claims, attempts, letters, clock, settings, relay.wake)

    def queued() -> None:
        sender.wake()
        relay.wake()

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

    consumer = Consumer(
        bootstrap=settings.kafka,
        topic=ESCALATIONS,
        group="notifier",
        engine=writer,
        offsets=OFFSETS,
        dead_letters=DEAD_LETTERS,
        on_batch=Handlers(clock).on_batch,
        after_commit=committed,
        ordered=True,
    )
    ring = KeyRing(settings.keys)
    key_uses = KeyUsage(ring, reader, KEY_USES)
    scheduler = Scheduler()
    scheduler.every(SAVE_SECONDS, key_uses.save, name="key_uses")
    scheduler.every(5, measure, name="queue_gauges", timeout=5)
    scheduler.every(5, directory.refresh, name="directory", timeout=20)
    scheduler.every(60, look_ahead, name="directory_gaps", timeout=60)
    web = create_app(
        "notifier",
        "What became of every mail.",
        ring,
        {"database": database_check(reader), "consumer": consumer.ready, "directory": someone_to_mail},
        notes={"directory_file": directory.note},
        free_form=[PATH],
    )
    web.include_router(on_call.router(directory, clock))
    web.include_router(api.router(reader, writer, clock, directory.current, queued))
    web.include_router(key_uses.routes())
    web.include_router(dead_letter_routes(writer, DEAD_LETTERS, OUTBOX, consumer))
    await run(
        web,
        settings,
        package="notifier",
        engines=[writer, reader, relay_engine],
        relay=relay,
        consumer=consumer,
        scheduler=scheduler,
        tasks=[sender.run],
    )


app = service_commands(
    "notifier", "Mail the right contact, once, and keep the proof.", Settings, serve, OUTBOX, store.told_since
)
add_commands(app)
app.command("bounce")(bounce)


if __name__ == "__main__":
    app()
