"""Builds the board from its settings: the only place that constructs anything."""

from dataclasses import dataclass
from datetime import timedelta

from tocsin.runtime.process.bootstrap import Runtime, build_runtime
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.service import Service

from board.api import webhook_deliveries
from board.domain.webhooks.body import WebhookLinks
from board.handlers.webhook_deliveries import forget, measure
from board.handlers.webhooks import WebhookQueue
from board.settings import Settings
from board.sources.webhook_request import WebhookClient
from board.sources.webhooks_file import WebhooksFile
from board.store.tables import DEAD_LETTERS, KEY_USES, OUTBOX
from board.workers.webhook_sender import WebhookSender


def build(settings: Settings, clock: TimeSource | None = None) -> Service:
    """The service; `clock` replaces the one of the settings."""
    runtime = build_runtime(
        settings, "board", outbox=OUTBOX, dead_letters=DEAD_LETTERS, key_uses=KEY_USES, clock=clock, consumers=4
    )
    webhooks = _build_webhooks(runtime, settings)
    app = runtime.create_app(
        "Open tickets, their deadlines, and reports.",
        [],
        [webhook_deliveries.router(runtime.reader, runtime.side_writer, webhooks.sender.wake)],
        notes={"webhooks": webhooks.file.note},
    )
    return Service(runtime=runtime, app=app, tasks=[webhooks.sender.run])


@dataclass(frozen=True)
class OutgoingWebhooks:
    """The parts that queue and send webhooks."""

    file: WebhooksFile
    queue: WebhookQueue
    sender: WebhookSender


def _build_webhooks(runtime: Runtime, settings: Settings) -> OutgoingWebhooks:
    file = WebhooksFile(settings.webhooks)
    links = WebhookLinks(settings.public_url, settings.ticket_urls or {})
    sender = WebhookSender(runtime.side_writer, file, runtime.clock, WebhookClient(settings.webhook_networks))
    kept_for = timedelta(days=settings.webhook_retention_days)
    scheduler = runtime.scheduler
    scheduler.every(15, lambda: measure(runtime.reader, file), name="webhook_gauges", timeout=15)
    scheduler.every(3600, lambda: forget(runtime.side_writer, kept_for), name="webhook_retention", timeout=300)
    return OutgoingWebhooks(file, WebhookQueue(file, runtime.clock, links, sender.wake_soon), sender)
