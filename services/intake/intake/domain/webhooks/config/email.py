"""The `email` section of integrations.yaml: how mails to the two mailboxes become tickets. Pure."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from tocsin.events import Category, Severity
from tocsin.yaml_document import Duration, FieldPath, Name, YamlModel, field_errors

from intake.domain.webhooks.config.auth import Auth, problem_with
from intake.domain.webhooks.config.customer import KnownCustomer


def _lower(text: str) -> str:
    return text.lower()


Domain = Annotated[
    str, Field(pattern=r"^[^\s@]+\.[^\s@]+$", max_length=189, examples=["acme.example"]), AfterValidator(_lower)
]
MailAddress = Annotated[
    str, Field(pattern=r"^[^\s@]+@[^\s@]+$", max_length=254, examples=["it@acme.example"]), AfterValidator(_lower)
]


# docs/rules.md#6-4
class EmailCustomer(KnownCustomer):
    """A customer, recognised by the domains and addresses of its mails.

    it_contacts: the addresses that may use Escalations@. services: the affected services of its mails; those of the
    section if omitted.
    """

    domains: tuple[Domain, ...] = ()
    addresses: tuple[MailAddress, ...] = ()
    it_contacts: tuple[MailAddress, ...] = ()
    services: tuple[Name, ...] = ()


class SubjectRule(YamlModel):
    """The severity, the category or both of mails whose subject contains a text; case is ignored."""

    contains: Name
    severity: Severity | None = None
    category: Category | None = None


# docs/rules.md#6-20
class EmailConfig(YamlModel):
    """How the mails of one tenant become tickets.

    ours: domains of our own staff, whose reply to a customer is a response. severity, services: defaults for a mail,
    flagged on the ticket. customer: the customer for mails of unknown senders; without it they are stored as unmapped.
    support_category, escalations_category: the category if no rule of `subjects` matches; the second one only for the
    customer's IT contact. reopen_within: how long after closing a reply reopens a ticket; later it opens a new one.
    sources: the tools whose ticket ids may appear in square brackets in a subject. authserv: the name that our own mail
    server writes into Authentication-Results; with it, a sender that did not pass DMARC is unknown.
    """

    auth: Auth | None = None
    ours: tuple[Domain, ...] = ()
    customers: tuple[EmailCustomer, ...] = ()
    customer: KnownCustomer | None = None
    severity: Severity
    services: Annotated[tuple[Name, ...], Field(min_length=1)]
    support_category: Category = "incident"
    escalations_category: Category = "mishandled_request"
    subjects: tuple[SubjectRule, ...] = ()
    reopen_within: Duration = Duration("14d")
    sources: tuple[Name, ...] = ()
    authserv: Name | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if found := list(self._problems()):
            raise field_errors(found)
        return self

    def _problems(self) -> Iterator[tuple[FieldPath, object, str]]:
        # The same two methods as for HaloPSA: Basic with a user, Bearer without.
        if self.auth is not None and (wrong := problem_with(self.auth, "halopsa")):
            yield ("auth", wrong[0]), None, wrong[1].replace("the adapter halopsa", "mail")
        if self.reopen_within.business:
            yield ("reopen_within",), str(self.reopen_within), "must not be business time; write it like 14d"
        owners: dict[str, str] = {}
        for index, customer in enumerate(self.customers):
            for field in ("domains", "addresses"):
                for word in getattr(customer, field):
                    if owners.setdefault(word, customer.id) != customer.id:
                        message = f"`{word}` also belongs to the customer {owners[word]}; keep one of them"
                        yield ("customers", index, field), word, message
