"""Where webhook deliveries become durable, are taken in, and are tried again: the edge with its transactions."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.database.engine import clock_timestamp, is_transient

from intake import metrics
from intake.domain.mail_rules import SOURCE as MAIL
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.config.integrations import Integration, Integrations
from intake.domain.webhooks.snapshot import UnreadableError
from intake.domain.webhooks.update import Reason, UnmappedError
from intake.errors import RejectedError, UnavailableError
from intake.handlers.context import IngestContext
from intake.handlers.normalize import LONGEST_DETAIL, Read, map_delivery
from intake.handlers.webhooks import AppliedUpdate, apply_update, store_delivery
from intake.sources.integrations_file import IntegrationsFile
from intake.store.webhooks import WebhookDelivery, WebhookState, WebhookStore
from intake.workers.mail_worker import process_mail

log = structlog.get_logger(__name__)

TAKE_SECONDS: Final = 5.0
"""How long a delivery may take while a tool waits for it (Autotask for 10 s). Then it is tried again behind its back,
where each of its tickets may take as long: however many they are, they are taken in at last.
"""

_KEEP_SECONDS: Final = 2.0
_POSTPONE_SECONDS: Final = 1.0
"""How long storing a delivery and noting that it waits may take, which comes on top."""

_TAKEN_UP_WITHIN: Final = timedelta(seconds=30)
_LONGEST_WAIT: Final = 600
_MOST_ATTEMPTS: Final = 20
_AT_ONCE: Final = 10
_LONGEST_NAME: Final = 200
_ANOTHER: Final = (
    "It was taken in, and by the mapping as it is now it would be another ticket: {}. Undo what was changed of `source`"
    " or of `generic`; until then it counts as it was taken in."
)


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What became of a delivery; `reason` and `detail` say why it is unmapped, or why it waits."""

    state: WebhookState
    reason: Reason | None = None
    detail: str | None = None


