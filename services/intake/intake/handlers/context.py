"""What taking in needs, what comes of it, and the refusals that tickets and events share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tocsin.events import Fact, FactType
from tocsin.policy import Policy
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.http.problems import Problem

from intake.domain.ticket_request import EventRequest
from intake.store.records import StoredTicket


@dataclass(frozen=True, slots=True)
class IngestContext:
    """What taking in needs: the policy, business time for a reading of the database's clock, and the way out."""

    policy: Policy
    business: Callable[[datetime], datetime]
    outbox: Outbox
    history_outbox_limit: int


@dataclass(frozen=True, slots=True)
class IngestedTicket:
    """A ticket as it stood when it was first taken in; `created` tells now from earlier."""

    ticket: StoredTicket
    created: bool


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """A stored fact of `ticket_id`; `created` tells now from earlier."""

    ticket_id: UUID
    fact: Fact
    created: bool


def fact_of(request: EventRequest, number: int, event_id: str, received_at: datetime) -> Fact:
    """The fact that an event becomes: received at `received_at`, and not occurred later (RULES, introduction)."""
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
    )


def unknown_ticket() -> Problem:
    """The answer about a ticket that this tenant does not have."""
    return Problem(404, "There is no such ticket.")


def workaround_refused() -> Problem:
    """The answer to a workaround on severity 1 (RULES 3)."""
    detail = "No workaround is acceptable on severity 1: change the severity first (severity_changed), or resolve it."
    return Problem(409, detail)
