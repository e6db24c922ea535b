"""The values that several events carry. Frozen; instants are aware UTC datetimes with microseconds."""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from tocsin.instants import Instant

Severity = Annotated[int, Field(ge=1, le=4)]


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


SeverityInput = Annotated[Severity, BeforeValidator(_whole)]
"""1 to 4, as callers write it. To JSON 3.0 is the same number as 3."""

Channel = Literal["portal", "email", "voicemail", "chat", "api"]
Category = Literal["incident", "user_request", "onboarding", "offboarding", "mishandled_request", "project", "security"]
Mailbox = Literal["support", "escalations"]
Flag = Literal[
    "rerouted",
    "short_notice",
    "security",
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


class FactType(StrEnum):
    """What can happen to a ticket in the world (RULES, introduction and sections 3 to 5)."""

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


class FrozenModel(BaseModel):
    """Frozen and tolerant: readers ignore fields that a newer writer added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Contact(FrozenModel):
    name: str
    email: str | None = None
    phone: str | None = None


class Customer(FrozenModel):
    id: str
    name: str


class Ticket(FrozenModel):
    """What every event about a ticket carries of it, so that nobody has to ask back."""

    tenant: str
    ticket_id: UUID
    source: str
    external_id: str
    summary: str
    affected_services: tuple[str, ...]
    contact: Contact
    customer: Customer
    channel: Channel
    category: Category
    opened_at: Instant
    initial_severity: Severity
    routed_to: Mailbox = "support"
    flags: tuple[Flag, ...] = ()


class Fact(FrozenModel):
    """One immutable fact of a ticket, numbered by intake within the ticket (1 is the opening).

    `occurred_at` is already clamped to `received_at` (RULES, introduction). `severity` is set for `opened` and
    `severity_changed`, `resolution_kind` for `resolved`.
    """

    number: Annotated[int, Field(ge=1)]
    event_id: str
    type: FactType
    occurred_at: Instant
    received_at: Instant
    actor: str | None = None
    severity: Severity | None = None
    reason: str | None = None
    resolution_kind: Literal["resolved", "workaround"] | None = None


class Tier(FrozenModel):
    """One rung of the ladder: `number` counts from 1, `role` is the directory's name of who stands on it."""

    number: Annotated[int, Field(ge=1)]
    role: str
    title: str
