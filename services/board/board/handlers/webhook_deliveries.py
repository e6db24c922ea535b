"""Use cases on outgoing webhooks: send one again, measure and forget them."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from board import metrics
from board.domain.webhooks.delivery import EndpointHealth, OutgoingWebhook
from board.errors import WebhookNotFoundError, WebhookWaitingError
from board.sources.webhooks_file import WebhooksFile
from board.store import webhook_deliveries as store
from board.store.webhook_endpoints import load_health, reopen_endpoint

_GRACE: Final = timedelta(hours=1)
_AT_ONCE: Final = 5000


async def redeliver(connection: AsyncConnection, tenant: str, delivery_id: UUID) -> OutgoingWebhook:
    """Send a delivered or failed webhook again, with the same id and body, also to an endpoint that responded 410.

    Raises WebhookNotFoundError and WebhookWaitingError.
    """
    webhook = await store.requeue(connection, tenant, delivery_id)
    if webhook is None:
        if await store.load_webhook(connection, tenant, delivery_id) is None:
            raise WebhookNotFoundError
        raise WebhookWaitingError
    await reopen_endpoint(connection, (tenant, webhook.endpoint))
    return webhook


async def measure(reader: AsyncEngine, file: WebhooksFile) -> None:
    """Update the gauges; a job for the scheduler."""
    try:
        async with reader.connect() as connection:
            backlog = await store.measure_backlog(connection)
            health = await load_health(connection)
    except Exception:
        metrics.forget_webhook_backlog()
        raise
    endpoints = file.current().webhooks.endpoints
    failing = {each.id: health.get((each.tenant, each.id), EndpointHealth()).is_failing for each in endpoints}
    metrics.set_webhook_backlog(backlog.pending, backlog.oldest_age, failing)


async def forget(writer: AsyncEngine, older_than: timedelta) -> None:
    """Fail the webhooks that can no longer be sent, and delete those that were finished longer ago; a job."""
    async with writer.begin() as connection:
        await store.fail_overdue(connection, _GRACE)
    deleted = _AT_ONCE
    while deleted == _AT_ONCE:
        async with writer.begin() as connection:
            deleted = await store.forget(connection, older_than, _AT_ONCE)
