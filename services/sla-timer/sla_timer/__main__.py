"""`python -m sla_timer` serves; its commands are `simulate`, `migrate`, `republish`. The only place that wires."""

import asyncio
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from tocsin.policy import PolicyError
from tocsin.policy.files import read_policy
from tocsin.runtime import database
from tocsin.runtime.clock import clock_from
from tocsin.runtime.consumer import Consumer
from tocsin.runtime.database import engine, responds
from tocsin.runtime.dead_letter_routes import dead_letter_routes
from tocsin.runtime.http import create_app
from tocsin.runtime.kafka import TICKETS
from tocsin.runtime.keys import KeyRing
from tocsin.runtime.logging import configure
from tocsin.runtime.relay import Relay
from tocsin.runtime.republish import republish as queue_again
from tocsin.runtime.scheduling import Scheduler
from tocsin.runtime.service import run
from tocsin.runtime.settings import DatabaseSettings, load

from sla_timer import api
from sla_timer.book import PolicyBook
from sla_timer.command_line import simulate_stories
from sla_timer.handlers import Handlers
from sla_timer.settings import Settings
from sla_timer.silence import Silence
from sla_timer.store.policies import PolicyChangedError, add_policy, all_policies
from sla_timer.store.reports import told_since
from sla_timer.store.tables import DEAD_LETTERS, OFFSETS, OUTBOX
from sla_timer.watching import Watch

INSTANTS = ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Schedules and fires the deadlines.")


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Serve, with the settings of the environment."""
    if context.invoked_subcommand is None:
        settings = load(Settings)
        configure("sla-timer", settings)
        asyncio.run(serve(settings))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    asyncio.run(database.migrate("sla_timer", load(DatabaseSettings).database_url))


@app.command()
def republish(
    since: Annotated[datetime, typer.Option(formats=INSTANTS, help="business time, UTC: 2026-06-08T12:00:00Z")],
) -> None:
    """Queue what was told at or after an instant once more, with the same ids; the running service publishes it."""
    url = load(DatabaseSettings).database_url

    async def work() -> int:
        writer = engine(url, "sla-timer-republish", pool_size=2)
        try:
            return await queue_again(writer, OUTBOX, told_since(writer, since.replace(tzinfo=UTC)))
        finally:
            await writer.dispose()

    typer.echo(f"{asyncio.run(work())} events queued.")


@app.command()
def simulate(
    file: Annotated[str, typer.Argument(help="a story as JSON, or one a line; - is standard input")] = "-",
    policy: Annotated[Path | None, typer.Option(help="another policy than the shipped or configured one")] = None,
) -> None:
    """Tell stories by a policy: what falls due when, and why. Needs no Kafka and no database."""
    sys.exit(simulate_stories(file, policy))


async def serve(settings: Settings) -> None:
    """The whole service, until it is told to stop."""
    try:
        policy = read_policy(settings.policy)
    except (PolicyError, OSError) as error:
        _refuse(error)
    clock = clock_from(settings)
    writer = engine(settings.database_url, "sla-timer-writer")
    reader = engine(settings.database_url, "sla-timer-reader", pool_size=5)
    relay_engine = engine(settings.database_url, "sla-timer-relay", pool_size=3, statement_seconds=5)
    relay = Relay(relay_engine, settings.kafka, OUTBOX, DEAD_LETTERS, interval=settings.relay_interval)
    book = PolicyBook()
    handlers = Handlers(writer, book, clock)

    async def store_policy() -> None:
        try:
            async with writer.begin() as connection:
                await add_policy(connection, policy)
                book.renew(await all_policies(connection))
        except PolicyChangedError as error:
            _refuse(error)

    async def judge(partitions: Mapping[int, datetime | None]) -> None:
        for partition, accepted_through in sorted(partitions.items()):
            if accepted_through is not None:
                await handlers.sweep(partition, accepted_through)
        relay.wake()

    consumer = Consumer(
        bootstrap=settings.kafka,
        topic=TICKETS,
        group="sla-timer",
        engine=writer,
        offsets=OFFSETS,
        dead_letters=DEAD_LETTERS,
        on_batch=handlers.facts_received,
        after_commit=judge,
    )
    watch = Watch(reader, consumer, handlers, clock, Silence(settings.silence_seconds))
    scheduler = Scheduler()
    scheduler.every(1, handlers.sweep_all, name="sweep")
    scheduler.every(5, watch.gauges, name="gauges")
    scheduler.every(5, handlers.renew_policies, name="policies", timeout=3600)
    scheduler.every(settings.probe_seconds, watch.probe, name="probe", timeout=60)
    web = create_app(
        "sla-timer",
        "Schedules and fires the deadlines of every ticket, and can say why each is what it is.",
        KeyRing(settings.keys),
        {"database": responds(reader), "consumer": consumer.ready},
    )
    web.include_router(api.router(reader, book, clock, watch.unconfirmed))
    web.include_router(dead_letter_routes(writer, DEAD_LETTERS, OUTBOX, consumer))
    await run(
        web,
        settings,
        package="sla_timer",
        engines=[writer, reader, relay_engine],
        relay=relay,
        consumer=consumer,
        scheduler=scheduler,
        prepare=store_policy,
    )


def _refuse(error: Exception) -> NoReturn:
    """A policy that cannot be served by ends the process like any wrong setting."""
    typer.echo(f"TOCSIN_POLICY: {error}", err=True)
    raise SystemExit(2) from None


if __name__ == "__main__":
    app()
