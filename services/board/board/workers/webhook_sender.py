"""Sends the queued webhooks: a few at a time for each endpoint, so that one that hangs never delays another."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.database.engine import clock_timestamp, is_transient
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.tasks import cancel_all

from board import metrics
from board.domain.webhooks.config import WebhookEndpoint
from board.domain.webhooks.delivery import (
    AttemptOutcome,
    EndpointHealth,
    OutgoingState,
    OutgoingWebhook,
    after_attempt,
    endpoint_after_attempt,
)
from board.sources.webhook_request import SECONDS, WebhookClient
from board.sources.webhooks_file import WebhooksFile, read_url
from board.store.webhook_deliveries import claim_ready, finish_attempt
from board.store.webhook_endpoints import EndpointKey, add_endpoints, load_health, lock_health, save_health

log = structlog.get_logger(__name__)

SLOTS: Final = 4
"""Attempts at the same time for one endpoint in one process; one while it fails."""
LEASE: Final = timedelta(seconds=4 * SECONDS)
_POLL: Final = 1.0  # seconds
_GATHER: Final = 0.1  # seconds: the announcement precedes the commit, and in a burst one claim serves several


class WebhookSender:
    """Sends webhooks. `run` is a task of the service; any number of processes share the queue.

    An attempt whose process died is repeated after `lease`.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        file: WebhooksFile,
        clock: TimeSource,
        client: WebhookClient,
        *,
        lease: timedelta = LEASE,
    ) -> None:
        self._engine = engine
        self._file = file
        self._clock = clock
        self._client = client
        self._lease = lease
        self._woken = asyncio.Event()
        self._running: dict[asyncio.Task[None], EndpointKey] = {}

    def wake(self) -> None:
        """Check the queue now."""
        self._woken.set()

    def wake_soon(self) -> None:
        """Check the queue after a short pause."""
        asyncio.get_running_loop().call_later(_GATHER, self.wake)

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until `stopping`, then finish the attempts in progress."""
        stopped = asyncio.create_task(stopping.wait())
        stopped.add_done_callback(lambda _: self.wake())
        try:
            while not stopping.is_set():
                self._woken.clear()
                await self._start_attempts()
                await self._rest()
            if self._running:
                await asyncio.wait(self._running)
        finally:
            await cancel_all([stopped, *self._running])

    async def _start_attempts(self) -> None:
        endpoints = {(each.tenant, each.id): each for each in self._file.current().webhooks.endpoints}
        if not endpoints:
            return
        try:
            claimed = await self._claim(endpoints)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("webhooks_not_claimed", error=repr(error))
            return
        for webhook in claimed:
            key = (webhook.tenant, webhook.endpoint)
            task = asyncio.create_task(self._attempt(endpoints[key], webhook))
            self._running[task] = key
            task.add_done_callback(self._on_done)

    async def _claim(self, endpoints: Mapping[EndpointKey, WebhookEndpoint]) -> list[OutgoingWebhook]:
        async with self._engine.connect() as connection:
            health = await load_health(connection)
            now = await clock_timestamp(connection)
        if new := endpoints.keys() - health.keys():
            log.info("webhook_endpoints_added", endpoints=sorted(endpoint for _, endpoint in new))
            async with self._engine.begin() as connection:
                await add_endpoints(connection, new, self._clock.now())
        in_progress = Counter(self._running.values())
        slots = {
            key: free
            for key, endpoint in endpoints.items()
            if (free := _slots(endpoint, health.get(key, EndpointHealth()), now) - in_progress[key]) > 0
        }
        if not slots:
            return []
        async with self._engine.begin() as connection:
            return await claim_ready(connection, slots, self._lease)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_POLL):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _attempt(self, endpoint: WebhookEndpoint, webhook: OutgoingWebhook) -> None:
        outcome = await self._client.send(endpoint, webhook.delivery_id, webhook.body)
        try:
            async with self._engine.begin() as connection:
                key = (webhook.tenant, webhook.endpoint)
                now = await clock_timestamp(connection)
                after = after_attempt(webhook, outcome, now, random.random())
                is_current = await finish_attempt(connection, after, outcome, now)
                health = endpoint_after_attempt(
                    await lock_health(connection, key), outcome, _url_digest(endpoint), now, random.random()
                )
                await save_health(connection, key, health)
        except Exception as error:
            if not is_transient(error):
                raise
            # It is sent again, with the same id, when the lease ends.
            log.warning("webhook_result_not_stored", delivery=str(webhook.delivery_id), error=repr(error))
            return
        if is_current:
            _report(after, outcome)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        key = self._running.pop(task)
        self.wake()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its webhook stays claimed until the lease ends.
            log.error("webhook_attempt_failed", endpoint=key[1], error=repr(error), exc_info=error)


def _slots(endpoint: WebhookEndpoint, health: EndpointHealth, now: datetime) -> int:
    """How many attempts the endpoint may have at the same time."""
    health = health.at_url(_url_digest(endpoint))
    if health.is_gone:
        return 0
    if health.paused_until is not None and health.paused_until > now:
        return 0
    return 1 if health.failures else SLOTS


def _url_digest(endpoint: WebhookEndpoint) -> str:
    """The URL, which may be a secret, as a digest; empty if there is none."""
    try:
        return sha256(read_url(endpoint).encode()).hexdigest()
    except ValueError:
        return ""


def _report(webhook: OutgoingWebhook, outcome: AttemptOutcome) -> None:
    result = "retried" if webhook.state is OutgoingState.WAITING else str(webhook.state)
    metrics.WEBHOOK_DELIVERIES.labels(webhook.endpoint, result).inc()
    level = log.info if webhook.state is OutgoingState.DELIVERED else log.warning
    level(
        "webhook_attempted",
        delivery=str(webhook.delivery_id),
        endpoint=webhook.endpoint,
        ticket_id=str(webhook.ticket_id),
        webhook_event=webhook.event,
        result=result,
        status=outcome.status,
        problem=outcome.problem,
        attempts=webhook.attempts,
    )
