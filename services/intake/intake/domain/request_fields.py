"""The objects inside the bodies of POST requests: contact, customer, assignee, impact. Pure."""

from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue, ValidationInfo, WithJsonSchema, field_validator
from tocsin.characters import clean_line
from tocsin.email_address import MAX_EMAIL_LENGTH, is_usable_email
from tocsin.events import Assignee, BusinessRisk, Impact, Workaround, WorkStoppage

from intake.domain.schema_base import BLANK, MAX_STRING_LENGTH, Line, RequestModel, RequiredId, RequiredLine, checked


def _has_text(field: str) -> dict[str, JsonValue]:
    """The JSON Schema of an object in which this field is not blank."""
    return {"required": [field], "properties": {field: {"type": "string", "pattern": f"[^{BLANK}]"}}}


def _check_email(email: str) -> str:
    if not is_usable_email(email):  # has a control character, among others
        raise ValueError("must be an e-mail address such as ada@acme.example")
    return email


Email = Annotated[
    str,
    Field(max_length=MAX_STRING_LENGTH),
    checked(_check_email, clean_line),
    # A blank one is absent.
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [{"format": "email", "maxLength": MAX_EMAIL_LENGTH}, {"pattern": f"^[{BLANK}]*$"}],
        }
    ),
]
"""An e-mail address. It must be usable in a request that a caller posted."""


# docs/rules.md#1-8
class ContactRequest(RequestModel):
    """The person most familiar with the issue: a name, and an e-mail address or a phone number."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [_has_text("email"), _has_text("phone")]}  # as `require_address` does
    )

    name: RequiredLine
    phone: Line | None = None
    email: Email | None = Field(default=None, validate_default=True)

    @field_validator("email")
    @classmethod
    def require_address(cls, email: str | None, info: ValidationInfo) -> str | None:
        if email is None and info.data.get("phone", "") is None:
            raise ValueError("an e-mail address or a phone number is required")
        return email


class CustomerRequest(RequestModel):
    id: RequiredId
    name: RequiredLine


class AssigneeRequest(RequestModel):
    """The person on our side who works on the ticket."""

    name: RequiredLine
    email: Email | None = None

    @field_validator("email")
    @classmethod
    def drop_unusable(cls, email: str | None) -> str | None:
        """An unusable address from a webhook is dropped: the name alone says who works on the ticket."""
        return email if email is not None and is_usable_email(email) else None

    def to_assignee(self) -> Assignee:
        return Assignee.model_validate(self.model_dump())


# docs/rules.md#1-4
class ImpactRequest(RequestModel):
    """The criteria of the severity matrix; any may be missing."""

    business_risk: BusinessRisk | None = None
    work_stoppage: WorkStoppage | None = None
    users_affected_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    workaround: Workaround | None = None

    def to_impact(self) -> Impact:
        return Impact.model_validate(self.model_dump())
