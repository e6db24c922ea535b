"""Stores webhook deliveries and mails, processes them, and retries the ones that failed."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.backoff import Backoff
from tocsin.runtime.database.engine import clock_timestamp, is_transient

from intake import metrics
from intake.domain.mail_rules import SOURCE as EMAIL
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.config.integrations import Integrations
from intake.errors import (
    MISSING_FIELDS,
    RejectedError,
    UnavailableError,
    UnmappedError,
    UnmappedReason,
    UnreadableError,
)
from intake.handlers.context import IngestContext
from intake.handlers.webhooks import AppliedUpdate, DeliveredTicket, UpdateResult, apply_ticket
from intake.sources.integrations_file import IntegrationsFile
from intake.store.webhooks import WebhookDelivery, WebhookState, WebhookStore
from intake.workers.mail_worker import process_mail

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
_MAX_DETAIL_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The state of a delivery; `reason` and `detail` say why it is unmapped or waits."""

    state: WebhookState
    delivery_id: int
    reason: UnmappedReason | None = None
    detail: str | None = None


class WebhookWorker:
    """Stores and processes deliveries; `wake` tells the relay of this process that there are new events.

    `side_writer` is for everything but facts, so that only transactions that add facts hold back the watermark
    (docs/architecture.md#time).
    """

    def __init__(
        self,
        context: IngestContext,
        writer: AsyncEngine,
        side_writer: AsyncEngine,
        wake: Callable[[], None],
        integrations: IntegrationsFile,
    ) -> None:
        self._context = context
        self._writer = writer
        self._side_writer = side_writer
        self._wake = wake
        self._integrations = integrations
        self._recorded: Integrations | None = None

    async def receive(
        self, tenant: str, provider: str, key: bytes, headers: Mapping[str, str], body: bytes
    ) -> DeliveryResult | None:
        """Store a delivery as it came, then process it; None if its key is known: it is a duplicate.

        Raises TimeoutError if it is unknown whether the delivery is stored: the tool sends it again.
        """
        async with asyncio.timeout(STORE_SECONDS), self._side_writer.begin() as connection:
            received_at = self._context.business(await clock_timestamp(connection))
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
        """Process an unmapped delivery with the present configuration; another one stays as it is. None: not found."""
        async with self._side_writer.begin() as connection:
            store = WebhookStore(connection)
            is_requeued = bool(await store.requeue(tenant, [delivery_id]))
            delivery = await store.load_delivery(delivery_id, tenant)
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
                if delivery.provider == EMAIL:
                    result = await self._process_mail(delivery)
                else:
                    result = await self._process_webhook(delivery, limit if in_background else None)
                await self._finish(delivery, result)
        except Exception as error:  # the edge of one delivery: counted, and retried
            result = await self._reschedule(delivery, error)
        metrics.HOOK_DELIVERIES.labels(delivery.provider, result.state).inc()
        # A replayed delivery that is still unmapped was counted when it came.
        if result.state is WebhookState.UNMAPPED and result.reason is not None and delivery.reason is None:
            metrics.HOOKS_UNMAPPED.labels(delivery.provider, result.reason).inc()
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
            async with self._side_writer.begin() as connection:
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
        integrations = self._integrations.current()
        if integrations is None or integrations is self._recorded:
            return
        async with self._side_writer.begin() as connection:
            real = await clock_timestamp(connection)
            now = self._context.business(min(real, self._integrations.written_at or real))
            for tenant, providers in integrations.tenants.items():
                for provider in providers:
                    await WebhookStore(connection).record_integration(tenant, provider, now)
        self._recorded = integrations

    async def forget(self, older_than: timedelta) -> None:
        """Drop the content of old deliveries; a job for the scheduler."""
        forgotten = 1
        while forgotten:
            async with self._side_writer.begin() as connection:
                forgotten = await WebhookStore(connection).forget(older_than)

    async def _process_mail(self, delivery: WebhookDelivery) -> DeliveryResult:
        try:
            state, detail = await process_mail(self._context, self._writer, self._integrations.current(), delivery)
        except UnmappedError as error:
            return _unmapped(delivery, error)
        self._wake()
        return DeliveryResult(state, delivery.id, detail=detail)

    async def _process_webhook(self, delivery: WebhookDelivery, limit: asyncio.Timeout | None) -> DeliveryResult:
        integration = self._integrations.find(delivery.tenant, delivery.provider)
        if integration is None:
            message = "integrations.yaml no longer configures this provider for the tenant."
            return _unmapped(delivery, UnmappedError(UnmappedReason.NO_INTEGRATION, message))
        try:
            content = ADAPTERS[integration.adapter].read(delivery.body, integration)
        except UnreadableError as error:
            return _unmapped(delivery, UnmappedError(UnmappedReason.UNREADABLE, str(error)))
        tickets = [
            UnmappedError(UnmappedReason.UNREADABLE, str(ticket))
            if isinstance(ticket, UnreadableError)
            else DeliveredTicket(delivery, position, ticket, integration)
            for position, ticket in enumerate(content.tickets)
        ]
        outcomes = await self._apply_each(delivery, tickets, limit)
        unmapped = [outcome for outcome in outcomes if isinstance(outcome, UnmappedError)]
        if unmapped:
            # Reasons that a later delivery may remove come last, so that nothing else is left then (see
            # `WebhookStore.finish_waiting_for`).
            return _unmapped(delivery, min(unmapped, key=lambda error: error.reason in MISSING_FIELDS))
        results = {outcome.result for outcome in outcomes if isinstance(outcome, AppliedUpdate)}
        if results <= {UpdateResult.IGNORED}:
            return DeliveryResult(WebhookState.IGNORED, delivery.id, detail=content.about)
        return DeliveryResult(WebhookState.TAKEN, delivery.id)

    async def _apply_each(
        self,
        delivery: WebhookDelivery,
        tickets: list[DeliveredTicket | UnmappedError],
        limit: asyncio.Timeout | None,
    ) -> list[AppliedUpdate | UnmappedError]:
        """Apply each ticket in its own transaction; one that fails does not stop the others.

        `limit` is extended for each ticket. Raises the first error that a retry may remove.
        """
        async with self._side_writer.begin() as connection:
            applied_to = await WebhookStore(connection).drop_unapplied(delivery.id)
        outcomes: list[AppliedUpdate | UnmappedError] = []
        failure: Exception | None = None
        for ticket in tickets:
            if limit is not None:
                limit.reschedule(asyncio.get_running_loop().time() + PROCESS_SECONDS)
            try:
                if isinstance(ticket, DeliveredTicket):
                    outcomes.append(await self._apply(ticket, applied_to.get(ticket.position)))
                else:
                    outcomes.append(ticket)
            except RejectedError as error:
                outcomes.append(UnmappedError(UnmappedReason.REFUSED, str(error)))
            except Exception as error:  # the edge of one ticket: raised after the others
                if is_transient(error):
                    raise
                failure = failure or error
        if failure is not None:
            raise failure
        return outcomes

    async def _apply(self, ticket: DeliveredTicket, applied_to: UUID | None) -> AppliedUpdate | UnmappedError:
        async with self._writer.begin() as connection:
            outcome = await apply_ticket(self._context, connection, ticket, applied_to)
        self._wake()
        if isinstance(outcome, AppliedUpdate):
            if outcome.opened is not None:
                metrics.count_created(outcome.opened.ticket)
            log.info(
                "webhook_ticket_updated",
                ticket_id=str(outcome.ticket_id),
                result=outcome.result,
                facts=outcome.facts,
            )
        return outcome

    async def _finish(self, delivery: WebhookDelivery, result: DeliveryResult) -> None:
        async with self._side_writer.begin() as connection:
            await WebhookStore(connection).finish(delivery.id, result.state, result.reason, result.detail)

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
                    await self._finish(delivery, result)
                else:
                    async with self._side_writer.begin() as connection:
                        await WebhookStore(connection).reschedule(delivery.id, retry_after)
        except Exception as second_error:
            if not is_transient(second_error):
                raise
            # It is due again anyway: its next attempt was scheduled when it was stored or claimed.
            log.warning("webhook_rescheduled", delivery=delivery.id, error=repr(second_error))
        return result

    async def _update_gauges(self) -> None:
        async with self._side_writer.begin() as connection:
            unmapped, waiting = await WebhookStore(connection).count_backlog()
        metrics.HOOKS_WAITING.set(waiting)
        for provider in {*unmapped, *metrics.hook_providers()}:
            metrics.HOOKS_UNMAPPED_NOW.labels(provider).set(unmapped.get(provider, 0))


def _unmapped(delivery: WebhookDelivery, error: UnmappedError) -> DeliveryResult:
    return DeliveryResult(WebhookState.UNMAPPED, delivery.id, error.reason, str(error)[:_MAX_DETAIL_LENGTH])


def _describe(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"Not processed within {PROCESS_SECONDS:g} s: the database is slow, or the delivery has many tickets."
    if isinstance(error, UnavailableError):
        return str(error)
    if is_transient(error):
        return "The database is not available."
    return f"{type(error).__name__}: internal error (logged)."
