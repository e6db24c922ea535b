"""The events that publish a ticket and its facts. Pure: the same facts always give the same events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from tocsin.events import Fact, TicketChanged, TicketImported, TicketOpened

from intake.domain.ticket import RenderedTicketEvent, StoredTicket, TicketEvent
from intake.errors import RecordTooLargeError

MAX_RECORD_BYTES: Final = 900_000
"""The size of an event as JSON (docs/architecture.md#contracts)."""


def opening_events(ticket: StoredTicket, facts: Sequence[Fact]) -> list[TicketEvent]:
    """The events of a ticket and the facts that came with it."""
    published = ticket.to_event_ticket()
    if ticket.imported:
        received_at, history = ticket.received_at, ticket.history
        return [TicketImported(ticket=published, facts=tuple(facts), received_at=received_at, history=history)]
    opened, *later = facts
    return [
        TicketOpened(ticket=published, fact=opened),
        *(fact_event(ticket.tenant, ticket.ticket_id, fact) for fact in later),
    ]


def fact_event(tenant: str, ticket_id: UUID, fact: Fact) -> TicketChanged:
    """The event of one further fact."""
    return TicketChanged(tenant=tenant, ticket_id=ticket_id, fact=fact)


def events_since(ticket: StoredTicket, facts: Sequence[Fact], since: datetime) -> list[TicketEvent]:
    """The events of those of the ticket's `facts`, by number, that were received at or after `since`."""
    first, later = facts[: ticket.first_facts], facts[ticket.first_facts :]
    opening = opening_events(ticket, first) if ticket.received_at >= since else []
    return opening + [fact_event(ticket.tenant, ticket.ticket_id, fact) for fact in later if fact.received_at >= since]


def render_events(events: Sequence[TicketEvent]) -> tuple[RenderedTicketEvent, ...]:
    """The events with their JSON. Raises RecordTooLargeError if one exceeds MAX_RECORD_BYTES."""
    rendered = tuple(RenderedTicketEvent(event, event.model_dump_json().encode()) for event in events)
    if any(len(each.value) > MAX_RECORD_BYTES for each in rendered):
        raise RecordTooLargeError(MAX_RECORD_BYTES)
    return rendered
