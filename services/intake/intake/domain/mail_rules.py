"""What a mail to the two mailboxes means: a ticket, or something that happened to one (RULES 6). Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from tocsin.events import Fact, Flag, Mailbox, ticket_id
from tocsin.lifecycle import in_order
from tocsin.policy import MailboxRule

from intake.domain.facts import history_of
from intake.domain.mail import InboundMail, reference_of
from intake.domain.ticket_request import DerivedTicketRequest, EventRequest
from intake.domain.webhooks.config.email import EmailConfig, EmailCustomer, SubjectRule
from intake.domain.webhooks.ticket_state import Effect, State, applied

SOURCE: Final = "email"
"""The source of every ticket that a mail opens."""

_MOST_IDS: Final = 5
_BRACKETED: Final = re.compile(r"\[([^\[\]]{1,100})\]")
_PASSED: Final = re.compile(r"\bdmarc\s*=\s*pass\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class InboundSender:
    """Who wrote: for which customer, as far as is known, whether one of us, whether the customer's IT contact."""

    customer: EmailCustomer | None
    ours: bool
    it_contact: bool


def sender_of(mail: InboundMail, mailing: EmailConfig) -> InboundSender:
    """Who wrote the mail. An address wins over its domain; a sender that failed our mail server's check is unknown."""
    email, domain = mail.sender.email, mail.sender.domain
    if not _trusted(mail, mailing.authserv):
        return InboundSender(None, ours=False, it_contact=False)
    found = _correspondent(email, domain, mailing.customers)
    return InboundSender(
        found, ours=domain in mailing.ours, it_contact=found is not None and email in found.it_contacts
    )


def mailbox_of(mail: InboundMail, mailboxes: Mapping[Mailbox, MailboxRule]) -> Mailbox:
    """Which mailbox it was written to: Escalations@ where it is among the recipients, otherwise Support@."""
    written_to = {address.email for address in mail.recipients} | set(mail.delivered_to)
    rule = mailboxes.get("escalations")
    return "escalations" if rule is not None and rule.address.lower() in written_to else "support"


def answered(mail: InboundMail, tenant: str, sources: Iterable[str]) -> list[UUID]:
    """The tickets that it may answer, the likeliest first.

    By the mails that it refers to (one that opened a ticket, or one of ours, which begins with the ticket's id), then
    by the ids in square brackets in its subject, of `sources`.
    """
    found = []
    for reference in mail.references:
        found.append(ticket_id(tenant, SOURCE, reference_of(reference)))
        with suppress(ValueError):
            found.append(UUID(reference.partition("@")[0].partition(".")[0]))
    names = _BRACKETED.findall(mail.subject)[:_MOST_IDS]
    found += [
        ticket_id(tenant, source, name.strip().removeprefix("#")) for name in names for source in (SOURCE, *sources)
    ]
    return list(dict.fromkeys(found))


def opening(
    mail: InboundMail, sender: InboundSender, mailbox: Mailbox, received_at: datetime, mailing: EmailConfig
) -> DerivedTicketRequest | None:
    """The ticket that it opens at its receipt, flagged with what stands in for what it leaves out.

    None: nobody knows whose mail it is.
    """
    customer = sender.customer or mailing.customer
    if customer is None:
        return None
    rules = [rule for rule in mailing.subjects if rule.contains.casefold() in mail.subject.casefold()]
    contact_only = mailbox == "escalations" and sender.it_contact
    usual = mailing.escalations_category if contact_only else mailing.support_category
    severity = _first(rules, "severity")
    services = sender.customer.services if sender.customer else ()
    said: dict[Flag, object] = {
        "default_severity": severity,
        "default_services": services,
        "default_customer": sender.customer,
    }
    return DerivedTicketRequest.model_validate(
        {
            "source": SOURCE,
            "external_id": mail.reference,
            "opened_at": received_at,
            "severity": severity or mailing.severity,
            "summary": mail.subject or "(no subject)",
            "description": _description(mail),
            "affected_services": services or mailing.services,
            "contact": {"name": mail.sender.name or mail.sender.email, "email": mail.sender.email},
            "customer": {"id": customer.id, "name": customer.name},
            "channel": "email",
            "category": _first(rules, "category") or usual,
            "via": mailbox,
            "sender_is_it_contact": sender.it_contact,
            "opened_by": mail.sender.email,
            "default_flags": tuple(flag for flag, given in said.items() if not given),
        }
    )


