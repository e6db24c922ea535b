"""Taking in tickets, each by itself, many in one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact
from tocsin.runtime.database.engine import clock_timestamp
from tocsin.runtime.http.problems import Problem

from intake.domain.ticket_request import TicketRequest
from intake.domain.ticket_state import Standing, standing
from intake.handlers.context import IngestContext, IngestedTicket
from intake.handlers.outbox_events import first_events
from intake.handlers.ticket_factory import drafted, is_history
from intake.store.records import NewTicket, StoredTicket
from intake.store.tickets import TicketStore


async def create_tickets(
    context: IngestContext, connection: AsyncConnection, tenant: str, requests: Sequence[TicketRequest]
) -> list[IngestedTicket | Problem]:
    """Take tickets in, each by itself: one answer per request, in their order, as if they had come one by one."""
    store = TicketStore(connection)
    real = await clock_timestamp(connection)
    received_at = context.business(real)
    busy = any(is_history(request) for request in requests) and await store.outbox_longer_than(
        context.history_outbox_limit
    )
    drafts = [drafted(context, tenant, request, received_at, busy) for request in requests]
    first: dict[UUID, NewTicket] = {}
    for draft in drafts:
        if isinstance(draft, NewTicket):
            first.setdefault(draft.ticket.ticket_id, draft)
    added = await store.add_tickets(list(first.values()))
    told = [event for key, draft in first.items() if key in added for event in first_events(draft.ticket, draft.facts)]
    await context.outbox.add(connection, told, real)
    new = {id(first[key]) for key in added}
    again = [draft for draft in drafts if isinstance(draft, NewTicket) and id(draft) not in new]
    known = await _first_answers(store, {draft.ticket.ticket_id for draft in again})
    return [
        draft
        if isinstance(draft, Problem)
        else IngestedTicket(draft.ticket, created=True)
        if id(draft) in new
        else _again(draft, known[draft.ticket.ticket_id])
        for draft in drafts
    ]


async def _first_answers(store: TicketStore, ids: Collection[UUID]) -> dict[UUID, IngestedTicket]:
    """Stored tickets as they stood when they were taken in."""
    if not ids:
        return {}
    found = await store.tickets(ids)
    facts = await store.facts([key for key, ticket in found.items() if ticket.imported])
    return {
        key: IngestedTicket(replace(ticket, standing=_first_standing(ticket, facts.get(key, ()))), created=False)
        for key, ticket in found.items()
    }


def _first_standing(ticket: StoredTicket, facts: Sequence[Fact]) -> Standing:
    return standing(facts[: ticket.first_facts]) if ticket.imported else Standing(ticket.initial_severity, True)


def _again(draft: NewTicket, known: IngestedTicket) -> IngestedTicket | Problem:
    if known.ticket.digest == draft.ticket.digest:
        return known
    detail = "This source and external_id are known with another body. Post what happened since as an event."
    return Problem(409, detail)
