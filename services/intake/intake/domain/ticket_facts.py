"""Add events to a ticket one after the other: each is checked against the facts before it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from tocsin.policy import Policy

from intake.domain.facts import event_fact, reject_workarounds
from intake.domain.ticket import RenderedTicketEvent, StoredFact, StoredTicket
from intake.domain.ticket_events import fact_event, render_events
from intake.domain.ticket_request import EventRequest
from intake.domain.ticket_state import STATE_TYPES, state_of
from intake.errors import EventConflictError


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """A ticket and its facts while events are added to it.

    Added events are received at `received_at`. `known` holds facts by event id: all facts of STATE_TYPES if an event
    of these types is added, and the facts whose event ids the added events have. `new` are the facts added so far, and
    `events` publish these; the ticket's state follows from both.
    """

    ticket: StoredTicket
    policy: Policy
    received_at: datetime
    known: Mapping[str, StoredFact]
    new: tuple[StoredFact, ...] = ()
    events: tuple[RenderedTicketEvent, ...] = ()

    def add(self, request: EventRequest, event_id: str) -> Self:
        """The facts with the event as its next fact; unchanged if the same event is known.

        Raises EventConflictError, WorkaroundError, RecordTooLargeError.
        """
        digest = request.digest()
        if event_id in self.known:
            if self.known[event_id].digest != digest:
                raise EventConflictError
            return self
        ticket = replace(self.ticket, last_number=self.ticket.last_number + 1)
        fact = event_fact(request, ticket.last_number, event_id, self.received_at)
        events = render_events([fact_event(ticket.tenant, ticket.ticket_id, fact)])
        added = StoredFact(ticket.ticket_id, fact, digest)
        known = {**self.known, event_id: added}
        if fact.type in STATE_TYPES:
            facts = [each.fact for each in known.values() if each.fact.type in STATE_TYPES]
            reject_workarounds(facts, new=[fact])
            ticket = ticket.with_state(state_of(self.policy, ticket.opening, facts))
        return replace(self, ticket=ticket, known=known, new=(*self.new, added), events=(*self.events, *events))
