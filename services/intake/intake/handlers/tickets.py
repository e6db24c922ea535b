"""Create tickets, many in one transaction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.engine import clock_timestamp

from intake.domain.new_ticket import is_history, new_ticket
from intake.domain.ticket import NewTicket, StoredTicket
from intake.domain.ticket_request import TicketRequest
from intake.domain.ticket_state import state_of
from intake.errors import IntakeError, OutboxBacklogError, TicketConflictError
from intake.handlers.context import IngestContext, IngestedTicket
from intake.store.idempotency import IdempotencyKey
from intake.store.tickets import TicketStore


@dataclass(frozen=True, slots=True)
class CreateTicket:
    """A request to create a ticket."""

    tenant: str
    request: TicketRequest
    idempotency_key: IdempotencyKey | None = None


async def create_tickets(
    context: IngestContext, connection: AsyncConnection, tenant: str, requests: Sequence[TicketRequest]
) -> list[IngestedTicket | IntakeError]:
    """Store new tickets and queue their events: one outcome per request, in order, as if they had come one by one.

    A request for a ticket that exists with an equal body gets the ticket as it was first stored.
    """
    store = TicketStore(connection)
    now = await clock_timestamp(connection)
    has_backlog = any(map(is_history, requests)) and await store.is_outbox_longer_than(context.history_outbox_limit)
    drafts = [_draft(context, tenant, request, context.business(now), has_backlog) for request in requests]

    first_drafts: dict[UUID, NewTicket] = {}
    for draft in drafts:
        if isinstance(draft, NewTicket):
            first_drafts.setdefault(draft.ticket.ticket_id, draft)
    added = await store.add_tickets(list(first_drafts.values()), now)
    created = {key: draft for key, draft in first_drafts.items() if key in added}

    repeated = [draft for draft in drafts if isinstance(draft, NewTicket) and not _is_created(draft, created)]
    existing = await _load_as_first_stored(context, store, {draft.ticket.ticket_id for draft in repeated})
    return [_outcome(draft, created, existing) for draft in drafts]


def _draft(
    context: IngestContext, tenant: str, request: TicketRequest, received_at: datetime, has_backlog: bool
) -> NewTicket | IntakeError:
    if has_backlog and is_history(request):
        return OutboxBacklogError()
    try:
        return new_ticket(context.policy, tenant, request, received_at)
    except IntakeError as error:
        return error


def _is_created(draft: NewTicket, created: Mapping[UUID, NewTicket]) -> bool:
    return created.get(draft.ticket.ticket_id) is draft


async def _load_as_first_stored(
    context: IngestContext, store: TicketStore, ids: Collection[UUID]
) -> dict[UUID, StoredTicket]:
    """Stored tickets in the state that they had when they were first stored."""
    if not ids:
        return {}
    tickets = await store.load_tickets(ids)
    facts = await store.load_facts(tickets)
    return {
        key: ticket.with_state(state_of(context.policy, ticket.opening, facts[key][: ticket.first_facts]))
        for key, ticket in tickets.items()
    }


def _outcome(
    draft: NewTicket | IntakeError, created: Mapping[UUID, NewTicket], existing: Mapping[UUID, StoredTicket]
) -> IngestedTicket | IntakeError:
    if isinstance(draft, IntakeError):
        return draft
    if _is_created(draft, created):
        return IngestedTicket(draft.ticket, created=True)
    ticket = existing[draft.ticket.ticket_id]
    return IngestedTicket(ticket, created=False) if ticket.digest == draft.ticket.digest else TicketConflictError()
