"""The use case of a webhook delivery: each of its tickets is mapped, then opened or reconciled with its facts."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import ticket_id
from tocsin.runtime.database.engine import clock_timestamp

from intake.domain.webhooks.config.integrations import Integration, ItContacts
from intake.domain.webhooks.create_ticket import create_ticket, opening_severity
from intake.domain.webhooks.delivery_reader import read_delivery
from intake.domain.webhooks.mapping import map_snapshot
from intake.domain.webhooks.no_ticket import WebhookIgnoredReason
from intake.domain.webhooks.reconcile import reconcile
from intake.domain.webhooks.snapshot import TicketSnapshot
from intake.domain.webhooks.ticket_values import TicketValues
from intake.domain.webhooks.update import TicketUpdate
from intake.errors import IntakeError, UnmappedError, UnmappedReason, UnreadableError
from intake.handlers.context import IngestContext, IngestedTicket
from intake.handlers.events import RecordEvent, record_events
from intake.handlers.tickets import create_tickets
from intake.store.ticket_updates import TicketUpdateStore
from intake.store.tickets import TicketStore
from intake.store.webhooks import WebhookDelivery, WebhookStore

log = structlog.get_logger(__name__)

_QUOTED_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class DeliveredTicket:
    """One ticket of a stored delivery, at `position` in it."""

    delivery: WebhookDelivery
    position: int
    snapshot: TicketSnapshot
    integration: Integration
    it_contacts: ItContacts

    @property
    def source(self) -> str:
        return self.integration.source or self.delivery.provider

    @property
    def ticket_id(self) -> UUID:
        return ticket_id(self.delivery.tenant, self.source, self.snapshot.external_id)


class UpdateResult(StrEnum):
    """The effect of an update: it opened its ticket, added facts, added none, or is ignored."""

    OPENED = "opened"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class AppliedUpdate:
    """The effect of one update; `facts` counts the new facts, `opened` is the ticket, `ignored` why there is none."""

    result: UpdateResult
    ticket_id: UUID
    facts: int = 0
    opened: IngestedTicket | None = None
    ignored: WebhookIgnoredReason | None = None


def delivery_key(integration: Integration, body: bytes) -> bytes | None:
    """The identity of a delivery: the tool's own, or else its body, if that contains instants.

    None: neither. Then the same body may be a new delivery about a ticket that is back in an earlier state.
    """
    try:
        content = read_delivery(body, integration)
    except UnreadableError:
        return b"body:" + body
    except Exception:  # a bug of an adapter must not lose the delivery: it is stored, and fails when it is processed
        log.exception("webhook_key_failed")
        return b"body:" + body
    if content.key is not None:
        return b"key:" + content.key.encode()
    return b"body:" + body if all(snapshot.seen_at is not None for snapshot in content.snapshots) else None


async def apply_ticket(
    context: IngestContext, connection: AsyncConnection, ticket: DeliveredTicket, applied_to: UUID | None = None
) -> AppliedUpdate | UnmappedError:
    """Map one ticket of a delivery, and open it or add the facts that it lacks.

    `applied_to` is the ticket that this position of the delivery has already been applied to: then nothing changes. An
    update that cannot open its ticket is stored nevertheless, and counts once a later delivery opens the ticket. Raises
    RejectedError and UnavailableError.
    """
    if applied_to == ticket.ticket_id:
        return AppliedUpdate(UpdateResult.UNCHANGED, ticket.ticket_id)
    if applied_to is not None:
        return _other_ticket(ticket)
    try:
        update = map_snapshot(
            ticket.snapshot,
            ticket.integration,
            received_at=ticket.delivery.received_at,
            delivery_key=f"{ticket.delivery.id:020}",  # compared as text
        )
    except UnmappedError as error:
        return error
    store = TicketUpdateStore(connection)
    await store.lock_ticket(ticket.ticket_id)
    earlier, was_opened_by_update = await store.load_updates(ticket.ticket_id)
    updates = list((earlier | {(ticket.delivery.id, ticket.position): update}).values())
    applied = await _open_or_reconcile(context, connection, ticket, updates, was_opened_by_update)
    is_opened = isinstance(applied, AppliedUpdate) and applied.opened is not None
    await store.store_update(ticket.delivery.id, ticket.position, ticket.ticket_id, update, opened_ticket=is_opened)
    if is_opened:
        await store.finish_waiting_for(ticket.ticket_id)
    return applied


async def _open_or_reconcile(
    context: IngestContext,
    connection: AsyncConnection,
    ticket: DeliveredTicket,
    updates: list[TicketUpdate],
    was_opened_by_update: bool,
) -> AppliedUpdate | UnmappedError:
    try:
        opened = None
        if await TicketStore(connection).load_ticket(ticket.delivery.tenant, ticket.ticket_id) is None:
            opened = await _open(context, connection, ticket, updates)
        opened_with = opening_severity(updates, ticket.integration) if was_opened_by_update else None
        return opened or await _reconcile(context, connection, ticket, updates, opened_with)
    except UnmappedError as error:
        return error
    except ValidationError as error:
        return UnmappedError.invalid(error)


async def _open(
    context: IngestContext, connection: AsyncConnection, ticket: DeliveredTicket, updates: list[TicketUpdate]
) -> AppliedUpdate | None:
    """Open the ticket; None if another request has opened it in the meantime."""
    delivery, key = ticket.delivery, ticket.ticket_id
    received_at = context.business(await clock_timestamp(connection))
    live_since = ticket.integration.live_since or await WebhookStore(connection).record_integration(
        delivery.tenant, delivery.provider, received_at
    )
    request = create_ticket(
        ticket.source,
        ticket.snapshot.external_id,
        updates,
        ticket.integration,
        ticket.it_contacts,
        received_at=received_at,
        live_since=live_since,
        automatic_actors=context.policy.automatic_actors,
    )
    if isinstance(request, WebhookIgnoredReason):
        return AppliedUpdate(UpdateResult.IGNORED, key, ignored=request)
    (outcome,) = await create_tickets(context, connection, delivery.tenant, [request])
    if isinstance(outcome, IngestedTicket) and outcome.created:
        return AppliedUpdate(UpdateResult.OPENED, key, outcome.ticket.first_facts, outcome)
    if isinstance(outcome, IntakeError) and await TicketStore(connection).load_ticket(delivery.tenant, key) is None:
        raise outcome
    return None


async def _reconcile(
    context: IngestContext,
    connection: AsyncConnection,
    ticket: DeliveredTicket,
    updates: list[TicketUpdate],
    opened_with: int | None,
) -> AppliedUpdate:
    store, tenant, key = TicketStore(connection), ticket.delivery.tenant, ticket.ticket_id
    # Locked before it is read, so that no fact is added in between.
    await store.lock({(tenant, key)})
    known = (await store.load_tickets([key]))[key]
    facts = (await store.load_facts([key]))[key]
    values = TicketValues.of_body(known.body)
    events = reconcile(
        updates,
        facts,
        actor=ticket.source,
        opened_with=opened_with,
        values=values,
        automatic_actors=context.policy.automatic_actors,
    )
    requests = [RecordEvent(tenant, key, event, event.event_id or "") for event in events]
    for outcome in await record_events(context, connection, requests):
        if isinstance(outcome, IntakeError):
            raise outcome
    result = UpdateResult.CHANGED if events else UpdateResult.UNCHANGED
    return AppliedUpdate(result, key, len(events))


def _other_ticket(ticket: DeliveredTicket) -> UnmappedError:
    name = f"{ticket.source}/{ticket.snapshot.external_id}"[:_QUOTED_LENGTH]
    message = (
        f"This delivery has already been applied to another ticket than {name}."
        " Undo the changes of `source` or `generic`; its ticket stays as it is."
    )
    return UnmappedError(UnmappedReason.ANOTHER_TICKET, message)
