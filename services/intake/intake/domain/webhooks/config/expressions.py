"""How the generic adapter reads a payload: the `generic` section of an integration. Pure."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field
from tocsin.yaml_document import Name, YamlModel


def _compiles(expression: str) -> str:
    try:
        jmespath.compile(expression)
    except JMESPathError:
        message = f"`{expression[:60]}` is not a JMESPath expression; write it like issue.fields.status.name"
        raise ValueError(message) from None
    return expression


Expression = Annotated[
    str, Field(min_length=1, max_length=500, examples=["issue.fields.status.name"]), AfterValidator(_compiles)
]
_SAMPLE: Final = datetime(2026, 11, 28, 15, 47, 39, tzinfo=UTC)  # all its parts differ


def _has_day_and_minute(form: str) -> str:
    if form not in ("iso", "unix", "unix_ms"):
        try:
            parsed = datetime.strptime(_SAMPLE.strftime(form), form).replace(second=39, microsecond=0, tzinfo=UTC)
        except ValueError:
            parsed = None
        if parsed != _SAMPLE:
            message = f"`{form}` lacks the day or the minute; write iso, unix, unix_ms, or a format like %d/%m/%Y %H:%M"
            raise ValueError(message)
    return form


InstantFormat = Annotated[
    str, Field(min_length=2, max_length=60, examples=["iso"]), AfterValidator(_has_day_and_minute)
]


class GenericMapping(YamlModel):
    """JMESPath expressions that find the fields of a ticket in a payload.

    `tickets` finds the ticket or the list of tickets; the payload itself if omitted. `key`, `when` and `about` are
    evaluated on the payload: `key` is the identity of the delivery, `when` is false if the delivery has no ticket, and
    `about` is the subject of such a delivery. All others are evaluated on each ticket.
    actions: the meaning of the values of `action`. instants: the formats of instants, of which the first that matches
    is used: `iso`, `unix` (seconds), `unix_ms`, or a strptime format such as `%d/%m/%Y %H:%M`.
    """

    tickets: Expression = "@"
    key: Expression | None = None
    when: Expression | None = None
    about: Expression | None = None

    external_id: Expression
    action: Expression | None = None
    seen_at: Expression | None = None
    sequence: Expression | None = None
    opened_at: Expression | None = None
    responded_at: Expression | None = None
    resolved_at: Expression | None = None
    status: Expression | None = None
    priority: Expression | None = None
    queue: Expression | None = None
    type: Expression | None = None
    channel: Expression | None = None
    summary: Expression | None = None
    description: Expression | None = None
    customer_id: Expression | None = None
    customer_name: Expression | None = None
    contact_name: Expression | None = None
    contact_email: Expression | None = None
    contact_phone: Expression | None = None
    services: Expression | None = None
    via: Expression | None = None
    it_contact: Expression | None = None
    starts_at: Expression | None = None
    business_risk: Expression | None = None
    work_stoppage: Expression | None = None
    users_affected_percent: Expression | None = None
    workaround: Expression | None = None
    assignee_id: Expression | None = None
    assignee_name: Expression | None = None
    assignee_email: Expression | None = None
    actor: Expression | None = None

    actions: dict[Name, Literal["created", "updated", "deleted"]] = Field(default_factory=dict)
    instants: Annotated[tuple[InstantFormat, ...], Field(min_length=1, max_length=5)] = ("iso",)
    none_on: Annotated[tuple[Name, ...], Field(max_length=20, examples=["['2000-01-01', 'not yet']"])] = ()

    def means_no_date(self, text: str) -> bool:
        """Whether `none_on` lists the text, or the day that it begins with."""
        folded = text.casefold()
        day = re.split(r"(?<=\d)t(?=\d)|\s", folded, maxsplit=1)[0]
        return any(word.strip().casefold() in (folded, day) for word in self.none_on)