class WebhookWorker:
    """Takes deliveries in; `wake` tells the relay of this process that something was committed.

    `keeper` is for deliveries as such: only what makes facts holds up the progress of writers.
    """

    def __init__(
        self,
        context: IngestContext,
        writer: AsyncEngine,
        keeper: AsyncEngine,
        wake: Callable[[], None],
        integrations: IntegrationsFile,
    ) -> None:
        self._context = context
        self._writer = writer
        self._keeper = keeper
        self._wake = wake
        self._integrations = integrations
        self._noted: Integrations | None = None

    async def keep(
        self, tenant: str, provider: str, key: bytes, headers: Mapping[str, str], body: bytes
    ) -> WebhookDelivery | None:
        """Store it as it came, before anything is made of it; None where it was stored before.

        Raises TimeoutError where the database hangs: whether it is stored is unknown, and the tool sends it again.
        """
        async with asyncio.timeout(_KEEP_SECONDS), self._keeper.begin() as connection:
            return await store_delivery(
                self._context, connection, tenant, provider, key, dict(headers), body, _TAKEN_UP_WITHIN
            )

    async def take(self, delivery: WebhookDelivery, *, unhurried: bool = False) -> DeliveryResult:
        """Take a stored delivery in. Whatever goes wrong, it is not lost: it waits, or it is unmapped.

        `unhurried`: nobody waits for it, so only each of its tickets has a limit.
        """
        try:
            async with asyncio.timeout(TAKE_SECONDS) as limit:
                await self.note_integrations()
                settled = await self._taken(delivery, limit, unhurried)
                await self._settle(delivery, settled)
        except Exception as error:  # the edge of a delivery: counted, and tried again by `retry`
            settled = await self._failed(delivery, error)
        metrics.HOOK_DELIVERIES.labels(delivery.provider, settled.state).inc()
        # What is replayed and still unmapped was counted when it came.
        if settled.state == "unmapped" and settled.reason is not None and delivery.reason is None:
            metrics.HOOKS_UNMAPPED.labels(delivery.provider, settled.reason).inc()
        log.info(
            "hook_delivery",
            delivery=delivery.id,
            provider=delivery.provider,
            tenant=delivery.tenant,
            state=settled.state,
            reason=settled.reason,
        )
        return settled

    async def retry(self) -> None:
        """Take in what waits and whose time has come, and tell how much is left; a job for the scheduler."""
        while True:
            async with self._keeper.begin() as connection:
                waiting = await WebhookStore(connection).claim_waiting(
                    _AT_ONCE, timedelta(seconds=TAKE_SECONDS * _AT_ONCE)
                )
            for delivery in waiting:
                await self.take(delivery, unhurried=True)
            await self._tell_counts()
            if len(waiting) < _AT_ONCE:
                break

    async def note_integrations(self) -> None:
        """Remember since when each integration is there, which says what is history; a job for the scheduler.

        It was made when the file was last written before anybody saw it there.
        """
        integrations = self._integrations.current()
        if integrations is None or integrations is self._noted:
            return
        async with self._keeper.begin() as connection:
            real = await clock_timestamp(connection)
            now = self._context.business(min(real, self._integrations.written_at or real))
            for tenant, providers in integrations.tenants.items():
                for provider in providers:
                    await WebhookStore(connection).made_at(tenant, provider, now)
        self._noted = integrations

    async def forget(self, older_than: timedelta) -> None:
        """Remove what was settled long ago; a job for the scheduler."""
        removed = 1
        while removed:
            async with self._keeper.begin() as connection:
                removed = await WebhookStore(connection).forget(older_than)

    async def _tell_counts(self) -> None:
        async with self._keeper.begin() as connection:
            unmapped, left = await WebhookStore(connection).counts()
        metrics.HOOKS_WAITING.set(left)
        for provider in {*unmapped, *metrics.hook_providers()}:
            metrics.HOOKS_UNMAPPED_NOW.labels(provider).set(unmapped.get(provider, 0))

    async def _taken(self, delivery: WebhookDelivery, limit: asyncio.Timeout, unhurried: bool) -> DeliveryResult:
        if delivery.provider == MAIL:
            mailed = await process_mail(self._context, self._writer, self._integrations.current(), delivery)
            self._wake()
            return DeliveryResult(*mailed)
        integrations = self._integrations.current()
        integration = integrations.find(delivery.tenant, delivery.provider) if integrations is not None else None
        if integrations is None or integration is None:
            return DeliveryResult(
                "unmapped", "no_integration", "integrations.yaml no longer has this provider and tenant."
            )
        try:
            delivered = ADAPTERS[integration.adapter].read(delivery.body, integration)
        except UnreadableError as unreadable:
            return DeliveryResult("unmapped", "unreadable", str(unreadable)[:LONGEST_DETAIL])
        async with self._keeper.begin() as connection:
            opened = await WebhookStore(connection).drop_pending(delivery.id)
        reads = [_unless_another(read, opened) for read in map_delivery(integration, delivery, delivered.tickets)]
        looked = await self._take_tickets(delivery, integration, reads, opened, limit if unhurried else None)
        lacking = [found for found in looked if isinstance(found, UnmappedError)]
        if lacking:
            # What another delivery may bring comes last: once it has, nothing else must be left (see `settle_opened`).
            unmapped = min(lacking, key=lambda found: found.reason.startswith("missing_"))
            return DeliveryResult("unmapped", unmapped.reason, str(unmapped)[:LONGEST_DETAIL])
        if all(isinstance(found, AppliedUpdate) and found.result == "ignored" for found in looked):
            return DeliveryResult("ignored", detail=delivered.about)
        return DeliveryResult("taken")

    async def _take_tickets(
        self,
        delivery: WebhookDelivery,
        integration: Integration,
        reads: Sequence[Read | UnmappedError],
        opened: Mapping[int, UUID],
        limit: asyncio.Timeout | None,
    ) -> list[AppliedUpdate | UnmappedError]:
        """Each ticket by itself, in a transaction of its own; one that fails does not stop its neighbours.

        Those that an earlier try has taken in stay as they are. With `limit`, each may take so long by itself.
        """
        looked: list[AppliedUpdate | UnmappedError] = []
        failure: Exception | None = None
        for read in reads:
            if limit is not None:
                limit.reschedule(asyncio.get_running_loop().time() + TAKE_SECONDS)
            try:
                if isinstance(read, UnmappedError):
                    looked.append(read)
                elif opened.get(read.spot[1]) == read.ticket_id:
                    looked.append(AppliedUpdate("known", read.ticket_id))
                else:
                    looked.append(await self._take_ticket(delivery, integration, read))
            except RejectedError as error:
                looked.append(UnmappedError("refused", str(error)))
            except Exception as error:  # so that its neighbours are taken in; it is raised behind them
                if is_transient(error):
                    raise
                failure = failure or error
        if failure is not None:
            raise failure
        return looked

    async def _take_ticket(
        self, delivery: WebhookDelivery, integration: Integration, read: Read
    ) -> AppliedUpdate | UnmappedError:
        async with self._writer.begin() as connection:
            found = await apply_update(self._context, connection, integration, delivery, read)
        self._wake()
        if isinstance(found, AppliedUpdate):
            if found.opened is not None:
                ticket = found.opened.ticket
                metrics.count_ticket(ticket.source, ticket.initial_severity, "created")
            log.info("hook_ticket", ticket_id=str(found.ticket_id), result=found.result, facts=found.facts)
        return found

    async def _settle(self, delivery: WebhookDelivery, settled: DeliveryResult) -> None:
        async with self._keeper.begin() as connection:
            await WebhookStore(connection).settle(delivery.id, settled.state, settled.reason, settled.detail)

    async def _failed(self, delivery: WebhookDelivery, error: Exception) -> DeliveryResult:
        """It waits, ever longer; what fails by our fault again and again is put aside with the unmapped ones."""
        passing = is_transient(error) or isinstance(error, UnavailableError)
        if passing:
            log.warning("hook_postponed", delivery=delivery.id, error=repr(error))
        else:
            log.error("hook_failed", delivery=delivery.id, attempts=delivery.attempts, exc_info=error)
        settled = DeliveryResult("waiting", "failed", _why_it_waits(error))
        if not passing and delivery.attempts + 1 >= _MOST_ATTEMPTS:
            settled = DeliveryResult("unmapped", "failed", _why_it_waits(error))
        wait = timedelta(seconds=min(2**delivery.attempts, _LONGEST_WAIT))
        try:
            async with asyncio.timeout(_POSTPONE_SECONDS), self._keeper.begin() as connection:
                if settled.state == "unmapped":
                    await WebhookStore(connection).settle(delivery.id, settled.state, settled.reason, settled.detail)
                else:
                    await WebhookStore(connection).postpone(delivery.id, wait)
        except Exception as again:
            if not is_transient(again):
                raise
            # It was given a time when it was stored or claimed, so it comes up again by itself.
            log.warning("hook_postponed", delivery=delivery.id, error=repr(again))
        return settled


