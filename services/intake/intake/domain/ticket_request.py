"""The bodies of POST requests as models (docs/architecture.md#contracts). Pure."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeVar

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

from intake.domain.schema_base import (
    BLANK,
    MAX_LIST_LENGTH,
    RequestInstant,
    RequestModel,
    RequiredText,
    Text,
    reject_blank,
)

EventType = Literal[
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
"""Every type of fact but the opening."""

R = TypeVar("R", bound=RequestModel)


def validate_request(model: type[R], body: object, default_severities: Mapping[str, int] | None = None) -> R:
    """The body as a request. `default_severities` are the policy's, by machine source.

    Raises pydantic's ValidationError, which names every missing or wrong field.
    """
    return model.model_validate(body, context={"default_severities": default_severities or {}})


def _reject_empty(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("must name at least one")
    return names


def _has_text(field: str) -> dict[str, JsonValue]:
    """The JSON Schema of an object in which this field is not blank."""
    return {"required": [field], "properties": {field: {"type": "string", "pattern": f"[^{BLANK}]"}}}


def _only_for(event_type: EventType, field: str, *, required: bool) -> dict[str, JsonValue]:
    """The JSON Schema of a field that only one type of event has."""
    present: dict[str, JsonValue] = {"required": [field], "properties": {field: {"not": {"type": "null"}}}}
    return {
        "if": {"properties": {"type": {"const": event_type}}, "required": ["type"]},
        "then": present if required else {},
        "else": {"properties": {field: {"type": "null"}}},
    }


_EVENT: Final[dict[str, JsonValue]] = {
    "type": "responded",
    "actor": "ruth.adeyemi",
    "event_id": "note-77",
    "occurred_at": "2026-06-08T12:10:00Z",
}
_TICKET: Final[dict[str, JsonValue]] = {
    "source": "connectwise",
    "external_id": "SR-1042",
    "severity": 3,
    "summary": "Mail is down",
    "affected_services": ["Email"],
    "contact": {"name": "Ada Byron", "email": "ada@acme.example"},
    "customer": {"id": "acme", "name": "Acme"},
    "impact": {"business_risk": "major", "users_affected_percent": 40},
}


# docs/rules.md#1-8
class ContactRequest(RequestModel):
    """The person most familiar with the issue: a name, and an e-mail address or a phone number."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [_has_text("email"), _has_text("phone")]}  # as `require_address` does
    )

    name: RequiredText
    phone: Text | None = None
    email: Text | None = Field(default=None, validate_default=True)

    @field_validator("email")
    @classmethod
    def require_address(cls, email: str | None, info: ValidationInfo) -> str | None:
        if email is None and info.data.get("phone", "") is None:
            raise ValueError("an e-mail address or a phone number is required")
        return email


class CustomerRequest(RequestModel):
    id: RequiredText
    name: RequiredText


# docs/rules.md#1-4
class ImpactRequest(RequestModel):
    """The criteria of the severity matrix; any may be missing."""

    business_risk: Literal["catastrophic", "major", "moderate", "minimal"] | None = None
    work_stoppage: Literal["full", "significant", "some", "minor"] | None = None
    users_affected_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    workaround: Literal["none", "semi_acceptable", "acceptable"] | None = None


class EventRequest(RequestModel):
    """One event of an existing ticket."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                _only_for("severity_changed", "severity", required=True),
                _only_for("resolved", "resolution_kind", required=False),
            ],
            "examples": [_EVENT],
        }
    )

    type: EventType
    occurred_at: RequestInstant | None = Field(None, description="When it occurred; the receipt if omitted or later")
    actor: RequiredText
    event_id: Text | None = Field(None, description="Makes it count once within the ticket; generated if omitted")
    severity: SeverityInput | None = Field(
        None, validate_default=True, description="The new severity; only for severity_changed"
    )
    reason: Text | None = None
    resolution_kind: Literal["resolved", "workaround"] | None = Field(
        None, validate_default=True, description="Only for resolved; resolved if omitted"
    )

    @field_validator("severity")
    @classmethod
    def check_severity(cls, severity: int | None, info: ValidationInfo) -> int | None:
        event_type = info.data.get("type")
        if severity is None and event_type == "severity_changed":
            raise ValueError("is required by severity_changed")
        if severity is not None and event_type not in (None, "severity_changed"):
            raise ValueError("is only for severity_changed")
        return severity

    @field_validator("resolution_kind")
    @classmethod
    def check_resolution_kind(cls, kind: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("type") == "resolved":
            return kind or "resolved"
        if kind is not None and "type" in info.data:
            raise ValueError("is only for resolved")
        return kind


# docs/rules.md#1-9
class TicketRequest(RequestModel):
    """A ticket as a PSA tool posts it.

    The severity may be omitted only if the policy states a default for the source.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_TICKET]})

    source: RequiredText
    external_id: RequiredText
    opened_at: RequestInstant | None = Field(None, description="When it was submitted; the receipt if omitted or later")
    severity: SeverityInput | None = Field(None, validate_default=True, description="The customer's initial severity")
    summary: RequiredText
    description: Text | None = None
    affected_services: Annotated[
        tuple[Annotated[RequiredText, AfterValidator(reject_blank)], ...],
        Strict(False),
        Field(max_length=MAX_LIST_LENGTH, json_schema_extra={"minItems": 1}),
        AfterValidator(_reject_empty),
    ]
    contact: ContactRequest
    customer: CustomerRequest
    channel: Channel = "portal"
    category: Category = "incident"
    via: Mailbox = "support"
    sender_is_it_contact: bool = Field(False, description="Whether the customer's own IT contact wrote")
    starts_at: RequestInstant | None = Field(None, description="When an onboarding or a project starts")
    impact: ImpactRequest | None = None

    @field_validator("severity")
    @classmethod
    def require_severity(cls, severity: int | None, info: ValidationInfo) -> int | None:
        # The context is set by `validate_request`.
        defaults: Mapping[str, int] = (info.context or {}).get("default_severities", {})
        if severity is None and info.data.get("source") not in defaults:
            raise ValueError("the initial severity, 1 to 4, is required")
        return severity


class BatchItemRequest(TicketRequest):
    """One ticket of a batch, with its events so far."""

    events: Annotated[tuple[EventRequest, ...], Strict(False), Field(max_length=MAX_LIST_LENGTH)] = ()
    history: bool = Field(False, description="Deadlines before the receipt are reported but notify nobody")

    @property
    def imported(self) -> bool:
        """Whether the ticket and its events are published as one event."""
        return self.history or bool(self.events)


class DerivedTicketRequest(BatchItemRequest):
    """A ticket derived from a webhook delivery or a mail instead of being posted.

    `opened_by` is who opened it, if known. `default_flags` name the defaults that replaced missing fields.
    """

    opened_by: Text | None = None
    default_flags: tuple[Flag, ...] = ()


class BatchRequest(RequestModel):
    """Up to 500 tickets. They are not validated here, so that an invalid one never affects the others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tickets": [{**_TICKET, "events": [_EVENT]}]}]})

    tickets: Annotated[
        tuple[Annotated[BatchItemRequest, SkipValidation], ...], Strict(False), Field(max_length=MAX_LIST_LENGTH)
    ]
