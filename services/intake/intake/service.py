"""Builds intake from its settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from tocsin.runtime.http.load_shedding import Admission
from tocsin.runtime.process.bootstrap import build_runtime
from tocsin.runtime.process.service import Service
from tocsin.sources.policy_file import configured_policy

from intake import metrics
from intake.api import ack, batch, events, mail, tickets, webhooks
from intake.api.problems import add_error_handler
from intake.api.webhook_size import OversizedWebhooks
from intake.domain.mail import MAX_MAIL_BYTES
from intake.handlers.context import IngestContext
from intake.handlers.idempotency import expire_keys
from intake.settings import Settings
from intake.sources.integrations_file import IntegrationsFile
from intake.sources.signing_keys import SigningKeys
from intake.store import tables
from intake.workers.batch_writer import BatchWriter
from intake.workers.context import DeliveryContext
from intake.workers.ticket_gauges import TicketGauges
from intake.workers.webhook_worker import STORE_SECONDS, WebhookWorker
from intake.workers.write_queue import GROUP_SIZE, MAX_WAIT_SECONDS, MAX_WAITING, WriteQueue

BATCH_BYTES = 32_000_000
FORM_BYTES = 1_000
MAX_BATCHES = 20
BATCH_WAIT_SECONDS = 5.0
"""Batches in progress, and the longest expected wait for one; more are 503."""
WAIT_SECONDS = 2
"""Real seconds that a request waits for a database connection before it is 503."""


@dataclass(frozen=True, kw_only=True)
class IntakeService(Service):
    """Intake, with the worker that processes webhook deliveries."""

    webhook_worker: WebhookWorker


def build(settings: Settings, *, signing_keys: SigningKeys | None = None) -> IntakeService:
    """The service, not started. Raises ConfigurationError if the policy cannot be used."""
    policy = configured_policy(settings.policy)
    runtime = build_runtime(
        settings,
        "intake",
        outbox=tables.OUTBOX,
        dead_letters=tables.DEAD_LETTERS,
        key_uses=tables.KEY_USES,
        watermark_interval=settings.progress_interval,
        wait_seconds=WAIT_SECONDS,
    )
    writer, side_writer, reader = runtime.writer, runtime.side_writer, runtime.reader
    scheduler, wake = runtime.scheduler, runtime.relay.wake
    metrics.declare_sources(policy.machine_sources)
    context = IngestContext(policy, runtime.clock.business, settings.history_outbox_limit)
    integrations = IntegrationsFile(settings.integrations)
    queue = WriteQueue(context, writer, wake)
    webhook_worker = WebhookWorker(DeliveryContext(context, writer, side_writer, wake, integrations))
    kept_for = timedelta(days=settings.hook_retention_days)
    scheduler.every(3600, lambda: expire_keys(side_writer), name="idempotency_keys", timeout=60)
    # Hundreds of tickets in one delivery may take this long on a slow database; each of them has its own limit.
    scheduler.every(5, webhook_worker.retry, name="hook_retries", timeout=3600)
    scheduler.every(30, webhook_worker.record_integrations, name="hook_integrations", timeout=30)
    scheduler.every(30, webhook_worker.measure_integrations, name="hook_gauges", timeout=30)
    scheduler.every(3600, lambda: webhook_worker.forget(kept_for), name="hook_retention", timeout=300)
    scheduler.every(15, TicketGauges(reader).measure, name="ticket_gauges", timeout=15)
    app = runtime.create_app(
        "Stores tickets and their events, and publishes them. A 2xx response means durable.",
        [],
        [
            tickets.write_router(policy, queue),
            tickets.router(reader),
            batch.router(policy, BatchWriter(context, writer, wake)),
            events.router(queue),
            ack.router(context, writer, reader, wake, settings.links),
            mail.router(webhook_worker, integrations),
            webhooks.list_router(reader),
            webhooks.correction_router(side_writer, webhook_worker),
            webhooks.router(webhook_worker, integrations, signing_keys or SigningKeys()),
        ],
        notes={"integrations": integrations.note},
        body_limits={"/v1/tickets/batch": BATCH_BYTES, "/ack": FORM_BYTES, mail.MAIL_PREFIX: MAX_MAIL_BYTES},
        free_form=("/ack/", webhooks.PREFIX),
        admissions=_admissions(),
        on_too_large=OversizedWebhooks(integrations),
    )
    add_error_handler(app)
    return IntakeService(runtime=runtime, app=app, webhook_worker=webhook_worker)


def _admissions() -> dict[str, Admission]:
    """What is shed, by path. Two groups of single tickets are always admitted; webhooks wait as long as they may."""
    return {
        "/v1/tickets": Admission(seconds=MAX_WAIT_SECONDS, always=2 * GROUP_SIZE, most=MAX_WAITING),
        "/v1/tickets/batch": Admission(seconds=BATCH_WAIT_SECONDS, always=4, most=MAX_BATCHES),
        webhooks.PREFIX: Admission(seconds=STORE_SECONDS, always=2 * GROUP_SIZE, most=MAX_WAITING),
    }


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[IntakeService]:
    """The service for a command: built, but not serving. The running service publishes what a command stores.

    Raises ConfigurationError if the policy cannot be used.
    """
    service = build(settings)
    try:
        yield service
    finally:
        await service.runtime.dispose()
