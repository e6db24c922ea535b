"""What happened to a ticket, in order: facts, clocks, escalation and mails. The text of the page's timeline. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from tocsin.events import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockVoided,
    ClockWarned,
    DeliveryEvent,
    Exhausted,
    FactType,
    LadderEvent,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
)
from tocsin.lifecycle import in_order

from board.domain.event_words import event_words, fact_words
from board.domain.ticket_story import StoryEvent, TicketStory
from board.domain.time_words import PageTime, Words


class EntryKind(StrEnum):
    """What an entry of the history is about; also the CSS class of its mark."""

    FACT = "fact"
    ACKNOWLEDGED = "acknowledged"
    WARNED = "warned"
    BREACHED = "breached"
    MET = "met"
    CANCELLED = "cancelled"
    VOIDED = "voided"
    STEP = "step"
    HELD = "held"
    EXHAUSTED = "exhausted"
    LADDER = "ladder"
    NOTICE = "notice"
    MAIL = "mail"
    MAIL_FAILED = "mail-failed"
    MAIL_WAITING = "mail-waiting"
    MAIL_CANCELLED = "mail-cancelled"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened. `voided`: late evidence shows that it did not, or was not needed."""

    at: datetime
    kind: EntryKind
    words: Words
    voided: bool = False
    historic: bool = False
    unconfirmed: bool = False


_KINDS: Final = {
    ClockWarned: EntryKind.WARNED,
    ClockBreached: EntryKind.BREACHED,
    ClockMet: EntryKind.MET,
    ClockCancelled: EntryKind.CANCELLED,
    ClockVoided: EntryKind.VOIDED,
    LadderStepDue: EntryKind.STEP,
    LadderHeld: EntryKind.HELD,
    LadderExhausted: EntryKind.EXHAUSTED,
    Exhausted: EntryKind.EXHAUSTED,
}
MAIL_KINDS: Final = {
    "sent": EntryKind.MAIL,
    "deferred": EntryKind.MAIL_WAITING,
    "refused": EntryKind.MAIL_FAILED,
    "bounced": EntryKind.MAIL_FAILED,
    "cancelled": EntryKind.MAIL_CANCELLED,
    "undeliverable": EntryKind.MAIL_FAILED,
}
_MAIL_STATES: Final = {
    "sent": "Mailed {who}",
    "deferred": "Mail to {who} is deferred and will be tried again",
    "refused": "The mail server refused the mail to {who}",
    "bounced": "The mail to {who} bounced",
    "cancelled": "Mail to {who} was not needed and was not sent",
    "undeliverable": "No mail could be sent to {who}",
}
MAIL_NAMES: Final = {
    "escalation": "escalation",
    "warning": "warning",
    "response_missed": "response missed",
    "answer_missed": "answer missed",
    "stand_down": "stand-down",
    "exhausted": "escalation exhausted",
    "escalation_request": "escalation request",
    "rerouted": "request rerouted",
}
_ORDER: Final = {EntryKind.FACT: 0, EntryKind.ACKNOWLEDGED: 0, EntryKind.STEP: 2, EntryKind.MAIL: 4}


def ticket_history(story: TicketStory, time: PageTime) -> list[HistoryEntry]:
    """Everything that happened, oldest first; at one instant, facts before their effects."""
    entries = [*_facts(story), *_events(story, time), *(_mail(delivery, story) for delivery in story.deliveries)]
    return sorted(entries, key=lambda entry: (entry.at, _ORDER.get(entry.kind, 3 if "mail" in entry.kind else 1)))


def _facts(story: TicketStory) -> Iterable[HistoryEntry]:
    for fact in in_order(story.facts):
        actor = story.name(fact.actor)
        by = f" (by {actor})" if actor else ""
        kind = EntryKind.ACKNOWLEDGED if fact.type is FactType.ACKNOWLEDGED else EntryKind.FACT
        yield HistoryEntry(fact.occurred_at, kind, (f"{fact_words(fact)}{by}",))


def _events(story: TicketStory, time: PageTime) -> Iterable[HistoryEntry]:
    for event in story.events:
        words = event_words(event, story, time)
        if words is not None:
            yield HistoryEntry(
                event.at,
                _kind(event),
                words,
                voided=event.event_id in story.voided,
                historic=getattr(event, "historic", False),
                unconfirmed=getattr(event, "unconfirmed", False),
            )


def _kind(event: StoryEvent) -> EntryKind:
    default = EntryKind.LADDER if isinstance(event, LadderEvent) else EntryKind.NOTICE
    return _KINDS.get(type(event), default)


def _mail(delivery: DeliveryEvent, story: TicketStory) -> HistoryEntry:
    recipient = delivery.recipient
    who = recipient.name or recipient.email or f"the role {story.title(recipient.role)}"
    tier = f", tier {delivery.tier}" if delivery.tier else ""
    reply = f": {delivery.reply}" if delivery.reply and delivery.state not in ("sent", "cancelled") else ""
    words = f"{_MAIL_STATES[delivery.state].replace('{who}', who)} ({MAIL_NAMES[delivery.kind]}{tier}){reply}"
    return HistoryEntry(delivery.at, MAIL_KINDS[delivery.state], (words,))
