"""The `email` section of integrations.yaml: how mails to the two mailboxes become tickets. Pure."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from tocsin.email_address import comparable_domain, comparable_email
from tocsin.events import BusinessRisk, Category, Mailbox, Severity, Workaround, WorkStoppage
from tocsin.yaml_document import Duration, FieldPath, Name, YamlModel, field_errors

from intake.domain.webhooks.config.auth import Auth, problem_with
from intake.domain.webhooks.config.people import KnownAssignee, KnownCustomer
from intake.domain.words import fold_text


def _comparable(address_or_domain: str) -> str:
    return comparable_email(address_or_domain) if "@" in address_or_domain else comparable_domain(address_or_domain)


Domain = Annotated[
    str,
    Field(pattern=r"^[^\s@]+\.[^\s@]+$", max_length=189, examples=["acme.example"]),
    AfterValidator(comparable_domain),
]
MailAddress = Annotated[
    str,
    Field(pattern=r"^[^\s@]+@[^\s@]+$", max_length=254, examples=["it@acme.example"]),
    AfterValidator(comparable_email),
]
AddressOrDomain = Annotated[
    str,
    Field(pattern=r"^([^\s@]+@[^\s@]+|[^\s@]+\.[^\s@]+)$", max_length=254, examples=["alerts@rmm.example"]),
    AfterValidator(_comparable),
]


# docs/rules.md#6-4
class EmailCustomer(KnownCustomer):
    """A customer, recognised by the domains and addresses of its mails.

    subdomains: whether the subdomains of `domains` belong to the customer too. services: the affected services of its
    mails; those of the section if omitted. it_contacts: addresses of the customer's IT contacts, besides those in
    `it_contacts` of the file.
    """

    domains: tuple[Domain, ...] = ()
    subdomains: bool = False
    addresses: tuple[MailAddress, ...] = ()
    services: tuple[Name, ...] = ()
    it_contacts: tuple[MailAddress, ...] = ()


# docs/rules.md#1-3
class RuleImpact(YamlModel):
    """The criteria of the severity matrix that a mail states."""

    business_risk: BusinessRisk | None = None
    work_stoppage: WorkStoppage | None = None
    users_affected_percent: Annotated[float, Field(ge=0, le=100, strict=False)] | None = None
    workaround: Workaround | None = None


class SubjectRule(YamlModel):
    """A rule for mails whose subject contains one of these words or phrases.

    Case and accents are ignored, and only whole words match; `*` at the end stands for any ending (`phish*`). in_text:
    also search the mail's own text, without quoted text. severity, category, impact: what a matching mail states; for
    each of them, the first matching rule that has it counts.
    """

    contains: Annotated[tuple[Name, ...], Field(min_length=1, examples=["[malware, phish*]"])]
    in_text: bool = False
    severity: Severity | None = None
    category: Category | None = None
    impact: RuleImpact = Field(default_factory=RuleImpact)

    def matches(self, subject: str, text: str) -> bool:
        """Whether the subject or, with `in_text`, the text contains one of the phrases."""
        searched = fold_text(f"{subject}\n{text}" if self.in_text else subject)
        return any(_pattern(phrase).search(searched) for phrase in self.contains)


def _domain_length(email: str, domains: tuple[str, ...], with_subdomains: bool) -> int:
    """The length of the longest of the domains that the address belongs to; 0 if there is none."""
    domain = comparable_email(email).rpartition("@")[2]
    found = (each for each in domains if domain == each or (with_subdomains and domain.endswith("." + each)))
    return max(map(len, found), default=0)


@lru_cache(maxsize=10_000)
def _pattern(phrase: str) -> re.Pattern[str]:
    folded = fold_text(phrase)
    stem = folded.removesuffix("*")
    start = r"(?<!\w)" if stem[:1].isalnum() else ""
    end = r"(?!\w)" if stem[-1:].isalnum() and stem == folded else ""
    return re.compile(start + re.escape(stem) + end)


# docs/rules.md#6-20
class EmailConfig(YamlModel):
    """How the mails of one tenant become tickets.

    ours: domains of our own staff, whose reply to a customer is a response. ours_subdomains: whether the subdomains of
    `ours` are ours too; of several listed domains, the longest counts. severity, services: defaults for a mail, flagged
    on the ticket. customer: the customer for mails of unknown senders; without it they are stored as unmapped.
    support_category, escalations_category: the category if no rule of `subjects` and `subject_rules` states one;
    escalations_category applies only to the customer's IT contact. assignees: who works on the tickets of a mailbox, if
    that is one person. reopen_within: how long after closing a reply reopens a ticket; later it opens a new one.
    sources: the tools whose ticket ids may appear in square brackets in a subject; in the mails of a ticket's own
    contact, the id may be of any tool. authserv: the name that our own mail server writes into Authentication-Results;
    with it, a sender that did not pass DMARC is unknown. allow_automatic: addresses and domains of machines, such as
    monitoring, whose automatic mails open tickets.
    """

    auth: Auth | None = None
    ours: tuple[Domain, ...] = ()
    ours_subdomains: bool = False
    customers: tuple[EmailCustomer, ...] = ()
    customer: KnownCustomer | None = None
    severity: Severity
    services: Annotated[tuple[Name, ...], Field(min_length=1)]
    support_category: Category = "incident"
    escalations_category: Category = "user_request"
    assignees: dict[Mailbox, KnownAssignee] = Field(default_factory=dict)
    subjects: tuple[SubjectRule, ...] = ()
    reopen_within: Duration = Duration("14d")
    sources: tuple[Name, ...] = ()
    authserv: Name | None = None
    allow_automatic: tuple[AddressOrDomain, ...] = ()

    # docs/rules.md#6-27
    def allows_automatic(self, address: str) -> bool:
        """Whether the automatic mails of this address, in lower case, may be requests."""
        return address in self.allow_automatic or address.rpartition("@")[2] in self.allow_automatic

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if found := list(self._problems()):
            raise field_errors(found)
        return self

    def is_ours(self, email: str) -> bool:
        """Whether this is an address of our own staff (docs/rules.md#6-24)."""
        own = _domain_length(email, self.ours, self.ours_subdomains)
        # A customer may have a subdomain of ours.
        return own > 0 and all(own >= _domain_length(email, each.domains, each.subdomains) for each in self.customers)

    def customer_of(self, email: str) -> EmailCustomer | None:
        """The customer of an address: by the address itself, or else by its domain."""
        comparable = comparable_email(email)
        if by_address := next((each for each in self.customers if comparable in each.addresses), None):
            return by_address
        lengths = [(_domain_length(email, each.domains, each.subdomains), each) for each in self.customers]
        length, customer = max(lengths, key=lambda found: found[0], default=(0, None))
        return customer if length else None

    def _problems(self) -> Iterator[tuple[FieldPath, object, str]]:
        if self.auth is not None and (wrong := problem_with(self.auth, "mail")):
            yield ("auth", wrong[0]), None, wrong[1]
        if self.reopen_within.business:
            yield ("reopen_within",), str(self.reopen_within), "must not be business time; write it like 14d"
        owners: dict[str, str] = {}
        for index, customer in enumerate(self.customers):
            for field in ("domains", "addresses"):
                for word in getattr(customer, field):
                    if owners.setdefault(word, customer.id) != customer.id:
                        message = f"`{word}` also belongs to the customer {owners[word]}; keep one of them"
                        yield ("customers", index, field), word, message
