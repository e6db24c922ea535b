"""integrations.yaml: which tools may post to which tenant, and how their words are mapped. Pure.

The tool's words (statuses, priorities, queues ...) are compared without case and surrounding white space. A number is
compared as text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from tocsin.events import BusinessRisk, Category, Channel, Mailbox, Severity, Workaround, WorkStoppage
from tocsin.instants import Instant
from tocsin.yaml_document import FieldPath, Name, YamlModel, Zone, field_error, field_errors, load_document

from intake.domain.webhooks.config.auth import Auth, problem_with
from intake.domain.webhooks.config.email import EmailConfig, SubjectRule
from intake.domain.webhooks.config.expressions import GenericMapping
from intake.domain.webhooks.config.people import KnownAssignee, KnownCustomer
from intake.domain.words import fold_word
from intake.errors import IntegrationsError

AdapterName = Literal["connectwise", "autotask", "halopsa", "generic"]
Status = Literal[
    "new", "in_progress", "responded", "waiting_customer", "resolved", "workaround", "cancelled", "ignored"
]
"""The meaning of a tool's status.

new, in_progress: open; says nothing about a response. responded: open, and a human has responded to the customer.
waiting_customer: the same, and the ticket waits for the customer (paused). resolved, workaround, cancelled: closed.
ignored: says nothing.
"""

_PROVIDER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")


def _in_a_path(provider: str) -> str:
    if not _PROVIDER.fullmatch(provider):
        message = (
            f"`{provider[:60]}` is not valid in a path; write up to 50 of a-z, 0-9, - and _, a letter or digit first"
        )
        raise ValueError(message)
    return provider


Provider = Annotated[
    str,
    AfterValidator(_in_a_path),
    Field(json_schema_extra={"pattern": f"^{_PROVIDER.pattern}$"}, examples=["connectwise"]),
]
_WORDS: Final = (
    *("statuses", "priorities", "types", "channels", "mailboxes", "it_contact_words", "customers", "assignees"),
    *("services",),
)
_CRITERIA: Final = ("business_risk", "work_stoppage", "users_affected_percent", "workaround")

MappedField = Literal[
    "contact_name",
    "contact_email",
    "contact_phone",
    "services",
    "type",
    "via",
    "it_contact",
    "starts_at",
    "business_risk",
    "work_stoppage",
    "users_affected_percent",
    "workaround",
    "assignee_id",
    "assignee_name",
    "assignee_email",
]
"""The fields of a ticket that `fields` can read from a field of the tool."""

Percent = Annotated[float, Field(ge=0, le=100, strict=False)]


# docs/rules.md#1-8
class DefaultContact(YamlModel):
    """The contact if the tool sends none: a name, and an e-mail address or a phone number."""

    name: Name
    email: Name | None = None
    phone: Name | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.email is None and self.phone is None:
            raise field_error(("email",), None, "is missing; write an e-mail address or a phone number")
        return self


class Defaults(YamlModel):
    """Defaults for mandatory fields that the tool does not send; a flag of the ticket names each default used.

    Without a default, the delivery is stored as unmapped. `opened_at: first_seen` opens a ticket without an opening
    time at its first delivery, for tools that send no instants at all. `category` and `channel` are also the defaults
    for words that `types` and `channels` do not list.
    """

    severity: Severity | None = None
    services: tuple[Name, ...] = ()
    contact: DefaultContact | None = None
    customer: KnownCustomer | None = None
    summary: Name | None = None
    opened_at: Literal["first_seen"] | None = None
    category: Category = "incident"
    channel: Channel = "portal"


# docs/rules.md#1-3
class ImpactWords(YamlModel):
    """The criteria of the severity matrix by the tool's words; a word that is not listed states nothing.

    users_affected_percent: words such as `One department: 20`; a number that is not listed is the percentage itself.
    """

    business_risk: dict[Name, BusinessRisk] = Field(default_factory=dict)
    work_stoppage: dict[Name, WorkStoppage] = Field(default_factory=dict)
    users_affected_percent: dict[Name, Percent] = Field(default_factory=dict)
    workaround: dict[Name, Workaround] = Field(default_factory=dict)


class Integration(YamlModel):
    """One tool of one tenant.

    source: the `source` of its tickets; the provider's name if omitted. live_since: tickets opened earlier are history,
    which mails nobody; if omitted, the time at which the file with this integration was written. zone: the time zone of
    instants without an offset. queues: the boards or queues whose tickets are processed; all if omitted. services,
    customers: our names for those of the tool; names that are not listed stay as they are. fields: the tool's field for
    one of ours: a standard field (`owner.name`), or the label of a custom field; it replaces the one that the adapter
    reads. mailboxes: the words of `via`. it_contact_words: which words of `it_contact` mean the customer's IT contact.
    impact: the words of each criterion. assignees: our people by the tool's name or number for them. unassigned: words
    in place of an assignee that mean nobody. generic: how the generic adapter reads a payload.
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
    fields: Annotated[dict[MappedField, Name], Field(examples=["{starts_at: Start date}"])] = Field(
        default_factory=dict
    )
    mailboxes: dict[Name, Mailbox] = Field(default_factory=dict)
    it_contact_words: dict[Name, bool] = Field(
        default_factory=lambda: {"true": True, "yes": True, "false": False, "no": False}
    )
    impact: ImpactWords = ImpactWords()
    assignees: dict[Name, KnownAssignee] = Field(default_factory=dict)
    unassigned: tuple[Name, ...] = ()
    defaults: Defaults = Defaults()
    generic: GenericMapping | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if found := list(self._problems()):
            raise field_errors(found)
        return self

    def _problems(self) -> Iterator[tuple[FieldPath, object, str]]:
        if self.adapter == "generic" and self.generic is None:
            yield ("generic",), None, "is missing; write how the payload is read, for example `external_id: ticket.id`"
        if self.adapter != "generic" and self.generic is not None:
            yield (
                ("generic",),
                None,
                f"is not supported by the adapter {self.adapter}; remove it, or write adapter: generic",
            )
        if self.adapter == "generic" and self.fields:
            yield ("fields",), None, "is not supported by the adapter generic; write the expressions under `generic`"
        if wrong := problem_with(self.auth, self.adapter):
            yield ("auth", wrong[0]), None, wrong[1]
        if not self.priorities and self.defaults.severity is None:
            yield ("priorities",), None, "is missing; write the severity of each priority, or defaults: severity"
        words: list[tuple[FieldPath, Mapping[str, object]]] = [((field,), getattr(self, field)) for field in _WORDS]
        words += [(("impact", criterion), getattr(self.impact, criterion)) for criterion in _CRITERIA]
        for path, meanings in words:
            seen: dict[str, str] = {}
            for word in meanings:
                if fold_word(word) in seen:
                    message = f"differs from `{seen[fold_word(word)]}` only in case; keep one of them"
                    yield (*path, word), None, message
                seen[fold_word(word)] = word