def belongs(sender: InboundSender, customer_id: str) -> bool:
    """Whether the sender's mails may be of a ticket of that customer: they are the customer's, or ours."""
    return sender.ours or (sender.customer is not None and sender.customer.id == customer_id)


def goes_out(mail: InboundMail, mailing: EmailConfig) -> bool:
    """Whether somebody who is none of ours is among the recipients."""
    return any(address.domain not in mailing.ours for address in mail.recipients)


class TicketOwner(NamedTuple):
    """Whose ticket it is: the customer's id, and the address of its contact, if it has one."""

    customer_id: str
    contact: str | None = None


def _answers(mail: InboundMail, mailing: EmailConfig, about: TicketOwner) -> bool:
    """Whether it goes to the customer, as far as is known who that is: what we write to others is no response."""
    outside = [address for address in mail.recipients if address.domain not in mailing.ours]
    if about.contact is None and all(known.id != about.customer_id for known in mailing.customers):
        return bool(outside)
    domain = (about.contact or "").rpartition("@")[2].lower()
    found = [_correspondent(address.email, address.domain, mailing.customers) for address in outside]
    theirs = {known.id for known in found if known is not None}
    return about.customer_id in theirs or domain in {address.domain for address in outside}


def reaction(
    mail: InboundMail,
    sender: InboundSender,
    mailbox: Mailbox,
    about: TicketOwner,
    facts: Sequence[Fact],
    received_at: datetime,
    mailing: EmailConfig,
) -> Sequence[EventRequest] | None:
    """What an answer by `sender`, received at `received_at`, to a ticket with those facts makes happen to it.

    The customer's answer ends a pause that waited for it, and reopens what was closed not longer ago than
    `reopen_within`; that of their IT contact to Escalations@ escalates it as well (RULES 6: a request not handled
    properly). Ours is the response, where it goes to the customer. None: it is a new matter, as every stranger's is.
    """
    told = history_of(facts)
    if not belongs(sender, about.customer_id):
        return None
    opened, *later = in_order(facts)
    state = reduce(applied, map(_effect, later), State(opened.severity or 0))
    if sender.ours:
        first = told.closed_by is None and not state.responded and _answers(mail, mailing, about)
        return [_event(mail, "responded", received_at)] if first else []
    events = []
    if told.closed_by is not None:
        kept_until = told.closed_by.occurred_at + timedelta(microseconds=mailing.reopen_within.micros)
        if received_at > kept_until:
            return None
        events.append(_event(mail, "reopened", received_at, "the customer wrote again"))
    elif state.paused:
        events.append(_event(mail, "resumed", received_at, "the customer answered"))
    if mailbox == "escalations" and sender.it_contact:
        events.append(_event(mail, "escalated", received_at, "the customer's IT contact wrote to Escalations@"))
    return events


def _event(
    mail: InboundMail,
    kind: Literal["reopened", "responded", "resumed", "escalated"],
    at: datetime,
    reason: str | None = None,
) -> EventRequest:
    event_id = f"mail:{mail.reference}" + (":escalated" if kind == "escalated" else "")
    return EventRequest(type=kind, occurred_at=at, actor=mail.sender.email, event_id=event_id, reason=reason)


def _effect(fact: Fact) -> Effect:
    return Effect(fact.type, fact.severity or 0, fact.resolution_kind == "workaround")


def _correspondent(email: str, domain: str, customers: Sequence[EmailCustomer]) -> EmailCustomer | None:
    by_address = (found for found in customers if email in found.addresses or email in found.it_contacts)
    by_domain = (found for found in customers if domain in found.domains)
    return next(by_address, None) or next(by_domain, None)


def _trusted(mail: InboundMail, authserv: str | None) -> bool:
    """Whether our mail server vouches for the sender's domain; where it is not asked, it is believed."""
    if authserv is None:
        return True
    # Only the first of that name is its own: others may have come with the mail.
    ours = next((text for text in mail.authentication if text.partition(";")[0].split()[:1] == [authserv]), "")
    return bool(_PASSED.search(ours))


def _first(rules: Sequence[SubjectRule], field: Literal["severity", "category"]) -> Any:
    return next((value for rule in rules if (value := getattr(rule, field)) is not None), None)


def _description(mail: InboundMail) -> str | None:
    parts = [mail.text]
    if mail.attachments:
        parts.append(f"Attached: {', '.join(mail.attachments)[:900]}")
    return "\n\n".join(part for part in parts if part) or None
