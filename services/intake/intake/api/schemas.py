"""Response models of tickets and events."""

from collections.abc import Sequence
from typing import Any, Final, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field
from tocsin.events import (
    Assignee,
    Category,
    Channel,
    Contact,
    Customer,
    Fact,
    FactType,
    Flag,
    Impact,
    Mailbox,
    Severity,
)
from tocsin.instants import Instant
from tocsin.runtime.http.problems import ProblemBody
from tocsin.runtime.http.responses import ResponseModel

from intake.api.problems import problem_of
from intake.domain.ticket import StoredTicket
from intake.errors import TicketConflictError
from intake.handlers.context import RecordedEvent

_TICKET: Final[dict[str, Any]] = {
    "ticket_id": "9dd39e8e-5af5-5b81-9ed9-c40479fa347e",
    "source": "connectwise",
    "external_id": "SR-1042",
    "severity": 3,
    "initial_severity": 3,
    "suggested_severity": 2,
    "fit": True,
    "state": "open",
    "opened_at": "2026-06-08T12:00:00.000000Z",
    "received_at": "2026-06-08T12:00:01.250000Z",
    "summary": "Mail is down",
    "description": None,
    "affected_services": ["Email"],
    "contact": {"name": "Ada Byron", "email": "ada@acme.example", "phone": None},
    "customer": {"id": "acme", "name": "Acme"},
    "assignee": {"name": "Ruth Adeyemi", "email": "ruth.adeyemi@msp.example"},
    "channel": "portal",
    "category": "incident",
    "via": "support",
    "routed_to": "support",
    "sender_is_it_contact": False,
    "starts_at": None,
    "impact": {"business_risk": "major", "work_stoppage": None, "users_affected_percent": 40, "workaround": None},
    "flags": ["severity_disputed"],
    "history": False,
}
_FACT: Final[dict[str, Any]] = {
    "number": 1,
    "event_id": "opened",
    "type": "opened",
    "occurred_at": "2026-06-08T12:00:00.000000Z",
    "received_at": "2026-06-08T12:00:01.250000Z",
    "actor": "connectwise",
    "severity": 3,
    "reason": None,
    "resolution_kind": None,
    "impact": None,
    "assignee": None,
}


class TicketResponse(ResponseModel):
    """A stored ticket."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TICKET]})

    ticket_id: UUID
    source: str
    external_id: str
    severity: Severity = Field(description="The effective severity: that of the last fact that set one")
    initial_severity: Severity
    suggested_severity: Severity | None = Field(description="Suggested by the latest impact, if stated; never binding")
    fit: bool | None = Field(description="Whether all stated criteria of the impact agree")
    state: Literal["open", "closed"]
    opened_at: Instant
    received_at: Instant
    summary: str
    description: str | None = None
    affected_services: tuple[str, ...]
    contact: Contact
    customer: Customer
    assignee: Assignee | None = Field(None, description="Who works on the ticket, by the last `assigned` event")
    channel: Channel
    category: Category
    via: Mailbox
    routed_to: Mailbox
    sender_is_it_contact: bool
    starts_at: Instant | None = None
    impact: Impact | None = Field(None, description="The latest: as of the opening, or of the last `assessed` event")
    flags: tuple[Flag, ...] = Field(
        description="`severity_disputed` while the severity is less severe than suggested and nobody has set or "
        "confirmed one; the others as of the opening"
    )
    history: bool

    @classmethod
    def of(cls, ticket: StoredTicket, **more: Any) -> Self:
        """The response for a ticket; `more` are fields of a subclass."""
        state = ticket.state
        return cls.model_validate(
            {
                **ticket.body,
                "ticket_id": ticket.ticket_id,
                "severity": state.severity,
                "initial_severity": ticket.initial_severity,
                "impact": state.impact,
                "suggested_severity": state.suggested_severity,
                "fit": state.fit,
                "assignee": state.assignee,
                "state": "open" if state.is_open else "closed",
                "opened_at": ticket.opened_at,
                "received_at": ticket.received_at,
                "routed_to": ticket.routed_to,
                "flags": ticket.current_flags,
                "history": ticket.history,
                **more,
            }
        )


class FactResponse(ResponseModel):
    """A fact of a ticket."""

    number: int = Field(description="The order in which intake stored the ticket's facts; 1 is the opening")
    event_id: str
    type: FactType
    occurred_at: Instant = Field(description="When it occurred; never after `received_at`")
    received_at: Instant = Field(description="When intake received it")
    actor: str | None = Field(description="Who did it; the source if no actor is stated")
    severity: Severity | None = Field(description="Of an opening or a severity change")
    reason: str | None
    resolution_kind: Literal["resolved", "workaround"] | None = Field(description="Of a resolve")
    impact: Impact | None = Field(description="Of an assessment")
    assignee: Assignee | None = Field(description="Of an assignment; null if nobody was assigned")


class TicketWithFactsResponse(TicketResponse):
    """A ticket with all its facts, by number."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_TICKET, "facts": [_FACT]}]})

    facts: tuple[FactResponse, ...]

    @classmethod
    def with_facts(cls, ticket: StoredTicket, facts: Sequence[Fact]) -> Self:
        return cls.of(ticket, facts=[FactResponse.model_validate(fact) for fact in facts])


class TicketListResponse(ResponseModel):
    """A page of tickets, the last received first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_TICKET], "next_cursor": "42"}]})

    items: tuple[TicketResponse, ...]
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last page")


class EventResponse(ResponseModel):
    """A stored event."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "event_id": "note-77",
                    "number": 2,
                    "ticket_id": _TICKET["ticket_id"],
                    "type": "responded",
                    "occurred_at": "2026-06-08T12:10:00.000000Z",
                    "received_at": "2026-06-08T12:10:02.500000Z",
                }
            ]
        }
    )

    event_id: str
    number: int
    ticket_id: UUID
    type: FactType
    occurred_at: Instant = Field(description="Never after `received_at`")
    received_at: Instant

    @classmethod
    def of(cls, event: RecordedEvent) -> Self:
        fact = event.fact
        return cls(
            event_id=fact.event_id,
            number=fact.number,
            ticket_id=event.ticket_id,
            type=fact.type,
            occurred_at=fact.occurred_at,
            received_at=fact.received_at,
        )


class BatchItemResponse(ResponseModel):
    """The result of one item of a batch: a ticket or a problem, with the status that the item alone would have had."""

    status: int
    ticket: TicketResponse | None = None
    problem: ProblemBody | None = None


class BatchResponse(ResponseModel):
    """One result per item, in the order of the items."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "results": [
                        {"status": 201, "ticket": _TICKET},
                        {"status": 409, "problem": problem_of(TicketConflictError()).as_dict()},
                    ]
                }
            ]
        }
    )

    results: tuple[BatchItemResponse, ...]
