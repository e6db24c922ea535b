"""What the tables hold, as values, and how a value becomes a row and a row a value."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from tocsin.events import Fact, Flag, Mailbox, Ticket, fact_id

from intake.domain.ticket_state import Standing
from intake.store.tables import tickets


@dataclass(frozen=True, slots=True)
class StoredTicket:
    """A row of `tickets`. `body` is the validated request; `first_facts` is how many facts came with it."""

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
    standing: Standing

    def summary(self) -> Ticket:
        """What every event about the ticket carries of it."""
        return Ticket.model_validate(
            {
                **{name: self.body[name] for name in _SUMMARISED},
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
class NewTicket:
    """A ticket to be stored, with its first facts; `position` of `ticket` is not known yet."""

    ticket: StoredTicket
    facts: tuple[Fact, ...]
    digests: tuple[bytes, ...]


def ticket_row(ticket: StoredTicket) -> dict[str, Any]:
    """The ticket as a new row."""
    row = {name: getattr(ticket, name) for name in _SAME if name != "position"}
    derived = {"customer_id": ticket.body["customer"]["id"], "last_number": ticket.first_facts}
    return row | derived | ticket.standing._asdict()


def ticket_of(row: Row[Any]) -> StoredTicket:
    """The ticket of a row."""
    same = {name: getattr(row, name) for name in _SAME}
    return StoredTicket(**same, standing=Standing(row.severity, row.is_open))


def fact_row(ticket_id: UUID, fact: Fact, digest: bytes) -> dict[str, Any]:
    """The fact as a new row; `digest` is the digest of the request that brought it."""
    return fact.model_dump() | {
        "fact_id": fact_id(ticket_id, fact.event_id),
        "ticket_id": ticket_id,
        "digest": digest,
    }


def fact_of(row: Row[Any]) -> Fact:
    """The fact of a row."""
    return Fact.model_validate(row, from_attributes=True)


_SUMMARISED = ("summary", "affected_services", "contact", "customer", "channel", "category")
_SAME = tuple(field.name for field in fields(StoredTicket) if field.name in tickets.c)
"""What a ticket and its row call by the same name."""
