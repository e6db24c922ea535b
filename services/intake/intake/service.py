"""Builds intake from its settings."""

from datetime import timedelta

from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.service import Service
from tocsin.sources.policy_file import configured_policy

from intake import api, handlers, metrics, store
from intake.api import ack, mail, webhooks
from intake.api.webhook_size import TooLargeTold
from intake.handlers import Desk
from intake.settings import Settings
from intake.sources.integrations_file import IntegrationsFile
from intake.sources.signing_keys import SigningKeys
from intake.workers.webhook_worker import Deliveries

BATCH_BYTES = 32_000_000
FORM_BYTES = 1_000
WAIT_SECONDS = 2
"""How long a caller waits for a database connection before it is answered 503."""


def build(settings: Settings) -> Service:
    """The service, not started. Raises ConfigurationError if the policy cannot be used."""
    policy = configured_policy(settings.policy)
    runtime = build_runtime(
        settings,
        "intake",
        outbox=store.outbox,
        dead_letters=store.dead_letters,
        key_uses=store.key_uses,
        watermark_interval=settings.progress_interval,
        wait_seconds=WAIT_SECONDS,
    )
    writer, reader, scheduler, wake = runtime.writer, runtime.reader, runtime.scheduler, runtime.relay.wake
    metrics.declare(policy.machine_sources)
    desk = Desk(policy, runtime.clock.business, store.outbox, settings.history_outbox_limit)
    integrations = IntegrationsFile(settings.integrations)
    deliveries = Deliveries(desk, writer, reader, wake, integrations)
    kept_for = timedelta(days=settings.hook_retention_days)
    scheduler.every(3600, lambda: handlers.forget_keys(reader), name="idempotency_keys", timeout=60)
    # Hundreds of tickets in one delivery may take this long on a slow database; each of them has its own limit.
    scheduler.every(5, deliveries.retry, name="hook_retries", timeout=3600)
    scheduler.every(30, deliveries.note_integrations, name="hook_integrations", timeout=30)
    scheduler.every(3600, lambda: deliveries.forget(kept_for), name="hook_retention", timeout=300)
    app = runtime.create_app(
        "The front door: takes tickets and what happens to them. A 2xx means durable.",
        None,
        [
            api.router(desk, writer, reader, wake),
            ack.router(desk, writer, reader, wake, settings.links),
            mail.router(deliveries, integrations),
            webhooks.router(reader, deliveries, integrations, SigningKeys()),
        ],
        notes={"integrations": integrations.note},
        body_limits={"/v1/tickets/batch": BATCH_BYTES, "/ack": FORM_BYTES, mail.MAIL_PREFIX: mail.MAIL_BYTES},
        free_form=("/ack/", webhooks.PREFIX),
    )
    app.add_middleware(TooLargeTold, integrations=integrations)
    return Service(runtime=runtime, app=app)
