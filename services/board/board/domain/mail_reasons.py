"""Why somebody was mailed: the role, the rule of the directory that chose them, the occasion, and the result. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tocsin.events import DeliveryEvent, EscalationEvent, Exhausted, Notify, StandDown, Withdraw

from board.domain.ticket_history import MAIL_KINDS, MAIL_NAMES, EntryKind
from board.domain.ticket_story import TicketStory
from board.domain.time_words import Moment, PageTime, Words

_TICKET_ROLES: Final[Mapping[str, str]] = {
    "assignee": "is the assignee of the ticket",
    "contact": "is the contact of the ticket",
}
_ROTATION: Final = re.compile(r"(?:customer (?P<customer>.+?): )?rotation (?P<rotation>[^,]+), (?P<turn>.+)")
_CUSTOMER: Final = re.compile(r"customer (?P<customer>.+)")
_INSTEAD: Final = re.compile(r"override: instead of (?P<person>.+) until (?P<until>.+)")
_OVERRIDE: Final = re.compile(r"override: until (?P<until>.+)")
_CANCELLED: Final[Mapping[str, str]] = {
    "resolved": "the ticket was resolved first",
    "workaround": "a workaround was provided first",
    "cancelled": "the ticket was cancelled first",
    "voided": "late information showed that it was not needed",
    "already notified": "the person had been mailed about the same step already",
    "was never notified": "the person was never mailed about what ended",
}
_STOOD_DOWN: Final[Mapping[str, str]] = {
    "resolved": "the ticket was resolved",
    "workaround": "a workaround was provided",
    "cancelled": "the ticket was cancelled",
    "voided": "late information shows that the deadline was not missed",
}


@dataclass(frozen=True, slots=True)
class MailReason:
    """One mail, sent or not yet: its reader, the reason, and its state."""

    anchor: str
    """An id for links within the page."""
    kind: EntryKind
    title: str
    reader: str
    why: Words
    state: Words
    scheduled_at: datetime
    is_voided: bool
    chain: tuple[tuple[Words, str], ...]
    """Sentences about related mails, each with the anchor of that mail."""


def mail_reasons(story: TicketStory, time: PageTime) -> list[MailReason]:
    """Every mail of the ticket in the order of their schedule, also those that are not sent yet."""
    deliveries = {delivery.delivery_id: delivery for delivery in story.deliveries}
    reasons = [_reason(delivery, deliveries, story, time) for delivery in story.deliveries]
    return sorted([*reasons, *_unsent(story, time)], key=lambda reason: reason.scheduled_at)


def anchor(delivery_id: UUID) -> str:
    """The anchor of a mail within the page."""
    return f"mail-{delivery_id}"


def rule_words(rule: str | None) -> str:
    """The rule of the directory by which somebody held a role; follows `holds the role ...` in a sentence.

    The rules are those of `tocsin.directory.Holder.rule`.
    """
    if rule is None:
        return ""
    if rule == "default":
        return ", as its holder by default"
    if found := _ROTATION.fullmatch(rule):
        customer = f" of the customer {found['customer']}" if found["customer"] else ""
        return f' by the rotation "{found["rotation"]}"{customer} ({found["turn"]})'
    if found := _CUSTOMER.fullmatch(rule):
        return f" for the customer {found['customer']}"
    if found := _INSTEAD.fullmatch(rule):
        return f", covering for {found['person']} until {found['until']}"
    if found := _OVERRIDE.fullmatch(rule):
        return f" by an override until {found['until']}"
    return f" ({rule})"


def _reason(
    delivery: DeliveryEvent, deliveries: Mapping[UUID, DeliveryEvent], story: TicketStory, time: PageTime
) -> MailReason:
    recipient = delivery.recipient
    cause = story.causes.get(delivery.notification_id)
    reader = recipient.name or recipient.email or "nobody"
    if _was_never_addressed(delivery):
        reader = story.title(recipient.role)
    return MailReason(
        anchor=anchor(delivery.delivery_id),
        kind=MAIL_KINDS[delivery.state],
        title=_title(delivery.kind, delivery.tier),
        reader=reader,
        why=(_holds(delivery, story), *_occasion(cause, story, time)),
        state=tuple(_state(delivery, time)),
        scheduled_at=delivery.scheduled_at,
        is_voided=delivery.notification_id in story.voided,
        chain=tuple(_chain(delivery, deliveries)),
    )


def _title(kind: str, tier: int | None) -> str:
    name = MAIL_NAMES.get(kind, kind).capitalize()
    return f"{name}, tier {tier}" if tier else name


def _was_never_addressed(delivery: DeliveryEvent) -> bool:
    """Whether the mail was cancelled before anybody looked up who holds its role."""
    recipient = delivery.recipient
    return delivery.state == "cancelled" and recipient.name is None and recipient.role not in _TICKET_ROLES


def _holds(delivery: DeliveryEvent, story: TicketStory) -> str:
    recipient = delivery.recipient
    if recipient.role in _TICKET_ROLES:
        return f"{recipient.name or recipient.email or 'Nobody'} {_TICKET_ROLES[recipient.role]}."
    title = story.title(recipient.role)
    if _was_never_addressed(delivery):
        return f"It was for whoever holds the role {title}."
    if recipient.name is None:
        return f"Nobody holds the role {title}."
    before = ""
    if delivery.scheduled_person is not None:
        before = f" {story.name(delivery.scheduled_person)} held it when the mail was scheduled."
    verb = "held" if delivery.kind in ("stand_down", "exhausted") else "holds"
    return f"{recipient.name} {verb} the role {title}{rule_words(recipient.rule)}.{before}"


def _occasion(cause: EscalationEvent | None, story: TicketStory, time: PageTime) -> Words:
    match cause:
        case Notify(kind="escalation"):
            return _escalation(cause, time)
        case Notify(kind="warning"):
            return (f" The {cause.clock} was due soon: ", *_due(cause.due_at, time), ".")
        case Notify(kind="response_missed" | "answer_missed"):
            return (f" The {cause.clock} deadline passed ", *_due(cause.due_at, time), ".")
        case Notify(kind="escalation_request"):
            return (" The request was sent to the mailbox for escalations.",)
        case Notify():
            return (" The request was sent to another mailbox than the one that handles it.",)
        case StandDown():
            return (f" They were mailed before, and {_STOOD_DOWN[cause.reason]}. No action is needed.",)
        case Exhausted(reason="vacant"):
            return (" They were mailed before, and nobody holds a tier above the last one notified.",)
        case Exhausted():
            return (" They were mailed before, and the escalation has no further tier.",)
        case _:
            return (" The event that caused this mail has not arrived here.",)


def _escalation(notify: Notify, time: PageTime) -> Words:
    step = f" This is step {notify.step} of the escalation" + (f" (tier {notify.tier.number})" if notify.tier else "")
    skipped = "".join(f" Tier {tier.number} ({tier.title}) is vacant and was skipped." for tier in notify.skipped)
    interval = ""
    if notify.told_before and notify.interval:
        before = notify.told_before[-1].tier.number
        interval = f" Tier {before} was notified before it; the tiers are {notify.interval} apart."
    if notify.reason == "explicit":
        by = f" by {notify.requested_by}" if notify.requested_by else ""
        stated = f": {notify.requested_reason}" if notify.requested_reason else ""
        return (f"{step}: an escalation was requested{by}{stated}.{interval}{skipped}",)
    passed = (
        "nobody had responded when the provisional deadline passed "
        if notify.reason == "no_response"
        else "the resolution deadline passed "
    )
    return (f"{step}: {passed}", *_due(notify.due_at, time), f".{interval}{skipped}")


def _due(due_at: datetime | None, time: PageTime) -> Words:
    return ("(unknown during the pause)",) if due_at is None else (time.when(due_at),)


def _state(delivery: DeliveryEvent, time: PageTime) -> Iterator[str | Moment]:
    """The state of the mail in words, with the server's reply where it explains the state."""
    address = delivery.recipient.email
    to = f" to {address}" if address else ""
    tries = f" in attempt {delivery.attempts}" if delivery.attempts > 1 else ""
    reply = f": {delivery.reply}" if delivery.reply else ""
    match delivery.state:
        case "sent":
            yield f"Sent{to}{tries} "
            yield time.when(delivery.at)
            digest = ", in a digest with other tickets" if delivery.in_digest else ""
            yield f"{', late' if delivery.late else ''}{digest}."
        case "deferred":
            yield f"Not sent yet: attempt {delivery.attempts}{to} failed "
            yield time.when(delivery.at)
            yield f"{reply}. It will be tried again."
        case "refused":
            yield f"The mail server refused the mail{to} "
            yield time.when(delivery.at)
            yield f"{reply}."
        case "bounced":
            yield f"The mail{to} was sent, but bounced "
            yield time.when(delivery.at)
            yield f"{reply}."
        case "cancelled":
            known = delivery.reply or ""
            yield f"Not sent{to}, because {_CANCELLED.get(known, known or 'it was no longer needed')}, "
            yield time.when(delivery.at)
            yield "."
        case "undeliverable":
            yield f"No mail could be sent{to} "
            yield time.when(delivery.at)
            yield f"{reply}."
    if delivery.ambiguous:
        yield " The server's reply to an attempt was lost, so the mail may have arrived twice."


