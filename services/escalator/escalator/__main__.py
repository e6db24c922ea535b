"""`python -m escalator`: serve; `migrate`; `republish --since T`. The only place that builds things."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer
from tocsin.runtime import database
from tocsin.runtime.clock import clock_from
from tocsin.runtime.consumer import Consumer
from tocsin.runtime.database import engine, responds
from tocsin.runtime.dead_letter_routes import dead_letter_routes
from tocsin.runtime.directory_file import DirectoryFile
from tocsin.runtime.http import create_app
from tocsin.runtime.kafka import DEADLINES
from tocsin.runtime.keys import KeyRing
from tocsin.runtime.logging import configure
from tocsin.runtime.relay import Relay
from tocsin.runtime.republish import republish as queue_again
from tocsin.runtime.scheduling import Scheduler
from tocsin.runtime.service import run
from tocsin.runtime.settings import DatabaseSettings, load

from escalator import api, store
from escalator.handlers import Handlers
from escalator.settings import Settings

INSTANTS = ["%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Advance the tiers of the ladder and address every notification."""
    if context.invoked_subcommand is None:
        settings = load(Settings)
        configure("escalator", settings)
        asyncio.run(serve(settings))


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    asyncio.run(database.migrate("escalator", load(DatabaseSettings).database_url))


@app.command()
def republish(
    since: Annotated[datetime, typer.Option(formats=INSTANTS, help="business time, UTC: 2026-06-08T12:00:00Z")],
) -> None:
    """Publish again, with the same ids, what was decided at or after an instant. The running service sends it."""
    count = asyncio.run(_republish(load(DatabaseSettings).database_url, since.replace(tzinfo=UTC)))
    typer.echo(f"{count} events queued.")


async def serve(settings: Settings) -> None:
    """Run until TERM or INT."""
    writer = engine(settings.database_url, "escalator-writer")
    reader = engine(settings.database_url, "escalator-reader", pool_size=5)
    relay_engine = engine(settings.database_url, "escalator-relay", pool_size=3, statement_seconds=5)
    directory = DirectoryFile(settings.directory)
    handlers = Handlers(clock_from(settings), directory)
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
    scheduler = Scheduler()
    scheduler.every(5, directory.note, name="directory", timeout=3)
    web = create_app(
        "escalator",
        "Which ladders run, who was told, what comes next.",
        KeyRing(settings.keys),
        {"database": responds(reader), "consumer": consumer.ready},
        notes={"directory": directory.note},
    )
    web.include_router(api.router(reader, directory))
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


async def _republish(url: str, since: datetime) -> int:
    writer = engine(url, "escalator-writer", pool_size=2)
    try:
        return await queue_again(writer, store.outbox, store.stored_decisions(writer, since))
    finally:
        await writer.dispose()


if __name__ == "__main__":
    app()
