"""The state of a ticket by its facts so far (docs/rules.md#0-facts-and-timelines). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tocsin.events import Fact, FactType, Ticket
from tocsin.lifecycle import StatusChange, TicketStatus, apply, in_order

from board.domain.board_ticket import TicketPhase

_CLOSED: Final = {FactType.RESOLVED: TicketPhase.RESOLVED, FactType.CANCELLED: TicketPhase.CANCELLED}


@dataclass(frozen=True, slots=True)
class FactsSummary:
    """The result of a ticket's facts. `facts` is how many have arrived, `last_fact` the highest number among them."""

    severity: int
    state: TicketPhase
    assignee: str | None
    facts: int
    last_fact: int

    @property
    def is_open(self) -> bool:
        return self.state in (TicketPhase.OPEN, TicketPhase.PAUSED)


def summarise_facts(ticket: Ticket, facts: Sequence[Fact]) -> FactsSummary:
    """The result of these facts, in any order.

    Automatic receipts need no special case: a response changes neither severity nor state nor assignee. While the
    opening has not arrived, the ticket's own fields replace it.
    """
    opening = () if any(fact.number == 1 for fact in facts) else (_opening_of(ticket),)
    first, *later = in_order((*opening, *facts))
    status = TicketStatus(first.severity or ticket.initial_severity)
    assignee, closed = ticket.assignee, TicketPhase.RESOLVED
    for fact in later:
        after = apply(status, StatusChange.of(fact))
        if after is not None and fact.type in _CLOSED:
            closed = _CLOSED[fact.type]
        if fact.type is FactType.ASSIGNED:
            assignee = fact.assignee
        status = after or status
    return FactsSummary(
        severity=status.severity,
        state=closed if status.closed else TicketPhase.PAUSED if status.paused else TicketPhase.OPEN,
        assignee=assignee.name if assignee else None,
        facts=len(facts),
        last_fact=max((fact.number for fact in facts), default=0),
    )


def _opening_of(ticket: Ticket) -> Fact:
    return Fact(
        number=1,
        event_id="",
        type=FactType.OPENED,
        occurred_at=ticket.opened_at,
        received_at=ticket.opened_at,
        severity=ticket.initial_severity,
    )
