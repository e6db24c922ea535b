"""How requests become facts, and the one kind of fact that intake rejects. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tocsin.events import Fact, FactType
from tocsin.lifecycle import TicketStatus, replay, status_of

from intake.domain.ticket_request import EventRequest
from intake.errors import WorkaroundError


def opening_fact(severity: int, occurred_at: datetime, received_at: datetime, actor: str) -> Fact:
    """The fact that every ticket begins with; `actor` is who opened the ticket."""
    return Fact(
        number=1,
        event_id="opened",
        type=FactType.OPENED,
        occurred_at=occurred_at,
        received_at=received_at,
        actor=actor,
        severity=severity,
    )


def event_fact(request: EventRequest, number: int, event_id: str, received_at: datetime) -> Fact:
    """The fact that a requested event becomes. It occurred at its receipt at the latest (docs/rules.md#0-3)."""
    return Fact(
        number=number,
        event_id=event_id,
        type=FactType(request.type),
        occurred_at=min(request.occurred_at or received_at, received_at),
        received_at=received_at,
        actor=request.actor,
        severity=request.severity,
        reason=request.reason,
        resolution_kind=request.resolution_kind,
        impact=request.impact.to_impact() if request.impact else None,
        assignee=request.assignee.to_assignee() if request.assignee else None,
    )


def reject_workarounds(facts: Iterable[Fact], new: Iterable[Fact]) -> None:
    """Raise WorkaroundError if one of the `new` among a ticket's `facts` is a workaround on severity 1.

    The severity is that at the workaround's instant, by these facts (docs/rules.md#0-9).
    """
    numbers = {fact.number for fact in new}
    for fact, before, _ in replay(facts):
        if fact.number in numbers and fact.resolution_kind == "workaround" and before.severity == 1:
            raise WorkaroundError


@dataclass(frozen=True, slots=True)
class TicketHistory:
    """A ticket after its facts: `closed_by` closed it (None while it is open); `reopened_at` began its last cycle."""

    status: TicketStatus
    closed_by: Fact | None
    reopened_at: datetime | None


def history_of(facts: Iterable[Fact]) -> TicketHistory:
    """The history of a ticket with these facts, in any order."""
    known = list(facts)
    closed_by = reopened_at = None
    for fact, before, after in replay(known):
        if after is None or after.closed == before.closed:
            continue
        closed_by, reopened_at = (fact, reopened_at) if after.closed else (None, fact.occurred_at)
    return TicketHistory(status_of(known), closed_by, reopened_at)
