"""The pages of a ticket: in the board, and in the ticket's own tool. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.events import Ticket
from tocsin.links import ticket_page


@dataclass(frozen=True, slots=True)
class TicketLinks:
    """`public_url` is the base URL of the board's pages, without a trailing slash; `ticket_urls` has the template of a
    ticket's page by source.
    """

    public_url: str | None = None
    ticket_urls: Mapping[str, str] = field(default_factory=dict)

    def board_page(self, ticket: Ticket) -> str | None:
        """The URL of the ticket's page in the board; None without `public_url`."""
        return None if self.public_url is None else f"{self.public_url}/tickets/{ticket.ticket_id}"

    def tool_page(self, ticket: Ticket) -> str | None:
        """The URL of the ticket's page in its source; None without a template for the source."""
        return ticket_page(self.ticket_urls, ticket)
