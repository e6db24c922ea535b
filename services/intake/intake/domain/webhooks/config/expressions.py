"""How the generic adapter reads a payload: JMESPath expressions, in the `generic` section of an integration. Pure."""

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
        message = f"`{expression[:60]}` is no JMESPath expression; write it like issue.fields.status.name"
        raise ValueError(message) from None
    return expression


Expression = Annotated[
    str, Field(min_length=1, max_length=500, examples=["issue.fields.status.name"]), AfterValidator(_compiles)
]
_SAMPLE: Final = datetime(2026, 11, 28, 15, 47, 39, tzinfo=UTC)  # no two of its parts could be taken for each other


def _tells_the_minute(form: str) -> str:
    if form not in ("iso", "unix", "unix_ms"):
        try:
            told = datetime.strptime(_SAMPLE.strftime(form), form).replace(second=39, microsecond=0, tzinfo=UTC)
        except ValueError:
            told = None
        if told != _SAMPLE:
            message = f"`{form}` tells no day and minute; write iso, unix, unix_ms, or a format like %d/%m/%Y %H:%M"
            raise ValueError(message)
    return form


InstantFormat = Annotated[str, Field(min_length=2, max_length=60, examples=["iso"]), AfterValidator(_tells_the_minute)]


class GenericMapping(YamlModel):
    """Where a payload says what of a ticket. Every field but the last two is an expression.

    `tickets` is where the ticket is, or the list of them; the payload itself if left out. `key`, `when` and `about` are
    read from the payload: `key` is the delivery's own identity, `when` is false where it holds no ticket, and `about`
    tells what that one concerns. All others are read from each of `tickets`.
    actions: what the words of `action` mean. instants: how instants are written, the first that fits: `iso`, `unix`
    (seconds), `unix_ms`, or a strptime format such as `%d/%m/%Y %H:%M`.
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
    actor: Expression | None = None

    actions: dict[Name, Literal["created", "updated", "deleted"]] = Field(default_factory=dict)
    instants: Annotated[tuple[InstantFormat, ...], Field(min_length=1, max_length=5)] = ("iso",)
