"""Selects tickets of the board. Pure."""

from dataclasses import dataclass

from board.domain.board_ticket import BoardTicket, TicketPhase


@dataclass(frozen=True, slots=True)
class BoardFilter:
    """Selects open tickets of a tenant; a field that is None does not filter.

    `customer` is an id, `assignee` a name. `text` is part of the summary, the id in the tool, or the customer's name,
    in upper or lower case.
    """

    tenant: str
    customer: str | None = None
    severity: int | None = None
    state: TicketPhase | None = None
    assignee: str | None = None
    text: str | None = None

    def matches(self, found: BoardTicket) -> bool:
        """Whether the ticket is selected."""
        ticket = found.ticket
        return (
            ticket.tenant == self.tenant
            and self.customer in (None, ticket.customer.id)
            and self.severity in (None, found.severity)
            and self.state in (None, found.state)
            and self.assignee in (None, found.assignee)
            and (self.text is None or self._has_text(found))
        )

    def _has_text(self, found: BoardTicket) -> bool:
        text, ticket = (self.text or "").casefold(), found.ticket
        return any(text in part.casefold() for part in (ticket.summary, ticket.external_id, ticket.customer.name))
