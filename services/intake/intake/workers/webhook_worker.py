"""Stores webhook deliveries and mails, processes them, and retries the ones that failed."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Final

import structlog
from tocsin.backoff import Backoff
from tocsin.runtime.database.engine import clock_timestamp, is_transient

from intake import metrics
from intake.domain.received_mail import EMAIL
from intake.domain.webhooks.config.integrations import Integrations
from intake.errors import UnavailableError, UnmappedError, UnmappedReason
from intake.handlers.deliveries import DeliveryResult, requeue_deliveries, unmapped_result
from intake.store.webhooks import UnmappedCount, WebhookDelivery, WebhookState, WebhookStore
from intake.workers.context import DeliveryContext
from intake.workers.mail_worker import process_mail
from intake.workers.ticket_worker import process_webhook

log = structlog.get_logger(__name__)

STORE_SECONDS: Final = 2.0
PROCESS_SECONDS: Final = 5.0
RESCHEDULE_SECONDS: Final = 1.0
"""The longest time to store a delivery, to process it while the tool waits for the response (Autotask waits 10 s), and
to reschedule it. In the background each of its tickets may take PROCESS_SECONDS, so any number of them is processed.
"""

_RETRY_AFTER: Final = timedelta(seconds=30)
_BACKOFF: Final = Backoff(first=timedelta(seconds=1), longest=timedelta(minutes=10))
_MAX_ATTEMPTS: Final = 20
_CLAIMED_AT_ONCE: Final = 10


class WebhookWorker:
    """Stores and processes deliveries."""

    def __init__(self, context: DeliveryContext) -> None:
        self._context = context
        self._recorded: Integrations | None = None

    async def receive(
        self, tenant: str, provider: str, key: bytes, headers: Mapping[str, str], body: bytes
    ) -> DeliveryResult | None:
        """Store a delivery as it came, then process it; None if its key is known: it is a duplicate.

        Raises TimeoutError if it is unknown whether the delivery is stored: the tool sends it again.
        """
        async with asyncio.timeout(STORE_SECONDS), self._context.side_writer.begin() as connection:
            received_at = self._context.ingest.business(await clock_timestamp(connection))
            delivery = await WebhookStore(connection).add_delivery(
                tenant, provider, key, headers, body, received_at, retry_after=_RETRY_AFTER
            )
        if delivery is None:
            metrics.HOOK_DELIVERIES.labels(provider, "duplicate").inc()
            return None
        return await self.process(delivery)

    async def receive_mail(self, tenant: str, raw: bytes) -> DeliveryResult | None:
        """Store and process a mail, as `receive` does; None if the same bytes are known: it is a duplicate."""
        headers = {"content-type": "message/rfc822"}
        return await self.receive(tenant, EMAIL, sha256(raw).digest(), headers, raw)

    async def replay(self, tenant: str, delivery_id: int) -> DeliveryResult | None:
        """Process an unmapped or ignored delivery with the current configuration; any other stays unchanged.

        None: not found.
        """
        async with self._context.side_writer.begin() as connection:
            is_requeued = bool(await requeue_deliveries(connection, tenant, [delivery_id], with_ignored=True))
            delivery = await WebhookStore(connection).load_delivery(delivery_id, tenant)
        if delivery is None:
            return None
        if not is_requeued:
            return DeliveryResult(delivery.state, delivery.id, delivery.reason, delivery.detail)
        return await self.process(delivery)

    async def process(self, delivery: WebhookDelivery, *, in_background: bool = False) -> DeliveryResult:
        """Process a stored delivery. If that fails, it is retried, or stored as unmapped; it is never lost."""
        try:
            async with asyncio.timeout(PROCESS_SECONDS) as limit:
                await self.record_integrations()
                result = await self._apply(delivery, limit if in_background else None)
                await self._finish(result)
        except Exception as error:  # the edge of one delivery: counted, and retried
            result = await self._reschedule(delivery, error)
        # A replayed delivery that has a reason was counted when it came.
        metrics.count_delivery(delivery.provider, result.state, result.reason if delivery.reason is None else None)
        log.info(
            "webhook_processed",
            delivery=delivery.id,
            provider=delivery.provider,
            tenant=delivery.tenant,
            state=result.state,
            reason=result.reason,
        )
        return result

    async def retry(self) -> None:
        """Process the deliveries that are due, and update the gauges; a job for the scheduler."""
        claimed_for = timedelta(seconds=PROCESS_SECONDS * _CLAIMED_AT_ONCE)
        while True:
            async with self._context.side_writer.begin() as connection:
                due = await WebhookStore(connection).claim_due(_CLAIMED_AT_ONCE, claimed_for)
            for delivery in due:
                await self.process(delivery, in_background=True)
            await self._update_gauges()
            if len(due) < _CLAIMED_AT_ONCE:
                break

    async def record_integrations(self) -> None:
        """Record when each integration was created, which decides what is history; a job for the scheduler.

        An integration was created when the file that first contains it was written.
        """
        file = self._context.integrations
        integrations = file.last_valid()
        if integrations is None or integrations is self._recorded:
            return
        async with self._context.side_writer.begin() as connection:
            real = await clock_timestamp(connection)
            now = self._context.ingest.business(min(real, file.written_at or real))
            for tenant, providers in integrations.tenants.items():
                for provider in providers:
                    await WebhookStore(connection).record_integration(tenant, provider, now)
        self._recorded = integrations

    async def measure_integrations(self) -> None:
        """Update the gauges of each integration; a job for the scheduler."""
        ready = self._context.integrations.ready()
        metrics.declare_integrations(ready)
        async with self._context.side_writer.begin() as connection:
            store = WebhookStore(connection)
            for tenant, provider in ready:
                last = await store.last_stored(tenant, provider)
                metrics.set_last_delivery(tenant, provider, last.stored_at, last.with_ticket)

    async def forget(self, older_than: timedelta) -> None:
        """Drop the content of old deliveries; a job for the scheduler."""
        forgotten = 1
        while forgotten:
            async with self._context.side_writer.begin() as connection:
                forgotten = await WebhookStore(connection).forget(older_than)

    async def _apply(self, delivery: WebhookDelivery, limit: asyncio.Timeout | None) -> DeliveryResult:
        """Process a delivery; a `limit` is extended for each of its tickets."""

        def extend() -> None:
            if limit is not None:
                limit.reschedule(asyncio.get_running_loop().time() + PROCESS_SECONDS)

        try:
            if delivery.provider == EMAIL:
                return await process_mail(self._context, delivery)
            return await process_webhook(self._context, delivery, extend)
        except UnmappedError as error:
            return unmapped_result(delivery, error)

    async def _finish(self, result: DeliveryResult) -> None:
        async with self._context.side_writer.begin() as connection:
            await WebhookStore(connection).finish(result.delivery_id, result.state, result.reason, result.detail)

    async def _reschedule(self, delivery: WebhookDelivery, error: Exception) -> DeliveryResult:
        """Retry later, with exponential back-off; a bug that does not go away makes the delivery unmapped."""
        may_pass = is_transient(error) or isinstance(error, UnavailableError)
        if may_pass:
            log.warning("webhook_rescheduled", delivery=delivery.id, error=repr(error))
        else:
            log.error("webhook_failed", delivery=delivery.id, attempts=delivery.attempts, exc_info=error)
        is_given_up = not may_pass and delivery.attempts + 1 >= _MAX_ATTEMPTS
        state = WebhookState.UNMAPPED if is_given_up else WebhookState.WAITING
        result = DeliveryResult(state, delivery.id, UnmappedReason.FAILED, _describe(error))
        retry_after = _BACKOFF.pause(delivery.attempts + 1)
        try:
            async with asyncio.timeout(RESCHEDULE_SECONDS):
                if is_given_up:
                    await self._finish(result)
                else:
                    async with self._context.side_writer.begin() as connection:
                        await WebhookStore(connection).reschedule(delivery.id, retry_after)
        except Exception as second_error:
            if not is_transient(second_error):
                raise
            # It is due again anyway: its next attempt was scheduled when it was stored or claimed.
            log.warning("webhook_rescheduled", delivery=delivery.id, error=repr(second_error))
        return result

    async def _update_gauges(self) -> None:
        async with self._context.side_writer.begin() as connection:
            unmapped, waiting = await WebhookStore(connection).count_backlog()
        metrics.HOOKS_WAITING.set(waiting)
        for provider in {*unmapped, *metrics.hook_providers()}:
            count = unmapped.get(provider, UnmappedCount())
            metrics.HOOKS_UNMAPPED_NOW.labels(provider).set(count.unmapped)
            metrics.HOOKS_DEACTIVATED_NOW.labels(provider).set(count.deactivated)


def _describe(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"Not processed within {PROCESS_SECONDS:g} s: the database is slow, or the delivery has many tickets."
    if isinstance(error, UnavailableError):
        return str(error)
    if is_transient(error):
        return "The database is not available."
    return "Internal error: intake's log describes it at `webhook_failed`."
