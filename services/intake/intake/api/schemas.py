"""What is answered: stored tickets and events in the form that the API shows."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from tocsin.events import Category, Channel, Contact, Customer, Fact, FactType, Flag, Mailbox, Severity
from tocsin.instants import Instant
from tocsin.policy import Impact
from tocsin.runtime.http.problems import ProblemBody

from intake.handlers import TakenEvent, TakenTicket
from intake.store import StoredTicket


class Answer(BaseModel):
    """Frozen; instants in UTC with microseconds."""

    model_config = ConfigDict(frozen=True)


class TicketAnswer(Answer):
    """A stored ticket. `severity` is the effective one; `suggested_severity` and `fit` are null without an impact."""

    ticket_id: UUID
    source: str
    external_id: str
    severity: Severity = Field(description="The effective severity, after all facts in the order of their occurrence")
    initial_severity: Severity
    suggested_severity: Severity | None = Field(
        description="What the policy's matrix makes of the impact; never binding"
    )
    fit: bool | None = Field(description="Whether all given criteria of the impact agree")
    state: Literal["open", "closed"]
    opened_at: Instant
    received_at: Instant
    summary: str
    description: str | None = None
    affected_services: tuple[str, ...]
    contact: Contact
    customer: Customer
    channel: Channel
    category: Category
    via: Mailbox
    routed_to: Mailbox
    sender_is_it_contact: bool
    starts_at: Instant | None = None
    impact: Impact | None = None
    flags: tuple[Flag, ...]
    history: bool


class FactAnswer(Answer):
    """One thing that happened to the ticket: what, when, and who said so."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    number: int = Field(description="Its place among the ticket's facts as they came in; 1 is the opening")
    event_id: str
    type: FactType
    occurred_at: Instant = Field(description="When it happened in the world, never after `received_at`")
    received_at: Instant = Field(description="When intake learned of it")
    actor: str | None = Field(description="Who did it; the source where nobody is named")
    severity: Severity | None = Field(description="Of an opening or a change of severity")
    reason: str | None
    resolution_kind: Literal["resolved", "workaround"] | None = Field(description="Of a resolve")


class TicketWithFacts(TicketAnswer):
    """A stored ticket with all its facts by number."""

    facts: tuple[FactAnswer, ...]


class TicketList(Answer):
    """A page of tickets, the last received first; `next_cursor` is null on the last page."""

    items: tuple[TicketAnswer, ...]
    next_cursor: str | None


class EventAnswer(Answer):
    """A stored event. `occurred_at` is clamped to `received_at`."""

    event_id: str
    number: int
    ticket_id: UUID
    type: FactType
    occurred_at: Instant
    received_at: Instant


class ItemResult(Answer):
    """What became of one item of a batch: a ticket, or the problem with it."""

    status: int
    ticket: TicketAnswer | None = None
    problem: ProblemBody | None = None


class BatchAnswer(Answer):
    """One result per item, in the items' order."""

    results: tuple[ItemResult, ...]


T = TypeVar("T", bound=TicketAnswer)


def ticket_answer(ticket: StoredTicket) -> dict[str, Any]:
    """The ticket as JSON data, valid as `TicketAnswer`."""
    return _ticket(TicketAnswer, ticket).model_dump(mode="json")


def ticket_with_facts(ticket: StoredTicket, facts: Sequence[Fact]) -> dict[str, Any]:
    """The ticket and its facts as JSON data, valid as `TicketWithFacts`."""
    return _ticket(TicketWithFacts, ticket, facts=tuple(FactAnswer.model_validate(fact) for fact in facts)).model_dump(
        mode="json"
    )


def event_answer(taken: TakenEvent) -> dict[str, Any]:
    """The event as JSON data, valid as `EventAnswer`."""
    fact = taken.fact
    return EventAnswer(
        event_id=fact.event_id,
        number=fact.number,
        ticket_id=taken.ticket_id,
        type=fact.type,
        occurred_at=fact.occurred_at,
        received_at=fact.received_at,
    ).model_dump(mode="json")


def status_of(taken: TakenTicket | TakenEvent) -> int:
    """201 for what is new, 200 for what was known."""
    return 201 if taken.created else 200


def _ticket(model: type[T], ticket: StoredTicket, **more: Any) -> T:
    return model.model_validate(
        {
            **ticket.body,
            "ticket_id": ticket.ticket_id,
            "severity": ticket.standing.severity,
            "initial_severity": ticket.initial_severity,
            "suggested_severity": ticket.suggested_severity,
            "fit": ticket.fit,
            "state": "open" if ticket.standing.is_open else "closed",
            "opened_at": ticket.opened_at,
            "received_at": ticket.received_at,
            "routed_to": ticket.routed_to,
            "flags": ticket.flags,
            "history": ticket.history,
            **more,
        }
    )
