"""What may be posted (DESIGN, Contracts): the bodies as models. Pure."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    SkipValidation,
    Strict,
    ValidationInfo,
    field_validator,
)
from tocsin.events import Category, Channel, Flag, Mailbox, SeverityInput

from intake.domain.schema_base import BLANKS, LONGEST_LIST, Given, Instant, Request, Text, not_blank

FactRequestType = Literal[
    "responded",
    "severity_changed",
    "paused",
    "resumed",
    "resolved",
    "reopened",
    "cancelled",
    "acknowledged",
    "escalated",
]


def _not_empty(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("must name at least one")
    return names


def _given(field: str) -> dict[str, JsonValue]:
    """The JSON schema of an object that has the field, and more than blanks in it."""
    return {"required": [field], "properties": {field: {"type": "string", "pattern": f"[^{BLANKS}]"}}}


def _only_of(kind: str, field: str, required: bool) -> dict[str, JsonValue]:
    """The JSON schema of a field that only one type of event has."""
    needed: dict[str, JsonValue] = {"required": [field], "properties": {field: {"not": {"type": "null"}}}}
    return {
        "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
        "then": needed if required else {},
        "else": {"properties": {field: {"type": "null"}}},
    }


class ContactRequest(Request):
    """Who is most familiar with the issue: a name and an e-mail address or a phone number (RULES 1)."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [_given("email"), _given("phone")]}  # what `reachable` asks for
    )

    name: Given
    phone: Text | None = None
    email: Text | None = Field(default=None, validate_default=True)

    @field_validator("email")
    @classmethod
    def reachable(cls, email: str | None, info: ValidationInfo) -> str | None:
        if email is None and info.data.get("phone", "") is None:
            raise ValueError("an e-mail address or a phone number is required")
        return email


class CustomerRequest(Request):
    id: Given
    name: Given


class ImpactRequest(Request):
    """The criteria of the severity matrix; any may be missing (RULES 1)."""

    business_risk: Literal["catastrophic", "major", "moderate", "minimal"] | None = None
    work_stoppage: Literal["full", "significant", "some", "minor"] | None = None
    users_affected_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    workaround: Literal["none", "semi_acceptable", "acceptable"] | None = None


class EventRequest(Request):
    """One further fact of a ticket. Without `occurred_at` it occurred when it was received."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [_only_of("severity_changed", "severity", True), _only_of("resolved", "resolution_kind", False)]
        }
    )

    type: FactRequestType
    occurred_at: Instant | None = Field(None, description="The receipt if left out or later")
    actor: Given
    event_id: Text | None = Field(None, description="Makes it count once within the ticket; made if left out")
    severity: SeverityInput | None = Field(
        None, validate_default=True, description="The new one, of severity_changed only"
    )
    reason: Text | None = None
    resolution_kind: Literal["resolved", "workaround"] | None = Field(
        None, validate_default=True, description="Of resolved only; resolved if left out"
    )

    @field_validator("severity")
    @classmethod
    def severity_of_a_change(cls, severity: int | None, info: ValidationInfo) -> int | None:
        kind = info.data.get("type")
        if severity is None and kind == "severity_changed":
            raise ValueError("is required by severity_changed")
        if severity is not None and kind not in (None, "severity_changed"):
            raise ValueError("is only for severity_changed")
        return severity

    @field_validator("resolution_kind")
    @classmethod
    def kind_of_a_resolve(cls, kind: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("type") == "resolved":
            return kind or "resolved"
        if kind is not None and "type" in info.data:
            raise ValueError("is only for resolved")
        return kind


class TicketRequest(Request):
    """A ticket as a PSA tool posts it.

    Its severity may be missing only where the policy gives the machine source a default (RULES 1).
    """

    source: Given
    external_id: Given
    opened_at: Instant | None = Field(None, description="When it was submitted; the receipt if left out or later")
    severity: SeverityInput | None = Field(None, validate_default=True, description="The customer's initial severity")
    summary: Given
    description: Text | None = None
    affected_services: Annotated[
        tuple[Annotated[Given, AfterValidator(not_blank)], ...],
        Strict(False),
        Field(max_length=LONGEST_LIST, json_schema_extra={"minItems": 1}),
        AfterValidator(_not_empty),
    ]
    contact: ContactRequest
    customer: CustomerRequest
    channel: Channel = "portal"
    category: Category = "incident"
    via: Mailbox = "support"
    sender_is_it_contact: bool = Field(False, description="Whether the customer's own IT point of contact wrote")
    starts_at: Instant | None = Field(None, description="When an onboarding or a project begins")
    impact: ImpactRequest | None = None

    @field_validator("severity")
    @classmethod
    def severity_given(cls, severity: int | None, info: ValidationInfo) -> int | None:
        # The context holds the policy's machine sources; see `read`.
        defaults: Mapping[str, int] = (info.context or {}).get("default_severities", {})
        if severity is None and info.data.get("source") not in defaults:
            raise ValueError("the initial severity, 1 to 4, is required")
        return severity


class TicketItem(TicketRequest):
    """A batch's item: a ticket, with everything that has happened to it since where `events` are given."""

    events: Annotated[tuple[EventRequest, ...], Strict(False), Field(max_length=LONGEST_LIST)] = ()
    history: bool = Field(False, description="What fell due before the receipt is reported and mails nobody")

    @property
    def imported(self) -> bool:
        """Whether it is taken in as one record with all its facts."""
        return self.history or bool(self.events)


class SeenTicket(TicketItem):
    """A ticket that a tool or a mail showed and nobody posted.

    `opened_by` is who opened it, where that was said; `defaulted` flags what stands in for what was left out.
    """

    opened_by: Text | None = None
    defaulted: tuple[Flag, ...] = ()


class Batch(Request):
    """Up to 500 tickets, here still unread: each is judged by itself, so that a bad one never stops its neighbours."""

    tickets: Annotated[tuple[Annotated[TicketItem, SkipValidation], ...], Strict(False), Field(max_length=LONGEST_LIST)]


R = TypeVar("R", bound=Request)


def read(model: type[R], body: object, default_severities: Mapping[str, int] | None = None) -> R:
    """The validated request. Raises pydantic's ValidationError, which names everything that is wrong.

    `default_severities` are the policy's, by machine source.
    """
    return model.model_validate(body, context={"default_severities": default_severities or {}})
