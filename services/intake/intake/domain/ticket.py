"""A ticket and its facts as intake stores them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from tocsin.events import (
    Assignee,
    Fact,
    Flag,
    Impact,
    Mailbox,
    Ticket,
    TicketChanged,
    TicketImported,
    TicketOpened,
)

from intake.domain.ticket_state import CurrentTicketState, Opening

_BODY_FIELDS: Final = (
    "summary",
    "affected_services",
    "contact",
    "customer",
    "channel",
    "category",
    "starts_at",
    "impact",
    "assignee",
)
_MAX_DESCRIPTION: Final = 2_000


@dataclass(frozen=True, slots=True)
class StoredTicket:
    """A ticket in the state that its facts give it so far.

    `body` is the validated request and `digest` its digest. `position` orders tickets by receipt; 0 before the ticket
    is stored. `first_facts` is the number of facts that came with the ticket, `last_number` that of all its facts.
    `imported`: the ticket and its first facts are published as one event. `history`: that event was posted as history
    (docs/rules.md#4-24).
    """

    ticket_id: UUID
    position: int
    tenant: str
    source: str
    external_id: str
    opened_at: datetime
    received_at: datetime
    initial_severity: int
    routed_to: Mailbox
    flags: tuple[Flag, ...]
    imported: bool
    history: bool
    body: Mapping[str, Any]
    digest: bytes
    first_facts: int
    last_number: int
    state: CurrentTicketState

    def with_state(self, state: CurrentTicketState) -> Self:
        return replace(self, state=state)

    @property
    def opening(self) -> Opening:
        impact, assignee = self.body["impact"], self.body["assignee"]
        return Opening(
            self.initial_severity,
            Impact.model_validate(impact) if impact else None,
            Assignee.model_validate(assignee) if assignee else None,
        )

    @property
    def current_flags(self) -> tuple[Flag, ...]:
        """The flags of the opening, with `severity_disputed` while the severity is disputed."""
        return (*self.flags, "severity_disputed") if self.state.is_disputed else self.flags

    def to_event_ticket(self) -> Ticket:
        """The ticket as its events contain it."""
        return Ticket.model_validate(
            {
                **{name: self.body[name] for name in _BODY_FIELDS},
                "description": (self.body["description"] or "")[:_MAX_DESCRIPTION] or None,
                "tenant": self.tenant,
                "ticket_id": self.ticket_id,
                "source": self.source,
                "external_id": self.external_id,
                "opened_at": self.opened_at,
                "initial_severity": self.initial_severity,
                "routed_to": self.routed_to,
                "flags": self.flags,
            }
        )


@dataclass(frozen=True, slots=True)
class StoredFact:
    """A fact of a ticket, with the digest of the request that stated it."""

    ticket_id: UUID
    fact: Fact
    digest: bytes


TicketEvent = TicketOpened | TicketChanged | TicketImported


@dataclass(frozen=True, slots=True)
class RenderedTicketEvent:
    """An event of a ticket, and the event as JSON."""

    event: TicketEvent
    value: bytes


@dataclass(frozen=True, slots=True)
class NewTicket:
    """A ticket to be stored, with its first facts and the events that publish them."""

    ticket: StoredTicket
    facts: tuple[StoredFact, ...]
    events: tuple[RenderedTicketEvent, ...]
