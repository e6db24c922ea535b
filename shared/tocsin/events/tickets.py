"""Events of `tocsin.tickets.v1`: the facts of tickets, and the watermark that follows them."""

from typing import Literal
from uuid import UUID

from tocsin.events.values import Fact, FrozenModel, Ticket
from tocsin.instants import Instant


class TicketOpened(FrozenModel):
    """`ticket.opened`: a ticket and its first fact."""

    ticket: Ticket
    fact: Fact

    @property
    def ticket_id(self) -> UUID:
        return self.ticket.ticket_id


class TicketChanged(FrozenModel):
    """`ticket.responded`, `ticket.paused` ...: a further fact of a ticket. The event type ends in the fact's type."""

    tenant: str
    ticket_id: UUID
    fact: Fact


class TicketImported(FrozenModel):
    """`ticket.imported`: a ticket with all its facts."""

    ticket: Ticket
    facts: tuple[Fact, ...]
    received_at: Instant
    """The instant at which intake received the ticket."""
    history: bool = False
    """Whether the ticket is history: events due at or before `received_at` are reported, and mail nobody."""

    @property
    def ticket_id(self) -> UUID:
        return self.ticket.ticket_id


class Watermark(FrozenModel):
    """`progress`: all facts that intake accepted up to `accepted_through` precede this record.

    It belongs to no ticket. Its record has headers only.
    """

    accepted_through: Instant
    ticket_id: Literal[None] = None
