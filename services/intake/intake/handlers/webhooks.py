"""Taking in what a webhook delivered: the raw delivery first, then ticket by ticket."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.engine import clock_timestamp

from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.create_ticket import opening, opening_severity
from intake.domain.webhooks.reconcile import reconcile
from intake.domain.webhooks.update import TicketUpdate, UnmappedError
from intake.errors import IntakeError
from intake.handlers.context import IngestContext, IngestedTicket
from intake.handlers.events import RecordEvent, record_events
from intake.handlers.normalize import Read, refused
from intake.handlers.tickets import create_tickets
from intake.store.tickets import TicketStore
from intake.store.webhooks import WebhookDelivery, WebhookStore

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AppliedUpdate:
    """What a sighting of a ticket came to: it was opened, changed by so many facts, is as it was, or does not count."""

    result: Literal["opened", "changed", "known", "ignored"]
    ticket_id: UUID
    facts: int = 0
    opened: IngestedTicket | None = None


async def store_delivery(
    context: IngestContext,
    connection: AsyncConnection,
    tenant: str,
    provider: str,
    key: bytes,
    headers: dict[str, str],
    body: bytes,
    taken_up_within: timedelta,
) -> WebhookDelivery | None:
    """Store a delivery as it came, before anything is made of it; None where its key is known.

    Where nobody has taken it in `taken_up_within`, the periodic job does.
    """
    store = WebhookStore(connection)
    received_at = context.business(await clock_timestamp(connection))
    delivery_id = await store.keep(tenant, provider, key, headers, body, received_at, taken_up_within)
    return await store.delivery(delivery_id) if delivery_id is not None else None


async def apply_update(
    context: IngestContext, connection: AsyncConnection, integration: Integration, delivery: WebhookDelivery, read: Read
) -> AppliedUpdate | UnmappedError:
    """Take in how a delivery shows one ticket, in this transaction.

    A ticket that cannot be opened yet is remembered as it was shown. Raises IntakeError.
    """
    hooks, tenant = WebhookStore(connection), delivery.tenant
    await hooks.lock_ticket(read.ticket_id)
    known, ours = await hooks.sightings(read.ticket_id)
    seen = list((known | {read.spot: read.shown}).values())
    found: AppliedUpdate | UnmappedError | None = None
    try:
        if await TicketStore(connection).ticket(tenant, read.ticket_id) is None:
            found = await _open(context, connection, integration, delivery, read, seen)
        if found is None:
            opened_with = opening_severity(seen, integration) if ours else None
            found = await _compare(context, connection, tenant, read, seen, opened_with)
    except UnmappedError as unmapped:
        found = unmapped
    except ValidationError as invalid:
        found = refused(invalid)
    opened_it = isinstance(found, AppliedUpdate) and found.opened is not None
    await hooks.put_sighting(read.spot, read.ticket_id, read.shown, opened_it=opened_it)
    if opened_it:
        await hooks.settle_opened(read.ticket_id)
    return found


async def _open(
    context: IngestContext,
    connection: AsyncConnection,
    integration: Integration,
    delivery: WebhookDelivery,
    read: Read,
    seen: Sequence[TicketUpdate],
) -> AppliedUpdate | None:
    """Open the ticket, if its queue counts; None where somebody else has opened it meanwhile."""
    received_at = context.business(await clock_timestamp(connection))
    live_since = integration.live_since or await WebhookStore(connection).made_at(
        delivery.tenant, delivery.provider, received_at
    )
    item = opening(read.source, read.external_id, seen, integration, received_at, live_since)
    if item is None:
        return AppliedUpdate("ignored", read.ticket_id)
    (outcome,) = await create_tickets(context, connection, delivery.tenant, [item])
    if isinstance(outcome, IngestedTicket) and outcome.created:
        return AppliedUpdate("opened", read.ticket_id, outcome.ticket.first_facts, outcome)
    if (
        isinstance(outcome, IntakeError)
        and await TicketStore(connection).ticket(delivery.tenant, read.ticket_id) is None
    ):
        raise outcome
    return None


async def _compare(
    context: IngestContext,
    connection: AsyncConnection,
    tenant: str,
    read: Read,
    seen: Sequence[TicketUpdate],
    opened_with: int | None,
) -> AppliedUpdate:
    """Add what the facts of a ticket lack to be as it was seen."""
    store, key = TicketStore(connection), read.ticket_id
    # Locked, then read: nothing comes between what is compared and what is added.
    await store.lock({(tenant, key)})
    facts = (await store.facts([key]))[key]
    missing = reconcile(seen, facts, actor=read.source, opened_with=opened_with)
    asked = [RecordEvent(tenant, key, request, request.event_id or "") for request in missing]
    for taken in await record_events(context, connection, asked):
        if isinstance(taken, IntakeError):
            raise taken
    return AppliedUpdate("changed" if missing else "known", key, len(missing))
