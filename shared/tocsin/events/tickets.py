"""Events of `tocsin.tickets.v1`: intake's facts, and the watermark that travels behind them."""

from typing import Literal
from uuid import UUID

from tocsin.events.values import Fact, FrozenModel, Ticket
from tocsin.instants import Instant


class TicketOpened(FrozenModel):
    """`ticket.opened`: the ticket and its first fact."""

    ticket: Ticket
    fact: Fact

    @property
    def ticket_id(self) -> UUID:
        return self.ticket.ticket_id


class TicketChanged(FrozenModel):
    """`ticket.responded`, `ticket.paused` ...: one further fact; the event's type is `ticket.` + the fact's."""

    tenant: str
    ticket_id: UUID
    fact: Fact


class TicketImported(FrozenModel):
    """`ticket.imported`: a ticket with all its facts in one record.

    `history`: what fell due at or before `received_at` is computed and reported but mails nobody (RULES 4, History).
    """

    ticket: Ticket
    facts: tuple[Fact, ...]
    received_at: Instant
    history: bool = False

    @property
    def ticket_id(self) -> UUID:
        return self.ticket.ticket_id


class Watermark(FrozenModel):
    """`progress`: everything that intake accepted up to `accepted_through` lies before this record.

    Carried in the record's headers alone; about no ticket.
    """

    accepted_through: Instant
    ticket_id: Literal[None] = None