def _chain(delivery: DeliveryEvent, deliveries: Mapping[UUID, DeliveryEvent]) -> Iterator[tuple[Words, str]]:
    """The mails that this one replaces or repeats, and those that replace or repeat it."""
    if delivery.fallback_of is not None:
        failed = deliveries.get(delivery.fallback_of)
        address = failed.recipient.email if failed and failed.recipient.email else "the address before"
        yield (f"Sent to this address because the mail to {address} failed.",), anchor(delivery.fallback_of)
    if delivery.redelivery_of is not None:
        by = f" by {delivery.redelivered_by}" if delivery.redelivered_by else ""
        yield (f"Repeats an earlier mail, as requested{by}.",), anchor(delivery.redelivery_of)
    for other in deliveries.values():
        if other.fallback_of == delivery.delivery_id:
            address = other.recipient.email or "the next address"
            yield (f"The same mail was then sent to {address}.",), anchor(other.delivery_id)
        if other.redelivery_of == delivery.delivery_id:
            yield ("The mail was sent again later, on request.",), anchor(other.delivery_id)


def _unsent(story: TicketStory, time: PageTime) -> Iterator[MailReason]:
    """Notifications of roles without any mail so far."""
    mailed = {delivery.notification_id for delivery in story.deliveries}
    withdrawn = {
        notification: event
        for event in story.events
        if isinstance(event, Withdraw | StandDown)
        for notification in event.notifications
    }
    for notify in story.notifications:
        if notify.event_id in mailed:
            continue
        ended = withdrawn.get(notify.event_id)
        state: Words = ("The mail is queued and has not been sent yet.",)
        if ended is not None:
            state = (f"Not sent, because {_CANCELLED[ended.reason]} ", time.when(ended.at), ".")
        who = _TICKET_ROLES.get(notify.role)
        title = notify.role_title
        reader = f"the {notify.role} of the ticket" if who else title
        why = f"The person who {who}." if who else f"The person who holds the role {title} when it is sent."
        yield MailReason(
            anchor=f"notification-{notify.event_id}",
            kind=EntryKind.MAIL_CANCELLED if ended else EntryKind.MAIL_WAITING,
            title=_title(notify.kind, notify.tier.number if notify.tier else None),
            reader=reader,
            why=(why, *_occasion(notify, story, time)),
            state=state,
            scheduled_at=notify.at,
            is_voided=notify.event_id in story.voided,
            chain=(),
        )
