"""`python -m intake`: serve; `migrate`; `republish --since T`; `keys`; `mail`. The only place that builds things."""

from datetime import timedelta

import typer
from tocsin.policy import PolicyError
from tocsin.runtime.database.engine import engine, responds
from tocsin.runtime.database.watermark import ProgressSource
from tocsin.runtime.http.api_keys import KeyRing
from tocsin.runtime.http.app import create_app
from tocsin.runtime.http.dead_letter_routes import dead_letter_routes
from tocsin.runtime.http.key_usage import SAVE_SECONDS, KeyUses
from tocsin.runtime.kafka.relay import Relay
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.commands import service_commands
from tocsin.runtime.process.scheduler import Scheduler
from tocsin.runtime.process.service import run
from tocsin.sources.policy_file import read_policy

from intake import api, metrics
from intake.api import ack, mail, webhooks
from intake.api.webhook_size import WebhookSizeMiddleware
from intake.commands import hooks, keys
from intake.commands.mail import mail as mail_command
from intake.domain.mail import MAX_MAIL_BYTES
from intake.handlers.context import IngestContext
from intake.handlers.idempotency import forget_keys
from intake.handlers.outbox_events import stored_events
from intake.settings import Settings
from intake.sources.integrations_file import IntegrationsFile
from intake.sources.signing_keys import SigningKeys
from intake.store import tables
from intake.workers.webhook_worker import WebhookWorker

WRITERS = "intake-writer"
BATCH_BYTES = 32_000_000
FORM_BYTES = 1_000
WAIT_SECONDS = 2
"""How long a caller waits for a connection to the database before it is told to come back."""


async def serve(settings: Settings) -> None:
    """Run until TERM or INT."""
    try:
        policy = read_policy(settings.policy)
    except (PolicyError, OSError) as error:
        typer.echo(f"TOCSIN_POLICY: {error}", err=True)
        raise SystemExit(2) from None
    clock = clock_from(settings)
    writer = engine(settings.database_url, WRITERS, wait_seconds=WAIT_SECONDS)
    reader = engine(settings.database_url, "intake-reader", pool_size=5, wait_seconds=WAIT_SECONDS)
    relay_engine = engine(settings.database_url, "intake-relay", pool_size=3, statement_seconds=5)
    relay = Relay(
        relay_engine,
        settings.kafka,
        tables.outbox,
        tables.dead_letters,
        interval=settings.relay_interval,
        progress=ProgressSource(writers=WRITERS, clock=clock, interval=settings.progress_interval),
    )
    metrics.declare(policy.machine_sources)
    context = IngestContext(policy, clock.business, tables.outbox, settings.history_outbox_limit)
    ring = KeyRing(settings.keys)
    key_uses = KeyUses(ring, reader, tables.key_uses)
    scheduler = Scheduler()
    scheduler.every(SAVE_SECONDS, key_uses.save, name="key_uses")
    scheduler.every(3600, lambda: forget_keys(reader), name="idempotency_keys", timeout=60)
    integrations = IntegrationsFile(settings.integrations)
    deliveries = WebhookWorker(context, writer, reader, relay.wake, integrations)
    kept_for = timedelta(days=settings.hook_retention_days)
    # Hundreds of tickets in one delivery may take this long on a slow database; each of them has its own limit.
    scheduler.every(5, deliveries.retry, name="hook_retries", timeout=3600)
    scheduler.every(30, deliveries.record_integrations, name="hook_integrations", timeout=30)
    scheduler.every(3600, lambda: deliveries.forget(kept_for), name="hook_retention", timeout=300)
    web = create_app(
        "intake",
        "The front door: takes tickets and what happens to them. A 2xx means durable.",
        ring,
        {"database": responds(reader)},
        notes={"integrations": integrations.note},
        body_limits={"/v1/tickets/batch": BATCH_BYTES, "/ack": FORM_BYTES, mail.MAIL_PREFIX: MAX_MAIL_BYTES},
        free_form=("/ack/", webhooks.PREFIX),
    )
    web.add_middleware(WebhookSizeMiddleware, integrations=integrations)
    web.include_router(api.router(context, writer, reader, relay.wake))
    web.include_router(ack.router(context, writer, reader, relay.wake, settings.links))
    web.include_router(mail.router(deliveries, integrations))
    web.include_router(webhooks.router(reader, deliveries, integrations, SigningKeys()))
    web.include_router(key_uses.routes())
    web.include_router(dead_letter_routes(reader, tables.dead_letters, tables.outbox, None))
    await run(
        web,
        settings,
        package="intake",
        engines=[writer, reader, relay_engine],
        relay=relay,
        scheduler=scheduler,
    )


app = service_commands(
    "intake",
    "Take tickets and their events in, and publish them.",
    Settings,
    serve,
    tables.outbox,
    stored_events,
)
app.command("mail")(mail_command)
app.add_typer(hooks.app, name="hooks", help="Webhooks: check integrations, try payloads, list, replay and dismiss.")
app.add_typer(keys.app, name="keys", help="API keys, for all four services.")


if __name__ == "__main__":
    app()