class Integrations(YamlModel):
    """All integrations, by tenant and by the provider in `POST /v1/hooks/{provider}/{tenant}`.

    email: by tenant, how mails to the two mailboxes become tickets (`POST /v1/hooks/email/{tenant}`). subject_rules:
    what the subjects of new mails of IT contacts to Escalations@ mean; the tenant's own `subjects` come first.
    it_contacts: by tenant and customer id, the names or mail addresses of the customer's IT contacts, for webhooks and
    mails alike; those listed with a customer under `email` count as well.
    """

    version: Annotated[Name, Field(examples=["2026-1"])]
    tenants: dict[Name, dict[Provider, Integration]]
    email: dict[Name, EmailConfig] = Field(default_factory=dict)
    subject_rules: tuple[SubjectRule, ...] = ()
    it_contacts: Annotated[
        dict[Name, dict[Name, tuple[Name, ...]]], Field(examples=["{default: {acme: [it@acme.example]}}"])
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _mails_have_their_own_path(self) -> Self:
        named = [tenant for tenant, providers in self.tenants.items() if "email" in providers]
        if named:
            message = "is reserved for mails; use another name for the tool"
            raise field_errors([(("tenants", tenant, "email"), None, message) for tenant in named])
        return self

    def find(self, tenant: str, provider: str) -> Integration | None:
        """The integration of that path, or None."""
        return self.tenants.get(tenant, {}).get(provider)

    def find_email(self, tenant: str) -> "MailIntegration | None":
        """How the tenant's mails become tickets, or None."""
        config = self.email.get(tenant)
        return MailIntegration(config, self.subject_rules, self.it_contacts_of(tenant)) if config is not None else None

    def it_contacts_of(self, tenant: str) -> "ItContacts":
        """The IT contacts of the tenant's customers, wherever they are listed."""
        email = self.email.get(tenant)
        found: dict[str, tuple[str, ...]] = dict(self.it_contacts.get(tenant, {}))
        for customer in email.customers if email is not None else ():
            found[customer.id] = (*found.get(customer.id, ()), *customer.it_contacts)
        return ItContacts(found)


# docs/rules.md#6-4
@dataclass(frozen=True, slots=True)
class ItContacts:
    """The names and mail addresses of the IT contacts of customers, by customer id."""

    by_customer: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def include(self, customer_id: str, *words: str | None) -> bool:
        """Whether one of the words, a name or a mail address, is an IT contact of that customer."""
        known = {fold_word(word) for word in self.by_customer.get(customer_id, ())}
        return any(fold_word(word) in known for word in words if word)


@dataclass(frozen=True, slots=True)
class MailIntegration:
    """The `email` section of a tenant, with what the file says for all tenants and for webhooks too."""

    config: EmailConfig
    subject_rules: Sequence[SubjectRule] = ()
    it_contacts: ItContacts = field(default_factory=ItContacts)


NO_IT_CONTACTS: Final = ItContacts()


def load_integrations(text: str, name: str) -> Integrations:
    """The integrations in the YAML `text`; errors refer to it as `name`.

    Raises IntegrationsError with one line `FILE:LINE: FIELD: what is wrong; how to fix it` per mistake.
    """
    return load_document(text, name, Integrations, IntegrationsError)
