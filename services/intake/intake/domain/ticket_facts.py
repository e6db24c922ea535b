"""Add events to a ticket one after the other: each is checked against the facts before it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID

from tocsin.lifecycle import status_of

from intake.domain.facts import STATUS_TYPES, event_fact, reject_workarounds
from intake.domain.ticket import StoredFact
from intake.domain.ticket_events import check_size, fact_event
from intake.domain.ticket_request import EventRequest
from intake.errors import EventConflictError


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """A ticket's facts while events are added to it.

    Added events are received at `received_at`. `known` holds facts by event id: all facts of STATUS_TYPES if an event
    of these types is added, and the facts whose event ids the added events have. `new` are the facts added so far;
    `severity` and `is_open` follow from both.
    """

    tenant: str
    ticket_id: UUID
    next_number: int
    severity: int
    is_open: bool
    received_at: datetime
    known: Mapping[str, StoredFact]
    new: tuple[StoredFact, ...] = ()

    def add(self, request: EventRequest, event_id: str) -> Self:
        """The facts with the event as its next fact; unchanged if the same event is known.

        Raises EventConflictError, WorkaroundError, RecordTooLargeError.
        """
        digest = request.digest()
        if event_id in self.known:
            if self.known[event_id].digest != digest:
                raise EventConflictError
            return self
        fact = event_fact(request, self.next_number, event_id, self.received_at)
        check_size([fact_event(self.tenant, self.ticket_id, fact)])
        added = StoredFact(self.ticket_id, fact, digest)
        after = replace(
            self,
            next_number=self.next_number + 1,
            known={**self.known, event_id: added},
            new=(*self.new, added),
        )
        if fact.type not in STATUS_TYPES:
            return after
        status_facts = [each.fact for each in after.known.values() if each.fact.type in STATUS_TYPES]
        reject_workarounds(status_facts, new=[fact])
        status = status_of(status_facts)
        return replace(after, severity=status.severity, is_open=not status.closed)
