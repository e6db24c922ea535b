"""A ticket and its facts as intake stores them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from tocsin.events import Fact, Flag, Mailbox, Ticket
from tocsin.lifecycle import TicketStatus

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
    """A ticket with the severity and state that its facts give it so far.

    `body` is the validated request and `digest` its digest. `position` orders tickets by receipt; 0 before the ticket
    is stored. `first_facts` is the number of facts that came with the ticket. `imported`: the ticket and those facts
    are published as one event. `history`: that event was posted as history (docs/rules.md#4-24).
    """

    ticket_id: UUID
    position: int
    tenant: str
    source: str
    external_id: str
    opened_at: datetime
    received_at: datetime
    initial_severity: int
    suggested_severity: int | None
    fit: bool | None
    routed_to: Mailbox
    flags: tuple[Flag, ...]
    imported: bool
    history: bool
    body: Mapping[str, Any]
    digest: bytes
    first_facts: int
    severity: int
    is_open: bool

    def with_status(self, status: TicketStatus) -> Self:
        """The ticket with the severity and state of `status`."""
        return replace(self, severity=status.severity, is_open=not status.closed)

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


@dataclass(frozen=True, slots=True)
class NewTicket:
    """A ticket to be stored, with its first facts."""

    ticket: StoredTicket
    facts: tuple[StoredFact, ...]
