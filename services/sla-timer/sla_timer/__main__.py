"""`python -m sla_timer` serves; its commands are `simulate`, `migrate`, `republish`. The only place that wires."""

import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from tocsin.policy import PolicyError
from tocsin.runtime.database.engine import database_check, engine
from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.http.app import create_app
from tocsin.runtime.http.dead_letter_routes import dead_letter_routes
from tocsin.runtime.http.key_usage import SAVE_SECONDS
from tocsin.runtime.http.key_routes import KeyUsage
from tocsin.runtime.kafka.client import TICKETS
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.kafka.relay import Relay
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.commands import service_commands
from tocsin.runtime.process.scheduler import Scheduler
from tocsin.runtime.process.service import run
from tocsin.sources.policy_file import read_policy

from sla_timer.api import routes
from sla_timer.commands.simulate import simulate_stories
from sla_timer.domain.policy_history import PolicyBook
from sla_timer.domain.source_liveness import Silence
from sla_timer.handlers.handlers import Handlers
from sla_timer.settings import Settings
from sla_timer.store.policies import PolicyChangedError, add_policy, all_policies
from sla_timer.store.reports import told_since
from sla_timer.store.tables import DEAD_LETTERS, KEY_USES, OFFSETS, OUTBOX
from sla_timer.workers.jobs import Watch

STORY_BYTES = 4_000_000  # 10,000 facts


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
        await handlers.sweep_through(partitions)
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
    ring = KeyRing(settings.keys)
    key_uses = KeyUsage(ring, reader, KEY_USES)
    scheduler = Scheduler()
    scheduler.every(SAVE_SECONDS, key_uses.save, name="key_uses")
    scheduler.every(1, handlers.sweep_all, name="sweep")
    scheduler.every(5, watch.gauges, name="gauges")
    scheduler.every(5, handlers.renew_policies, name="policies", timeout=3600)
    scheduler.every(settings.probe_seconds, watch.probe, name="probe", timeout=60)
    web = create_app(
        "sla-timer",
        "Schedules and fires the deadlines of every ticket, and can say why each is what it is.",
        ring,
        {"database": database_check(reader), "consumer": consumer.ready},
        body_limits={"/v1/simulate": STORY_BYTES},
    )
    web.include_router(routes.router(reader, book, clock, watch.unconfirmed))
    web.include_router(key_uses.routes())
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


app = service_commands(
    "sla_timer", "Schedule and fire the deadlines of every ticket.", Settings, serve, OUTBOX, told_since
)


@app.command("simulate")
def simulate(
    file: Annotated[str, typer.Argument(help="a story as JSON, or one a line; - is standard input")] = "-",
    policy: Annotated[Path | None, typer.Option(help="another policy than the shipped or configured one")] = None,
) -> None:
    """Tell stories by a policy: what falls due when, and why. Needs no Kafka and no database."""
    sys.exit(simulate_stories(file, policy))


if __name__ == "__main__":
    app()
