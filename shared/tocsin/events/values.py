"""Values that several events carry."""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field

from tocsin.described_model import DescribedModel
from tocsin.instants import Instant

Count = Annotated[int, Field(ge=1)]

Severity = Annotated[int, Field(ge=1, le=4)]


def _whole_number(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


SeverityInput = Annotated[Severity, BeforeValidator(_whole_number)]
"""A severity in a request. In JSON, 3.0 is the same number as 3."""

Channel = Literal["portal", "email", "voicemail", "chat", "api"]
Category = Literal["incident", "user_request", "onboarding", "offboarding", "mishandled_request", "project", "security"]
Mailbox = Literal["support", "escalations"]
Flag = Literal[
    "rerouted",
    "short_notice",
    "start_missing",
    "security",
    "severity_disputed",
    "contact_unusable",
    "text_cleaned",
    "default_severity",
    "default_services",
    "default_contact",
    "default_customer",
    "default_summary",
    "default_opened_at",
]
ClockName = Literal["response", "resolution", "answer"]
EscalationReason = Literal["resolution_breached", "no_response", "explicit"]
EndReason = Literal["resolved", "workaround", "cancelled", "voided"]
BusinessRisk = Literal["catastrophic", "major", "moderate", "minimal"]
WorkStoppage = Literal["full", "significant", "some", "minor"]
Workaround = Literal["none", "semi_acceptable", "acceptable"]


# docs/rules.md#0-1
class FactType(StrEnum):
    """The types of facts."""

    OPENED = "opened"
    RESPONDED = "responded"
    SEVERITY_CHANGED = "severity_changed"
    PAUSED = "paused"
    RESUMED = "resumed"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    CANCELLED = "cancelled"
    ACKNOWLEDGED = "acknowledged"
    ESCALATED = "escalated"
    ASSESSED = "assessed"
    ASSIGNED = "assigned"


class FrozenModel(DescribedModel):
    """A frozen model that ignores unknown fields, so that old readers accept the fields that new writers add.

    A docstring below a field describes it in the JSON Schema.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class Contact(FrozenModel):
    """The person who is most familiar with the issue."""

    name: str
    email: str | None = None
    phone: str | None = None


class Assignee(FrozenModel):
    """The person on our side who works on the ticket."""

    name: str
    email: str | None = None


class Impact(FrozenModel):
    """What is known of a ticket's impact. Any criterion may be missing."""

    business_risk: BusinessRisk | None = None
    work_stoppage: WorkStoppage | None = None
    users_affected_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    workaround: Workaround | None = None


class Customer(FrozenModel):
    """The customer of a ticket."""

    id: str
    name: str


class Ticket(FrozenModel):
    """A ticket as its events carry it, so that consumers need no lookup."""

    tenant: str
    """The tenant that owns the ticket."""
    ticket_id: UUID
    """The id of the ticket, derived from `tenant`, `source` and `external_id`."""
    source: str
    """The tool that the ticket comes from."""
    external_id: str
    """The id of the ticket in its tool."""
    summary: str
    description: str | None = None
    """The beginning of the description, at most 2,000 characters."""
    affected_services: tuple[str, ...]
    contact: Contact
    customer: Customer
    channel: Channel
    """The channel through which the ticket was opened."""
    category: Category
    """The category of the request."""
    opened_at: Instant
    """The instant at which the ticket was opened."""
    initial_severity: Severity
    """The severity that the customer stated, from 1 (critical) to 4 (low)."""
    routed_to: Mailbox = "support"
    """The mailbox that handles the request."""
    flags: tuple[Flag, ...] = ()
    """Remarks of intake, such as a reroute or a default that was used. Never `severity_disputed`, which changes."""
    starts_at: Instant | None = None
    """The instant at which the work is to start, such as an onboarding."""
    impact: Impact | None = None
    """The impact as stated at the opening. An `assessed` fact replaces it."""
    assignee: Assignee | None = None
    """The assignee as stated at the opening. `assigned` facts change it; events about deadlines have the latest."""


class Fact(FrozenModel):
    """A fact of a ticket. Facts never change."""

    number: Count
    """The number of the fact within its ticket, in the order of receipt. 1 is the opening."""
    event_id: str
    """The id of the fact, unique within its ticket."""
    type: FactType
    """The type of the fact."""
    occurred_at: Instant
    """The instant at which the fact occurred, never later than `received_at`. All rules use this instant."""
    received_at: Instant
    """The instant at which intake received the fact."""
    actor: str | None = None
    """Who caused the fact."""
    severity: Severity | None = None
    """The severity. Set for `opened` and `severity_changed`."""
    reason: str | None = None
    """The reason that was stated."""
    resolution_kind: Literal["resolved", "workaround"] | None = None
    """Whether a `resolved` fact is a resolution or a workaround."""
    impact: Impact | None = None
    """The impact. Set for `assessed`."""
    assignee: Assignee | None = None
    """The new assignee of an `assigned` fact. Null if nobody is assigned."""


class Tier(FrozenModel):
    """A tier of the escalation ladder."""

    number: Count
    """The position on the ladder, counted from 1."""
    role: str
    """The role in the directory."""
    title: str
    """The title of the role, as people read it."""
