"""The effect of a mail to the two mailboxes: a new ticket, or events on one (docs/rules.md#6-14). Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Literal
from uuid import UUID

from tocsin.characters import canonical_id, one_line
from tocsin.email_address import comparable_email, is_usable_email
from tocsin.events import Fact, Flag, ticket_id

from intake.domain.facts import history_of
from intake.domain.mail import InboundMail, own_text, reference_of
from intake.domain.mail_author import TicketOwner, customer_of
from intake.domain.received_mail import EMAIL, ReceivedMail
from intake.domain.ticket_request import DerivedTicketRequest, EventRequest
from intake.domain.webhooks.config.email import RuleImpact, SubjectRule

_MAX_REASON: Final = 300
_MAX_SUBJECT_IDS: Final = 5
_MAX_ATTACHMENT_NAMES: Final = 900
_BRACKETED: Final = re.compile(r"\[([^\[\]]{1,100})\]")
# As PSA tools write it: `Service Ticket #1042`, `Ticket: 1042`, `(ID: 1042)`, `(#1042)`, `[T1042]`.
_BARE: Final = re.compile(
    r"(?:\bticket\s*(?:(?:id|no|nr|number)\b[.\s#:]*|[#:][\s#:]*)|\((?:id\b[\s#:]*|#\s*)|\[[a-z]{1,3}-?(?=\d{3}))"
    r"((?:[a-z]{1,4}-?)?\d[\w.-]{0,99})",
    re.IGNORECASE,
)
_BEFORE_ID: Final = re.compile(r"[#:\s]")


def candidate_tickets(mail: InboundMail, tenant: str, sources: Iterable[str]) -> list[UUID]:
    """The ids of tickets that the mail may be a reply to, the most likely first.

    They come from the Message-IDs that it refers to (a mail that opened a ticket, or one of ours, which begins with the
    id of the ticket), then from the ids in square brackets in its subject, of `sources`.
    """
    found = []
    for reference in mail.references:
        found.append(ticket_id(tenant, EMAIL, reference_of(reference)))
        with suppress(ValueError):
            found.append(UUID(reference.partition("@")[0].partition(".")[0]))
    found += [ticket_id(tenant, source, name) for name in subject_ids(mail) for source in (EMAIL, *sources)]
    return list(dict.fromkeys(found))


def subject_ids(mail: InboundMail) -> list[str]:
    """The ids in square brackets in the subject, such as `[1042]`, `[Ticket #1042]` or `[ID:0001042]`."""
    found = []
    for name in _BRACKETED.findall(mail.subject)[:_MAX_SUBJECT_IDS]:
        last = _BEFORE_ID.split(name.strip())[-1]
        found += [name, name.rpartition("#")[2], last, last.lstrip("0") if last.isdecimal() else ""]
    return [each for each in dict.fromkeys(map(canonical_id, found)) if each]


def all_subject_ids(mail: InboundMail) -> list[str]:
    """The ids in the subject, also without square brackets (`Ticket #1042`): for mails of a ticket's own contact."""
    bare = [each.rstrip(".-") for each in _BARE.findall(mail.subject)[:_MAX_SUBJECT_IDS]]
    found = [*bare, *(each.lstrip("0") for each in bare)]
    return list(dict.fromkeys([*subject_ids(mail), *(each for each in map(canonical_id, found) if each)]))


def choose_ticket(received: ReceivedMail, owners: Mapping[UUID, TicketOwner]) -> UUID | None:
    """The ticket that the mail belongs to, or None; `owners` are the candidates, the most likely first.

    Our own mails and mails of unknown authors may belong to any ticket. A ticket takes precedence if its contact or
    customer is a recipient, or if its contact has the author's name.
    """
    author = received.author
    belonging = [ticket for ticket, owner in owners.items() if author.belongs_to(owner)]
    if author.is_staff:
        to_contact = [
            ticket for ticket in belonging if (owners[ticket].contact_email or "").lower() in received.correspondents
        ]
        fitting = [*to_contact, *(ticket for ticket in belonging if is_to_customer(received, owners[ticket]))]
    else:
        fitting = [ticket for ticket in belonging if author.is_found or author.is_contact(owners[ticket])]
    return next(iter([*fitting, *belonging]), None)


