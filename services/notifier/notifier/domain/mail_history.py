"""The earlier deliveries of a ticket, as a new mail needs them: order, references, who was notified. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from tocsin.events import Exhausted, MailKind, Notify, ReportReady, StandDown

from notifier.domain.delivery import Delivery, MailRequest, occasion


@dataclass(frozen=True, slots=True)
class EarlierMail:
    """An earlier mail, as a later one lists it. `name` is None if nobody was found, `sent_at` if none was sent.

    `address`: where it went, if not to the person's first address. `is_open`: it is still being delivered.
    """

    tier: int | None
    title: str
    name: str | None
    scheduled_at: datetime
    sent_at: datetime | None = None
    kind: MailKind = "escalation"
    address: str | None = None
    is_open: bool = False


def in_order(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """A ticket's deliveries in the order of events. A mail keeps its place, whichever address it goes to."""
    places = {delivery.id: delivery.seq for delivery in deliveries}
    return sorted(
        deliveries, key=lambda delivery: (places[delivery.fallback_of or delivery.id], delivery.fallback_number)
    )


def same_mail(delivery: Delivery, ticket: Sequence[Delivery]) -> list[Delivery]:
    """The ticket's deliveries of the same mail, this one included, in the order in which its addresses were tried."""
    first = delivery.fallback_of or delivery.id
    return sorted((row for row in ticket if first in (row.id, row.fallback_of)), key=lambda row: row.fallback_number)


def earlier_message_ids(delivery: Delivery, ticket: Sequence[Delivery]) -> Sequence[str]:
    """The Message-IDs, oldest first, of the mails to the delivery's person or address earlier in its cycle.

    Without digests: they would join the conversations of all their tickets.
    """
    earlier = takewhile(lambda past: past.id != delivery.id, in_order(ticket))
    arrived = (past for past in earlier if past.may_have_arrived and past.cycle == delivery.cycle)
    theirs = (past for past in arrived if past.person == delivery.person or past.email == delivery.email)
    return list(dict.fromkeys(past.message_id for past in theirs if past.message_id and not past.in_digest))


def earlier_mails(notification: MailRequest, person: str | None, ticket: Iterable[Delivery]) -> Sequence[EarlierMail]:
    """The mails that a new mail lists (docs/rules.md#5-29), with names from our own deliveries.

    For a stand-down, the mails to `person`; for exhaustion, those of all steps; for a missed response or answer, its
    warnings.
    """
    if isinstance(notification, ReportReady):
        return ()
    if isinstance(notification, Exhausted):
        return _steps_of(notification, ticket)
    if isinstance(notification, StandDown):
        mine = set(notification.notifications)
        return _arrived(past for past in ticket if past.notification_id in mine and past.person == person)
    if notification.kind == "escalation":
        return _earlier_steps(notification, ticket)
    if notification.kind in ("response_missed", "answer_missed"):
        warning = occasion(notification.model_copy(update={"kind": "warning"}))
        return _arrived(past for past in ticket if past.occasion == warning)
    return ()


def _steps_of(exhausted: Exhausted, ticket: Iterable[Delivery]) -> Sequence[EarlierMail]:
    mine = set(exhausted.notifications)
    steps = {past.notification_id: past for past in _that_count(ticket) if past.notification_id in mine}
    return [_mail(past, past.tier, past.role_title) for past in sorted(steps.values(), key=lambda past: past.seq)]


def _that_count(ticket: Iterable[Delivery]) -> list[Delivery]:
    """The deliveries of steps. Of several of one step the last one counts: one that arrived, not a redelivery."""
    return sorted(
        (past for past in ticket if past.kind == "escalation"),
        key=lambda past: (past.may_have_arrived, not past.redelivery_number),
    )


def _earlier_steps(notify: Notify, ticket: Iterable[Delivery]) -> Sequence[EarlierMail]:
    steps = {(past.tier, past.scheduled_at): past for past in _that_count(ticket)}
    earlier = []
    for before in notify.told_before:
        past = steps.get((before.tier.number, before.at))
        number, title = before.tier.number, before.tier.title
        earlier.append(
            _mail(past, number, title) if past else EarlierMail(number, title, name=None, scheduled_at=before.at)
        )
    return earlier


def _arrived(deliveries: Iterable[Delivery]) -> Sequence[EarlierMail]:
    return [_mail(past, past.tier, past.role_title) for past in deliveries if past.may_have_arrived]


def _mail(past: Delivery, tier: int | None, title: str) -> EarlierMail:
    return EarlierMail(
        tier=tier,
        title=title,
        name=past.name,
        scheduled_at=past.scheduled_at,
        sent_at=past.sent_at if past.may_have_arrived else None,
        kind=past.kind,
        address=past.email if past.fallback_number else None,
        is_open=past.ready_at is not None,
    )
