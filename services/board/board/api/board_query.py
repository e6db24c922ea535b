"""The query of the board and of its live updates: which tickets somebody wants to see."""

from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query

from board.domain.board_filter import BoardFilter
from board.domain.board_ticket import TicketPhase

_LENGTH = 200


@dataclass(frozen=True, slots=True)
class BoardQuery:
    """The query of the address. An empty field of the form filters nothing."""

    customer: str
    severity: str
    state: str
    assignee: str
    text: str

    def wanted(self, tenant: str) -> BoardFilter:
        """The filter for the tenant's tickets."""
        return BoardFilter(
            tenant,
            customer=self.customer or None,
            severity=int(self.severity) if self.severity else None,
            state=TicketPhase(self.state) if self.state else None,
            assignee=self.assignee or None,
            text=self.text.strip() or None,
        )

    @property
    def values(self) -> dict[str, str]:
        """The fields that filter something."""
        fields = {
            "customer": self.customer,
            "severity": self.severity,
            "state": self.state,
            "assignee": self.assignee,
            "text": self.text.strip(),
        }
        return {name: value for name, value in fields.items() if value}

    def address(self, path: str, **more: str) -> str:
        """The path with these filters, and with further parameters."""
        query = urlencode({**self.values, **more})
        return f"{path}?{query}" if query else path


def _board_query(
    customer: Annotated[str, Query(max_length=_LENGTH, description="The id of a customer")] = "",
    severity: Annotated[Literal["", "1", "2", "3", "4"], Query(description="The severity that governs")] = "",
    state: Annotated[Literal["", "open", "paused"], Query(description="Open, or paused")] = "",
    assignee: Annotated[str, Query(max_length=_LENGTH, description="The name of the assignee")] = "",
    text: Annotated[str, Query(max_length=_LENGTH, description="Part of summary, id or customer")] = "",
) -> BoardQuery:
    return BoardQuery(customer, severity, state, assignee, text)


Wanted = Annotated[BoardQuery, Depends(_board_query)]
"""The filters as parameters of a route."""
