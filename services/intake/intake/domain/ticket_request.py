"""The bodies of POST requests as models (docs/architecture.md#contracts). Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    SkipValidation,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)
from tocsin.events import Category, Channel, Flag, Mailbox, SeverityInput

from intake.domain.request_fields import AssigneeRequest, ContactRequest, CustomerRequest, ImpactRequest
from intake.domain.schema_base import (
    MAX_LIST_LENGTH,
    Block,
    Id,
    Line,
    RequestInstant,
    RequestModel,
    RequiredId,
    RequiredLine,
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
    "assessed",
    "assigned",
]
"""Every type of fact but the opening."""

R = TypeVar("R", bound=RequestModel)


def validate_request(model: type[R], body: object, default_severities: Mapping[str, int] | None = None) -> R:
    """The body that a caller posted as a request. `default_severities` are the policy's, by machine source.

    Addresses must be usable; a model that is built without this function accepts any text as the address of a contact
    (docs/rules.md#1-10). Raises pydantic's ValidationError, which names every missing or wrong field.
    """
    return model.model_validate(body, context={"default_severities": default_severities or {}})


def _reject_empty(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("must name at least one")
    return names


_FIELD_OWNERS: Final[Mapping[str, EventType]] = {
    "severity": "severity_changed",
    "impact": "assessed",
    "assignee": "assigned",
    "resolution_kind": "resolved",
}
"""The fields that only one type of event has, with that type."""


def _event_schema() -> list[JsonValue]:
    """The JSON Schema of the fields that only one type of event has."""
    present: dict[str, dict[str, JsonValue]] = {
        "severity": {"required": ["severity"], "properties": {"severity": {"not": {"type": "null"}}}},
        "impact": {"required": ["impact"], "properties": {"impact": {"not": {"type": "null"}}}},
        "assignee": {"required": ["assignee"]},
        "resolution_kind": {},
    }
    return [
        {
            "if": {"properties": {"type": {"const": event_type}}, "required": ["type"]},
            "then": present[field],
            "else": {"properties": {field: {"type": "null"}}},
        }
        for field, event_type in _FIELD_OWNERS.items()
    ]


_EVENT: Final[dict[str, JsonValue]] = {
    "type": "responded",
    "actor": "ruth.adeyemi",
    "event_id": "note-77",
    "occurred_at": "2026-06-08T12:10:00Z",
}
_ASSESSED: Final[dict[str, JsonValue]] = {
    "type": "assessed",
    "actor": "ruth.adeyemi",
    "impact": {"business_risk": "major", "users_affected_percent": 40},
}
_ASSIGNED: Final[dict[str, JsonValue]] = {
    "type": "assigned",
    "actor": "dispatcher",
    "assignee": {"name": "Ruth Adeyemi", "email": "ruth.adeyemi@msp.example"},
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
    "assignee": {"name": "Ruth Adeyemi", "email": "ruth.adeyemi@msp.example"},
}


class _NotStated:
    """Replaces the assignee of an `assigned` event that does not state one: null states nobody."""


class EventRequest(RequestModel):
    """One event of an existing ticket."""

    model_config = ConfigDict(json_schema_extra={"allOf": _event_schema(), "examples": [_EVENT, _ASSESSED, _ASSIGNED]})

    type: EventType
    occurred_at: RequestInstant | None = Field(None, description="When it occurred; the receipt if omitted or later")
    actor: RequiredLine
    event_id: Id | None = Field(None, description="Makes it count once within the ticket; generated if omitted")
    severity: SeverityInput | None = Field(
        None, validate_default=True, description="The new severity; only for severity_changed"
    )
    impact: ImpactRequest | None = Field(
        None, validate_default=True, description="The impact as known now; only for assessed"
    )
    assignee: AssigneeRequest | None = Field(
        None, description="Who works on the ticket from now on, null for nobody; only for assigned"
    )
    reason: Block | None = None
    resolution_kind: Literal["resolved", "workaround"] | None = Field(
        None, validate_default=True, description="Only for resolved; resolved if omitted"
    )

    @model_validator(mode="before")
    @classmethod
    def mark_missing_assignee(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("type") == "assigned" and "assignee" not in value:
            return {**value, "assignee": _NotStated()}
        return value

    @field_validator("assignee", mode="before")
    @classmethod
    def require_assignee(cls, value: Any) -> Any:
        if isinstance(value, _NotStated):
            raise ValueError("is required by assigned; null means nobody")
        return value

    @field_validator("severity", "impact", "assignee", "resolution_kind")
    @classmethod
    def check_owner(cls, value: Any, info: ValidationInfo) -> Any:
        owner, event_type = _FIELD_OWNERS[str(info.field_name)], info.data.get("type")
        if value is not None and event_type not in (None, owner):
            raise ValueError(f"is only for {owner}")
        if value is None and event_type == owner and owner in ("severity_changed", "assessed"):
            raise ValueError(f"is required by {owner}")
        return value

    @field_validator("resolution_kind")
    @classmethod
    def default_resolution_kind(cls, kind: str | None, info: ValidationInfo) -> str | None:
        return "resolved" if kind is None and info.data.get("type") == "resolved" else kind


# docs/rules.md#1-9
class TicketRequest(RequestModel):
    """A ticket as a PSA tool posts it.

    The severity may be omitted only if the policy states a default for the source.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_TICKET]})

    source: RequiredId
    external_id: RequiredId
    opened_at: RequestInstant | None = Field(None, description="When it was submitted; the receipt if omitted or later")
    severity: SeverityInput | None = Field(None, validate_default=True, description="The customer's initial severity")
    summary: RequiredLine
    description: Block | None = None
    affected_services: Annotated[
        tuple[Annotated[RequiredLine, AfterValidator(reject_blank)], ...],
        Strict(False),
        Field(max_length=MAX_LIST_LENGTH, json_schema_extra={"minItems": 1}),
        AfterValidator(_reject_empty),
    ]
    contact: ContactRequest
    customer: CustomerRequest
    assignee: AssigneeRequest | None = None
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

    `opened_by` is who opened it, if known. `states_category`: the category is stated, not a default. `default_flags`
    are the flags that only the source knows: the defaults that replaced missing fields, and an address not to be
    mailed.
    """

    opened_by: Line | None = None
    states_category: bool = True
    default_flags: tuple[Flag, ...] = ()


class BatchRequest(RequestModel):
    """Up to 500 tickets. They are not validated here, so that an invalid one never affects the others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tickets": [{**_TICKET, "events": [_EVENT]}]}]})

    tickets: Annotated[
        tuple[Annotated[BatchItemRequest, SkipValidation], ...], Strict(False), Field(max_length=MAX_LIST_LENGTH)
    ]
