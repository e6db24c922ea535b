"""integrations.yaml: which tools may post to which tenant, and what their words mean here. Pure.

The tool's words (statuses, priorities, queues ...) are compared without regard to case and surrounding blanks; a number
is the word that it is written as.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from tocsin.events import Category, Channel, Severity
from tocsin.instants import Instant
from tocsin.yaml_document import (
    DocumentError,
    FieldPath,
    Name,
    YamlModel,
    Zone,
    field_error,
    field_errors,
    load_document,
)

from intake.domain.webhooks.config.auth import Auth, problem_with
from intake.domain.webhooks.config.customer import KnownCustomer as KnownCustomer
from intake.domain.webhooks.config.email import EmailConfig
from intake.domain.webhooks.config.expressions import GenericMapping

AdapterName = Literal["connectwise", "autotask", "halopsa", "generic"]
Status = Literal[
    "new", "in_progress", "responded", "waiting_customer", "resolved", "workaround", "cancelled", "ignored"
]
"""What a tool's status says of a ticket.

new, in_progress: it is open, and nothing is said of an answer. responded: open, and a human has answered the customer.
waiting_customer: the same, and it waits for the customer (paused). resolved, workaround, cancelled: it is closed.
ignored: nothing at all is said.
"""

_PROVIDER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")


def _in_a_path(provider: str) -> str:
    if not _PROVIDER.fullmatch(provider):
        message = (
            f"`{provider[:60]}` cannot stand in the hook's path; write a-z, 0-9, - and _, no mark first, 50 at most"
        )
        raise ValueError(message)
    return provider


Provider = Annotated[
    str,
    AfterValidator(_in_a_path),
    Field(json_schema_extra={"pattern": f"^{_PROVIDER.pattern}$"}, examples=["connectwise"]),
]
Words: Final = ("statuses", "priorities", "types", "channels", "customers")


class IntegrationsError(DocumentError):
    """The integrations are refused; a line of the message for each thing that is wrong."""


class DefaultContact(YamlModel):
    """Who stands in where the tool names no contact: a name, and an e-mail address or a phone number (RULES 1)."""

    name: Name
    email: Name | None = None
    phone: Name | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.email is None and self.phone is None:
            raise field_error(("email",), None, "is missing; state an e-mail address or a phone number")
        return self


class Defaults(YamlModel):
    """What stands in for mandatory fields that the tool leaves out. A ticket that needed one says so by a flag.

    Without one, such a ticket is kept as an unmapped webhook. `opened_at: first_seen` opens a ticket, of which nothing
    says when it was opened, when it is first heard of: for tools that give no instants at all. `category` and
    `channel` also stand in for words that `types` and `channels` do not know.
    """

    severity: Severity | None = None
    services: tuple[Name, ...] = ()
    contact: DefaultContact | None = None
    customer: KnownCustomer | None = None
    summary: Name | None = None
    opened_at: Literal["first_seen"] | None = None
    category: Category = "incident"
    channel: Channel = "portal"


class Integration(YamlModel):
    """One tool of one tenant.

    source: what its tickets' `source` is; the provider's name if left out. live_since: tickets opened before come in as
    history, which mails nobody; when this file was written with it if left out. zone: of instants without one.
    queues: the boards or queues whose tickets count, all if left out; others are ignored. services, customers: our name
    for the tool's; what is not listed keeps its own. generic: how the generic adapter reads a payload.
    """

    adapter: AdapterName
    auth: Auth
    source: Name | None = None
    live_since: Annotated[Instant | None, Field(examples=["2026-06-08T00:00:00Z"])] = None
    zone: Zone = "UTC"
    statuses: Annotated[dict[Name, Status], Field(min_length=1, examples=["{New: new, Closed: resolved}"])]
    priorities: dict[Name, Severity] = Field(default_factory=dict)
    queues: tuple[Name, ...] | None = None
    types: dict[Name, Category] = Field(default_factory=dict)
    channels: dict[Name, Channel] = Field(default_factory=dict)
    services: dict[Name, Name] = Field(default_factory=dict)
    customers: dict[Name, KnownCustomer] = Field(default_factory=dict)
    defaults: Defaults = Defaults()
    generic: GenericMapping | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if found := list(self._problems()):
            raise field_errors(found)
        return self

    def _problems(self) -> Iterator[tuple[FieldPath, object, str]]:
        if self.adapter == "generic" and self.generic is None:
            yield ("generic",), None, "is missing; state how the payload is read, `external_id: ticket.id` first"
        if self.adapter != "generic" and self.generic is not None:
            yield ("generic",), None, f"is not for the adapter {self.adapter}; leave it out, or write adapter: generic"
        if wrong := problem_with(self.auth, self.adapter):
            yield ("auth", wrong[0]), None, wrong[1]
        if not self.priorities and self.defaults.severity is None:
            yield ("priorities",), None, "is missing; state the severity of each priority, or defaults: severity"
        for field in Words:
            seen: dict[str, str] = {}
            for word in getattr(self, field):
                if folded(word) in seen:
                    message = f"is the same as `{seen[folded(word)]}` without regard to case; keep one"
                    yield (field, word), None, message
                seen[folded(word)] = word


class Integrations(YamlModel):
    """All integrations: by tenant, and by the provider's name in `POST /v1/hooks/{provider}/{tenant}`.

    email: what mails to the two mailboxes mean, by tenant; they come in by `POST /v1/hooks/email/{tenant}`.
    """

    version: Annotated[Name, Field(examples=["2026-1"])]
    tenants: dict[Name, dict[Provider, Integration]]
    email: dict[Name, EmailConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _mails_have_their_own_path(self) -> Self:
        named = [tenant for tenant, providers in self.tenants.items() if "email" in providers]
        if named:
            message = "is the path of mails; call the tool something else"
            raise field_errors([(("tenants", tenant, "email"), None, message) for tenant in named])
        return self

    def find(self, tenant: str, provider: str) -> Integration | None:
        """The integration behind that path, or None."""
        return self.tenants.get(tenant, {}).get(provider)


def folded(word: str) -> str:
    """A tool's word as words are compared."""
    return word.strip().casefold()


def meaning(words: Mapping[str, Any], word: str) -> Any:
    """What the word means, or None where nobody said."""
    wanted = folded(word)
    return next((found for known, found in words.items() if folded(known) == wanted), None)


def load_integrations(text: str, name: str) -> Integrations:
    """The integrations written in the YAML `text`; `name` is what errors call it.

    Raises IntegrationsError: `FILE:LINE: FIELD: what is wrong; what would be right`, one line an error.
    """
    return load_document(text, name, Integrations, IntegrationsError)
