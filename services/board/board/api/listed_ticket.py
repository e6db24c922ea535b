"""A ticket as the calls for machines list it."""

from typing import Any, Final
from uuid import UUID

from tocsin.events import Customer, Severity
from tocsin.runtime.http.responses import ResponseModel

from board.domain.board_ticket import BoardTicket

TICKET_EXAMPLE: Final[dict[str, Any]] = {
    "ticket_id": "1f2179db-15df-5301-954e-79cce3c08d79",
    "source": "connectwise",
    "external_id": "SR-1042",
    "customer": {"id": "acme", "name": "Acme Logistics"},
    "severity": 1,
    "summary": "Mail is down for the whole office",
    "assignee": "Maya Lindqvist",
}


class ListedTicketResponse(ResponseModel):
    """A ticket: its ids, and the fields by which people know it."""

    ticket_id: UUID
    source: str
    external_id: str
    customer: Customer
    severity: Severity
    summary: str
    assignee: str | None


def listed_fields(found: BoardTicket) -> dict[str, Any]:
    """The fields of a ListedTicketResponse."""
    ticket = found.ticket
    return {
        "ticket_id": found.ticket_id,
        "source": ticket.source,
        "external_id": ticket.external_id,
        "customer": ticket.customer,
        "severity": found.severity,
        "summary": ticket.summary,
        "assignee": found.assignee,
    }
