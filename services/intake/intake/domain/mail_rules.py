"""The effect of a mail to the two mailboxes: a new ticket, or events on one (docs/rules.md#6-14). Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from tocsin.email_address import is_usable_email
from tocsin.events import Fact, Flag, Mailbox, ticket_id
from tocsin.policy import MailboxRule

from intake.domain.facts import history_of
from intake.domain.mail import AutomaticSign, EmailAddress, InboundMail, one_line, own_text, reference_of
from intake.domain.ticket_request import DerivedTicketRequest, EventRequest
from intake.domain.webhooks.config.email import EmailCustomer, RuleImpact, SubjectRule
from intake.domain.webhooks.config.integrations import MailIntegration

SOURCE: Final = "email"
"""The source of every ticket that a mail opens, and the provider of every stored mail."""

_MAX_REASON: Final = 300
_MAX_SUBJECT_IDS: Final = 5
_MAX_ATTACHMENT_NAMES: Final = 900
_BRACKETED: Final = re.compile(r"\[([^\[\]]{1,100})\]")
_DMARC_PASS: Final = re.compile(r"\bdmarc\s*=\s*pass\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MailAuthor:
    """Who wrote a mail: a customer, if known; our staff; the customer's IT contact.

    `is_authenticated`: the sender's address is not known to be forged.
    """

    customer: EmailCustomer | None = None
    is_authenticated: bool = True
    is_staff: bool = False
    is_it_contact: bool = False

    def belongs_to(self, customer_id: str) -> bool:
        """Whether the author's mails may concern tickets of that customer."""
        return self.is_staff or (self.customer is not None and self.customer.id == customer_id)


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail with its author, by `email` of integrations.yaml, and its mailbox, by the policy."""

    mail: InboundMail
    received_at: datetime
    integration: MailIntegration
    author: MailAuthor
    mailbox: Mailbox

    # docs/rules.md#6-28
    @property
    def ignored(self) -> AutomaticSign | None:
        """The sign by which the mail is ignored; None if a human wrote it, or if it is the request of a machine."""
        sign, config = self.mail.automatic, self.integration.config
        return None if sign and sign.may_be_request and config.allows_automatic(self.mail.sender.email) else sign

    @property
    def is_of_it_contact(self) -> bool:
        """Whether it is a mail of the customer's IT contact to Escalations@."""
        return self.mailbox == "escalations" and self.author.is_it_contact

    @property
    def is_reply_to_outside(self) -> bool:
        """Whether it is a reply by our staff to somebody outside."""
        return self.author.is_staff and bool(self.mail.references) and bool(_recipients_outside(self))


@dataclass(frozen=True, slots=True)
class TicketOwner:
    """The customer of a ticket, and the e-mail address of its contact, if there is one."""

    customer_id: str
    contact_email: str | None = None


def classify_mail(
    mail: InboundMail,
    received_at: datetime,
    integration: MailIntegration,
    mailboxes: Mapping[Mailbox, MailboxRule],
) -> ReceivedMail:
    """The mail with its author and mailbox: Escalations@ if that is a recipient, otherwise Support@."""
    recipients = {address.email for address in mail.recipients} | set(mail.delivered_to)
    escalations = mailboxes.get("escalations")
    is_escalation = escalations is not None and escalations.address.lower() in recipients
    author = _author(mail, integration)
    if mail.automatic is not None:  # a machine neither responds for us nor escalates for the customer
        author = replace(author, is_staff=False, is_it_contact=False)
    return ReceivedMail(mail, received_at, integration, author, "escalations" if is_escalation else "support")


def candidate_tickets(mail: InboundMail, tenant: str, sources: Iterable[str]) -> list[UUID]:
    """The ids of tickets that the mail may be a reply to, the most likely first.

    They come from the Message-IDs that it refers to (a mail that opened a ticket, or one of ours, which begins with the
    id of the ticket), then from the ids in square brackets in its subject, of `sources`.
    """
    found = []
    for reference in mail.references:
        found.append(ticket_id(tenant, SOURCE, reference_of(reference)))
        with suppress(ValueError):
            found.append(UUID(reference.partition("@")[0].partition(".")[0]))
    names = [name.strip().removeprefix("#") for name in _BRACKETED.findall(mail.subject)[:_MAX_SUBJECT_IDS]]
    found += [ticket_id(tenant, source, name) for name in names for source in (SOURCE, *sources)]
    return list(dict.fromkeys(found))


