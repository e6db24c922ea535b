"""`python -m escalator`: serve; `migrate`; `republish --since T`. The only place that builds things."""

from collections.abc import Mapping
from datetime import datetime

from tocsin.runtime.database.engine import database_check, engine
from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.http.app import create_app
from tocsin.runtime.http.dead_letter_routes import dead_letter_routes
from tocsin.runtime.http.key_usage import SAVE_SECONDS
from tocsin.runtime.http.key_routes import KeyUsage
from tocsin.runtime.kafka.client import DEADLINES
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.kafka.relay import Relay
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.commands import service_commands
from tocsin.runtime.process.scheduler import Scheduler
from tocsin.runtime.process.service import run
from tocsin.sources.directory_file import DirectoryFile

from escalator import store
from escalator.api import routes
from escalator.handlers import Handlers
from escalator.settings import Settings


async def serve(settings: Settings) -> None:
    """Run until TERM or INT."""
    writer = engine(settings.database_url, "escalator-writer")
    reader = engine(settings.database_url, "escalator-reader", pool_size=5)
    relay_engine = engine(settings.database_url, "escalator-relay", pool_size=3, statement_seconds=5)
    clock = clock_from(settings)
    directory = DirectoryFile(settings.directory, clock.now)
    handlers = Handlers(clock, directory)
    relay = Relay(relay_engine, settings.kafka, store.outbox, store.dead_letters, interval=settings.relay_interval)

    async def committed(_: Mapping[int, datetime | None]) -> None:
        relay.wake()

    consumer = Consumer(
        bootstrap=settings.kafka,
        topic=DEADLINES,
        group="escalator",
        engine=writer,
        offsets=store.offsets,
        dead_letters=store.dead_letters,
        on_batch=handlers.deadlines_told,
        after_commit=committed,
        ordered=True,
    )
    ring = KeyRing(settings.keys)
    key_uses = KeyUsage(ring, reader, store.key_uses)
    scheduler = Scheduler()
    scheduler.every(SAVE_SECONDS, key_uses.save, name="key_uses")
    scheduler.every(5, directory.refresh, name="directory", timeout=20)
    web = create_app(
        "escalator",
        "Which ladders run, who was told, what comes next.",
        ring,
        {"database": database_check(reader), "consumer": consumer.ready},
        notes={"directory": directory.note},
    )
    web.include_router(routes.router(reader, directory))
    web.include_router(key_uses.routes())
    web.include_router(dead_letter_routes(writer, store.dead_letters, store.outbox, consumer))
    await run(
        web,
        settings,
        package="escalator",
        engines=[writer, reader, relay_engine],
        relay=relay,
        consumer=consumer,
        scheduler=scheduler,
        tasks=[],
    )


app = service_commands(
    "escalator",
    "Advance the tiers of the ladder and address every notification.",
    Settings,
    serve,
    store.outbox,
    store.stored_decisions,
)


if __name__ == "__main__":
    app()