def draft_ticket(received: ReceivedMail) -> DerivedTicketRequest | None:
    """The ticket that the mail opens, with a flag for each default used; None if the customer is unknown."""
    mail, author, config = received.mail, received.author, received.integration.config
    sender = author.address
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
        "text_cleaned": not sender.is_cleaned,
        # No mail is sent to an address that somebody else may have put into the mail, or to a mailing list. A
        # machine might reply, and its reply would open the next ticket.
        "contact_unusable": (author.is_authenticated and author.is_found and mail.automatic is None)
        or not is_usable_email(sender.email),
    }
    return DerivedTicketRequest.model_validate(
        {
            "source": EMAIL,
            "external_id": received.reference,
            "opened_at": received.received_at,
            "severity": severity or config.severity,
            "summary": mail.subject or "(no subject)",
            "description": _description(mail),
            "affected_services": services or config.services,
            "contact": {"name": sender.name or sender.email, "email": sender.email},
            "customer": {"id": customer.id, "name": customer.name},
            "channel": "email",
            "category": category or default_category,
            "states_category": category is not None,
            "impact": impact if any(value is not None for value in impact.values()) else None,
            "assignee": assignee.model_dump() if assignee is not None else None,
            "via": received.mailbox,
            "sender_is_it_contact": author.is_it_contact,
            "opened_by": sender.email,
            "default_flags": tuple(flag for flag, value in stated.items() if not value),
        }
    )


def derive_events(received: ReceivedMail, owner: TicketOwner, facts: Sequence[Fact]) -> list[EventRequest] | None:
    """The events that a reply causes on a ticket with these facts (docs/rules.md#6-8, #6-17, #6-18 and #6-27).

    None: the mail does not belong to the ticket and opens another one.
    """
    author = received.author
    if not author.belongs_to(owner):
        return None
    if not author.is_found and not author.is_contact(owner):
        return []
    history = history_of(facts)
    if received.mail.automatic is not None:
        return [] if history.closed_by is None else None
    is_hidden = is_of_hidden_contact(received, owner)
    if author.is_staff and not is_hidden:
        can_respond = history.closed_by is None and not history.status.responded
        return [_event(received, "responded")] if can_respond and is_to_customer(received, owner) else []
    events = []
    if history.closed_by is not None:
        if received.received_at > history.closed_by.occurred_at + timedelta(
            microseconds=received.integration.config.reopen_within.micros
        ):
            return [] if is_hidden else None
        events.append(_event(received, "reopened", "the customer replied"))
    elif history.status.paused:
        events.append(_event(received, "resumed", "the customer replied"))
    if received.is_of_it_contact:
        words = one_line(own_text(received.mail.text), _MAX_REASON)
        events.append(_event(received, "escalated", words or "the customer's IT contact wrote to Escalations@"))
    return events


def is_of_hidden_contact(received: ReceivedMail, owner: TicketOwner) -> bool:
    """Whether the ticket's contact wrote a mail from a mailbox or list of ours, by the name in From.

    Our own mail to a contact who has the name of the mailbox (`Support`) is ours.
    """
    to = {comparable_email(each.email) for each in received.mail.recipients}
    goes_to_contact = comparable_email(owner.contact_email or "") in to
    comes_back = comparable_email(received.mail.sender.email) in to
    return received.author.has_name_of_contact(owner) and (comes_back or not goes_to_contact)


def is_to_customer(received: ReceivedMail, owner: TicketOwner) -> bool:
    """Whether a mail goes to the contact of the ticket or to another address of the customer.

    If the `email` section does not know the customer, the domain of the contact is the customer's; without a contact
    outside, everybody outside is the customer. Unknown senders, who share the default customer, share no domain.
    """
    config, outside = received.integration.config, received.recipients_outside
    contact = comparable_email(owner.contact_email or "")
    if any(comparable_email(address.email) == contact for address in outside):
        return True
    if any(known.id == owner.customer_id for known in config.customers):
        customers = [customer_of(address.email, received.integration) for address in outside]
        return any(customer is not None and customer.id == owner.customer_id for customer in customers)
    if not contact or config.is_ours(contact):
        return bool(outside)
    is_default = config.customer is not None and config.customer.id == owner.customer_id
    return not is_default and contact.rpartition("@")[2] in {address.domain for address in outside}


def _event(
    received: ReceivedMail,
    kind: Literal["reopened", "responded", "resumed", "escalated"],
    reason: str | None = None,
) -> EventRequest:
    event_id = f"mail:{received.reference}" + (":escalated" if kind == "escalated" else "")
    actor = received.author.address.email
    return EventRequest(type=kind, occurred_at=received.received_at, actor=actor, event_id=event_id, reason=reason)


def _first(stated: Sequence[SubjectRule | RuleImpact], field: str) -> Any:
    return next((value for each in stated if (value := getattr(each, field)) is not None), None)


def _description(mail: InboundMail) -> str | None:
    parts = [mail.text]
    if mail.attachments:
        parts.append(f"Attached: {', '.join(mail.attachments)[:_MAX_ATTACHMENT_NAMES]}")
    return "\n\n".join(part for part in parts if part) or None
