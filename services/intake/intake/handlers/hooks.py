"""Taking in what a webhook delivered: the raw delivery first, then ticket by ticket."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import ticket_id
from tocsin.runtime.database import clock_timestamp
from tocsin.runtime.problems import Problem

from intake.handlers.desk import Desk, TakenTicket
from intake.handlers.events import EventAsked, take_events
from intake.handlers.tickets import take_tickets
from intake.hooks.difference import difference
from intake.hooks.mapping import Integration
from intake.hooks.opening import opening, opening_severity
from intake.hooks.shown import Unmapped, shown
from intake.hooks.sighting import Sighting
from intake.store import Delivery, HookStore, Store

log = structlog.get_logger(__name__)

_LONGEST_DETAIL: Final = 500


@dataclass(frozen=True, slots=True)
class Looked:
    """What a sighting of a ticket came to: it was opened, changed by so many facts, is as it was, or does not count."""

    result: Literal["opened", "changed", "known", "ignored"]
    ticket_id: UUID
    facts: int = 0
    opened: TakenTicket | None = None


async def keep_delivery(
    desk: Desk,
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
    received_at = desk.business(await clock_timestamp(connection))
    delivery_id = await store.keep(tenant, provider, key, headers, body, received_at, taken_up_within)
    return await store.delivery(delivery_id) if delivery_id is not None else None


async def take_sighting(
    desk: Desk, connection: AsyncConnection, integration: Integration, delivery: Delivery, place: int, seen: Sighting
) -> Looked | Unmapped:
    """Take in how a delivery showed one ticket, the one at that place in it, in this transaction.

    A ticket that cannot be opened yet is remembered as it was shown. Raises Problem: 503 may pass, others will not.
    """
    try:
        return await _take(desk, connection, integration, delivery, place, seen)
    except Unmapped as unmapped:
        return unmapped
    except ValidationError as invalid:
        wrong = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in wrong["loc"])
        return Unmapped("refused", f"{field}: {wrong['msg']}"[:_LONGEST_DETAIL])


async def _take(
    desk: Desk, connection: AsyncConnection, integration: Integration, delivery: Delivery, place: int, seen: Sighting
) -> Looked:
    hooks, store = HookStore(connection), Store(connection)
    tenant, source = delivery.tenant, integration.source or delivery.provider
    key = ticket_id(tenant, source, seen.external_id)
    await hooks.lock_ticket(key)
    now = shown(seen, integration, delivery.received_at, f"{delivery.id:020}")  # keys are compared as text
    await hooks.add_sighting(delivery.id, place, key, now)
    sightings, ours = await hooks.sightings(key)
    if await store.ticket(tenant, key) is None:
        received_at = desk.business(await clock_timestamp(connection))
        live_since = integration.live_since or await hooks.made_at(tenant, delivery.provider, received_at)
        item = opening(source, seen.external_id, sightings, integration, received_at, live_since)
        if item is None:
            return Looked("ignored", key)
        (outcome,) = await take_tickets(desk, connection, tenant, [item])
        if isinstance(outcome, TakenTicket) and outcome.created:
            await hooks.opened_by(delivery.id, place)
            await hooks.settle_opened(key)
            return Looked("opened", key, outcome.ticket.first_facts, outcome)
        if isinstance(outcome, Problem) and await store.ticket(tenant, key) is None:
            raise outcome
    # Locked, then read: nothing comes between what is compared and what is added.
    await store.lock({(tenant, key)})
    facts = (await store.facts([key]))[key]
    opened_with = opening_severity(sightings, integration) if ours else None
    missing = difference(sightings, facts, actor=source, opened_with=opened_with)
    asked = [EventAsked(tenant, key, request, request.event_id or "") for request in missing]
    for taken in await take_events(desk, connection, asked):
        if isinstance(taken, Problem):
            raise taken
    return Looked("changed" if missing else "known", key, len(missing))
