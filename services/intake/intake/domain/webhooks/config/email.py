"""The `email` section of integrations.yaml: what mails to the two mailboxes mean for one tenant. Pure."""

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


class EmailCustomer(KnownCustomer):
    """A customer, and the mails that are theirs: those from its domains and addresses.

    it_contacts: who may use Escalations@ (RULES 6). services: what its mails are about, the section's own if left out.
    """

    domains: tuple[Domain, ...] = ()
    addresses: tuple[MailAddress, ...] = ()
    it_contacts: tuple[MailAddress, ...] = ()
    services: tuple[Name, ...] = ()


class SubjectRule(YamlModel):
    """What a subject that holds `contains` says, without regard to case: a severity, a category or both."""

    contains: Name
    severity: Severity | None = None
    category: Category | None = None


class EmailConfig(YamlModel):
    """How mails become tickets.

    ours: domains of our own people, whose answer to a customer is a response. severity, services: of a mail that says
    nothing, flagged as defaults. customer: whose mails from unknown senders are; without it they are kept as unmapped.
    support_category, escalations_category: what a mail is about where no rule of `subjects` fits; the second for the
    customer's IT contact only. reopen_within: how long after the end a reply reopens a ticket; later it is a new one.
    sources: the tools whose ticket ids may stand in a subject, in square brackets. authserv: the name under which our
    own mail server writes Authentication-Results; with it, a sender that did not pass DMARC is unknown.
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
        # The same two ways in as HaloPSA has: Basic with a user, Bearer without.
        if self.auth is not None and (wrong := problem_with(self.auth, "halopsa")):
            yield ("auth", wrong[0]), None, wrong[1].replace("the adapter halopsa", "mail")
        if self.reopen_within.business:
            yield ("reopen_within",), str(self.reopen_within), "is business time; write it like 14d"
        owners: dict[str, str] = {}
        for index, customer in enumerate(self.customers):
            for field in ("domains", "addresses"):
                for word in getattr(customer, field):
                    if owners.setdefault(word, customer.id) != customer.id:
                        message = f"`{word}` is the customer {owners[word]}'s as well; keep it with one of them"
                        yield ("customers", index, field), word, message
