"""Taking in what a webhook delivered: the raw delivery first, then ticket by ticket."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.engine import clock_timestamp
from tocsin.runtime.http.problems import Problem

from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.create_ticket import opening, opening_severity
from intake.domain.webhooks.reconcile import difference
from intake.domain.webhooks.update import Shown, Unmapped
from intake.handlers.context import IngestContext, IngestedTicket
from intake.handlers.events import RecordEvent, record_events
from intake.handlers.normalize import Read, refused
from intake.handlers.tickets import create_tickets
from intake.store.tickets import TicketStore
from intake.store.webhooks import Delivery, HookStore, Spot

log = structlog.get_logger(__name__)

_LONGEST_NAME: Final = 200
_ANOTHER: Final = (
    "It was taken in, and by the mapping as it is now it would be another ticket: {}. Undo what was changed of `source`"
    " or of `generic`; until then it counts as it was taken in."
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a sighting of a ticket came to: it was opened, changed by so many facts, is as it was, or does not count."""

    result: Literal["opened", "changed", "known", "ignored"]
    ticket_id: UUID
    facts: int = 0
    opened: IngestedTicket | None = None


async def keep_delivery(
    context: IngestContext,
    connection: AsyncConnection,
    tenant: str,
    provider: str,
    key: bytes,
    headers: dict[str, str],
    body: bytes,
    taken_up_within: timedelta,
) -> Delivery | None:
    """Store a delivery as it came, before anything is made of it; None where its key is known.

    Where nobody has taken it in `taken_up_within`, the periodic job does.
    """
    store = HookStore(connection)
    received_at = context.business(await clock_timestamp(connection))
    delivery_id = await store.keep(tenant, provider, key, headers, body, received_at, taken_up_within)
    return await store.delivery(delivery_id) if delivery_id is not None else None


async def take_sighting(
    context: IngestContext,
    connection: AsyncConnection,
    integration: Integration,
    delivery: Delivery,
    read: Read,
    before: UUID | None,
    others: Mapping[Spot, Shown],
) -> Looked | Unmapped:
    """Take in how a delivery shows one ticket, in this transaction.

    `before` is the ticket that it has shown there before, if it was read before, and `others` is how deliveries show
    the ticket that are read again together with it. A ticket that cannot be opened yet is remembered as it was shown.
    Raises Problem: 503 may pass, others will not.
    """
    try:
        return await _take(context, connection, integration, delivery, read, before, others)
    except Unmapped as unmapped:
        return unmapped
    except ValidationError as invalid:
        return refused(invalid)


async def drop_sighting(
    context: IngestContext,
    connection: AsyncConnection,
    integration: Integration,
    delivery: Delivery,
    spot: Spot,
    ticket: UUID,
) -> Looked:
    """A delivery that was read again shows nothing any more where it has shown that ticket. Raises Problem."""
    hooks, store = HookStore(connection), TicketStore(connection)
    await hooks.lock_ticket(ticket)
    known, _ = await hooks.sightings(ticket)
    await hooks.drop_sighting(spot)
    left, ours = await hooks.sightings(ticket)
    if await store.ticket(delivery.tenant, ticket) is None:
        return Looked("ignored", ticket)
    opened_with = opening_severity(list(left.values()), integration) if ours else None
    source = integration.source or delivery.provider
    return await _compare(context, connection, delivery.tenant, ticket, source, left, opened_with, known)


async def _take(
    context: IngestContext,
    connection: AsyncConnection,
    integration: Integration,
    delivery: Delivery,
    read: Read,
    before: UUID | None,
    others: Mapping[Spot, Shown],
) -> Looked:
    hooks, store = HookStore(connection), TicketStore(connection)
    tenant, key = delivery.tenant, read.ticket_id
    for each in sorted({key, before or key}):
        await hooks.lock_ticket(each)
    if before not in (None, key) and await store.ticket(tenant, before) is not None:
        raise Unmapped("another_ticket", _ANOTHER.format(f"{read.source}/{read.external_id}"[:_LONGEST_NAME]))
    known, ours = await hooks.sightings(key)
    now = {read.spot: read.shown, **{spot: one for spot, one in others.items() if spot in known and spot != read.spot}}
    changed = {spot: one for spot, one in now.items() if known.get(spot) != one}
    await hooks.put_sightings(key, changed)
    sightings = known | now
    seen = list(sightings.values())
    if await store.ticket(tenant, key) is None:
        received_at = context.business(await clock_timestamp(connection))
        live_since = integration.live_since or await hooks.made_at(tenant, delivery.provider, received_at)
        item = opening(read.source, read.external_id, seen, integration, received_at, live_since)
        if item is None:
            return Looked("ignored", key)
        (outcome,) = await create_tickets(context, connection, tenant, [item])
        if isinstance(outcome, IngestedTicket) and outcome.created:
            await hooks.opened_by(read.spot)
            await hooks.settle_opened(key)
            return Looked("opened", key, outcome.ticket.first_facts, outcome)
        if isinstance(outcome, Problem) and await store.ticket(tenant, key) is None:
            raise outcome
    opened_with = opening_severity(seen, integration) if ours else None
    replaced = known if changed.keys() & known.keys() else {}
    return await _compare(context, connection, tenant, key, read.source, sightings, opened_with, replaced)


async def _compare(
    context: IngestContext,
    connection: AsyncConnection,
    tenant: str,
    key: UUID,
    source: str,
    sightings: Mapping[Spot, Shown],
    opened_with: int | None,
    replaced: Mapping[Spot, Shown],
) -> Looked:
    """Add what the facts of a ticket lack to be as it was seen."""
    store = TicketStore(connection)
    # Locked, then read: nothing comes between what is compared and what is added.
    await store.lock({(tenant, key)})
    facts = (await store.facts([key]))[key]
    missing = difference(sightings.values(), facts, actor=source, opened_with=opened_with, replaced=replaced.values())
    asked = [RecordEvent(tenant, key, request, request.event_id or "") for request in missing]
    for taken in await record_events(context, connection, asked):
        if isinstance(taken, Problem):
            raise taken
    return Looked("changed" if missing else "known", key, len(missing))