def _why_it_waits(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"It was not taken in within {TAKE_SECONDS:g} s: the database was slow, or it holds many tickets."
    if isinstance(error, UnavailableError):
        return str(error)
    if is_transient(error):
        return "The database cannot be used now."
    return f"{type(error).__name__}: this is our fault, and logged."


def _unless_another(read: Read | UnmappedError, opened: Mapping[int, UUID]) -> Read | UnmappedError:
    """A ticket never becomes another: what a delivery was taken in as, it stays."""
    before = opened.get(read.spot[1]) if isinstance(read, Read) else None
    if isinstance(read, UnmappedError) or before in (None, read.ticket_id):
        return read
    return UnmappedError("another_ticket", _ANOTHER.format(f"{read.source}/{read.external_id}"[:_LONGEST_NAME]))


def identity(integration: Integration, body: bytes) -> bytes | None:
    """What tells a delivery from others: the tool's own identity of it, or the body, which holds an instant.

    None: neither; then the same body may well be another delivery, of a ticket that is as it was before.
    """
    try:
        delivered = ADAPTERS[integration.adapter].read(body, integration)
    except UnreadableError:
        return b"body:" + body
    except Exception:  # a fault of the adapter's must not lose what it cannot read: it is stored, and fails there
        log.exception("hook_unidentified")
        return b"body:" + body
    if delivered.key is not None:
        return b"key:" + delivered.key.encode()
    return b"body:" + body if all(sighting.seen_at is not None for sighting in delivered.sightings) else None