def draft_ticket(received: ReceivedMail) -> DerivedTicketRequest | None:
    """The ticket that the mail opens, with a flag for each default used; None if the customer is unknown."""
    mail, author, config = received.mail, received.author, received.integration.config
    customer = author.customer or config.customer
    if customer is None:
        return None
    is_escalation = received.is_of_it_contact
    text = own_text(mail.text)
    known_rules = (*config.subjects, *(received.integration.subject_rules if is_escalation else ()))
    rules = [rule for rule in known_rules if rule.matches(mail.subject, text)]
    default_category = config.escalations_category if is_escalation else config.support_category
    severity, category = _first(rules, "severity"), _first(rules, "category")
    impact = {criterion: _first([rule.impact for rule in rules], criterion) for criterion in RuleImpact.model_fields}
    assignee = config.assignees.get(received.mailbox)
    services = author.customer.services if author.customer else ()
    stated: dict[Flag, object] = {
        "default_severity": severity,
        "default_services": services,
        "default_customer": author.customer,
        # Nobody is mailed at an address that somebody else may have written into the mail, nor a machine, which might
        # reply and so open the next ticket.
        "contact_unusable": (author.is_authenticated and mail.automatic is None)
        or not is_usable_email(mail.sender.email),
    }
    return DerivedTicketRequest.model_validate(
        {
            "source": SOURCE,
            "external_id": mail.reference,
            "opened_at": received.received_at,
            "severity": severity or config.severity,
            "summary": mail.subject or "(no subject)",
            "description": _description(mail),
            "affected_services": services or config.services,
            "contact": {"name": mail.sender.name or mail.sender.email, "email": mail.sender.email},
            "customer": {"id": customer.id, "name": customer.name},
            "channel": "email",
            "category": category or default_category,
            "states_category": category is not None,
            "impact": impact if any(value is not None for value in impact.values()) else None,
            "assignee": assignee.model_dump() if assignee is not None else None,
            "via": received.mailbox,
            "sender_is_it_contact": author.is_it_contact,
            "opened_by": mail.sender.email,
            "default_flags": tuple(flag for flag, value in stated.items() if not value),
        }
    )


def derive_events(received: ReceivedMail, owner: TicketOwner, facts: Sequence[Fact]) -> list[EventRequest] | None:
    """The events that a reply causes on a ticket with these facts (docs/rules.md#6-8, #6-17, #6-18 and #6-28).

    None: the mail does not belong to the ticket and opens another one.
    """
    author = received.author
    if not author.belongs_to(owner.customer_id):
        return None
    history = history_of(facts)
    if received.mail.automatic is not None:
        return [] if history.closed_by is None else None
    if author.is_staff:
        can_respond = history.closed_by is None and not history.status.responded
        return [_event(received, "responded")] if can_respond and _is_to_customer(received, owner) else []
    events = []
    if history.closed_by is not None:
        if received.received_at > history.closed_by.occurred_at + timedelta(
            microseconds=received.integration.config.reopen_within.micros
        ):
            return None
        events.append(_event(received, "reopened", "the customer replied"))
    elif history.status.paused:
        events.append(_event(received, "resumed", "the customer replied"))
    if received.is_of_it_contact:
        words = one_line(own_text(received.mail.text), _MAX_REASON)
        events.append(_event(received, "escalated", words or "the customer's IT contact wrote to Escalations@"))
    return events


def _author(mail: InboundMail, integration: MailIntegration) -> MailAuthor:
    """The author by address, then by domain; unknown if our mail server did not authenticate the sender."""
    config = integration.config
    if not _is_authenticated(mail, config.authserv):
        return MailAuthor(is_authenticated=False)
    customer = _customer_of(mail.sender, integration)
    is_it_contact = customer is not None and integration.it_contacts.include(customer.id, mail.sender.email)
    return MailAuthor(customer, is_staff=mail.sender.domain in config.ours, is_it_contact=is_it_contact)


def _is_authenticated(mail: InboundMail, authserv: str | None) -> bool:
    """Whether the sender passed DMARC (docs/rules.md#6-20); without `authserv` every sender is trusted."""
    if authserv is None:
        return True
    # Only the first header with this name is of our own server: the sender may have written others.
    results = (text for text in mail.authentication if text.partition(";")[0].split()[:1] == [authserv])
    return bool(_DMARC_PASS.search(next(results, "")))


def _customer_of(address: EmailAddress, integration: MailIntegration) -> EmailCustomer | None:
    """The customer of an address: as its IT contact, by the address, or by its domain."""
    customers = integration.config.customers
    by_it_contact = (each for each in customers if integration.it_contacts.include(each.id, address.email))
    by_address = (each for each in customers if address.email in each.addresses)
    by_domain = (each for each in customers if address.domain in each.domains)
    return next(by_it_contact, None) or next(by_address, None) or next(by_domain, None)


def _is_to_customer(received: ReceivedMail, owner: TicketOwner) -> bool:
    """Whether a mail goes to the customer; if no address of the customer is known, to anybody outside."""
    customers = received.integration.config.customers
    outside = _recipients_outside(received)
    if owner.contact_email is None and all(known.id != owner.customer_id for known in customers):
        return bool(outside)
    contact_domain = (owner.contact_email or "").rpartition("@")[2].lower()
    recipients = [_customer_of(address, received.integration) for address in outside]
    customer_ids = {customer.id for customer in recipients if customer is not None}
    return owner.customer_id in customer_ids or contact_domain in {address.domain for address in outside}


def _recipients_outside(received: ReceivedMail) -> list[EmailAddress]:
    return [address for address in received.mail.recipients if address.domain not in received.integration.config.ours]


def _event(
    received: ReceivedMail,
    kind: Literal["reopened", "responded", "resumed", "escalated"],
    reason: str | None = None,
) -> EventRequest:
    event_id = f"mail:{received.mail.reference}" + (":escalated" if kind == "escalated" else "")
    actor = received.mail.sender.email
    return EventRequest(type=kind, occurred_at=received.received_at, actor=actor, event_id=event_id, reason=reason)


def _first(stated: Sequence[SubjectRule | RuleImpact], field: str) -> Any:
    return next((value for each in stated if (value := getattr(each, field)) is not None), None)


def _description(mail: InboundMail) -> str | None:
    parts = [mail.text]
    if mail.attachments:
        parts.append(f"Attached: {', '.join(mail.attachments)[:_MAX_ATTACHMENT_NAMES]}")
    return "\n\n".join(part for part in parts if part) or None
