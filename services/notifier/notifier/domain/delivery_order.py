"""Which open deliveries of a ticket may be attempted now, and to whom (docs/decisions/0008). Pure.

Mails of one ticket to one person leave in the order of events: a delivery waits for every earlier open one to the same
person. It also waits for the first attempt of every earlier delivery to anybody, but never for another person's
retries (docs/rules.md#5-25). The recipient is chosen here, at each attempt (docs/rules.md#5-21).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from tocsin.directory import Directory
from tocsin.events import StandDown

from notifier.domain.delivery import TICKET_ROLES, Delivery, DeliveryState, MailRequest, Now
from notifier.domain.digest import address_of, may_join
from notifier.domain.mail_history import in_order, same_mail

_LOOK_AGAIN: Final = timedelta(seconds=1)


def recover(delivery: Delivery, withdrawn: str | None, now: Now) -> Delivery:
    """A delivery whose lease expired during an attempt. `withdrawn`: the reason, if it was withdrawn.

    If it was only claimed, nothing was sent, and it is queued again. In DATA the server may have accepted it.
    """
    if delivery.state == DeliveryState.CLAIMED:
        return delivery.released(now)
    ambiguous = replace(delivery, ambiguous=True)
    if withdrawn is not None:
        return ambiguous.ended(DeliveryState.CANCELLED, withdrawn, now)
    reply = "the attempt was interrupted before the server's reply was recorded"
    return replace(ambiguous, state=DeliveryState.DEFERRED, changed_at=now.business, reply=reply)


@dataclass(frozen=True, slots=True)
class TicketDecision:
    """A ticket's deliveries that may be attempted now, with recipient and lease; and those that wait longer or end."""

    ready: Sequence[Delivery]
    changed: Sequence[Delivery]


def decide(
    ticket: Sequence[Delivery],
    notifications: Mapping[UUID, MailRequest],
    directory: Directory,
    now: Now,
    *,
    lease: timedelta,
    limit: int,
    items: Collection[UUID] = (),
) -> TicketDecision:
    """Which deliveries of one ticket may be attempted now, for the length of `lease`.

    Up to `limit` of them, and besides the `items` of digests that leave now. Others wait (`ready_at` moves), or
    end as `cancelled` or `undeliverable`. `notifications`: those of the deliveries that are ready, as far as they can
    be read, and of all open stand-downs.
    """
    waits = _Waits(now)
    current = {delivery.id: delivery for delivery in ticket}
    ready: set[UUID] = set()
    ordered = in_order(ticket)
    for delivery in ordered:
        if delivery.ready_at is None:
            continue
        if step_waits_until := _step_waits_until(delivery, current.values(), now):
            current[delivery.id] = _postponed(delivery, step_waits_until)
            continue
        addressed = _choose_recipient(delivery, current.values(), directory, now)
        if addressed is None:
            current[delivery.id] = delivery.ended(DeliveryState.UNDELIVERABLE, _nobody(delivery), now)
            continue
        decided = delivery
        if not delivery.is_in_flight:
            is_item = delivery.id in items
            is_due = is_item or _is_due(delivery, addressed, now)
            if waits_until := waits.until(addressed):
                decided = _postponed(delivery, waits_until)
            elif ended := _ended(delivery, addressed, ticket, notifications, now, is_due=is_due):
                decided = ended
            elif is_due and (is_item or limit > 0):
                limit -= not is_item
                ready.add(delivery.id)
                decided = replace(addressed, ready_at=now.real + lease)
        joins = decided.state == DeliveryState.HELD or delivery.id in items
        waits.add(addressed.person, decided, joins=joins)
        current[delivery.id] = decided
    return TicketDecision(
        ready=[current[delivery.id] for delivery in ordered if delivery.id in ready],
        changed=[new for old in ordered if (new := current[old.id]) != old and old.id not in ready],
    )


def claim(delivery: Delivery, directory: Directory, now: Now) -> Delivery:
    """A delivery that is ready, claimed for an attempt."""
    claimed = replace(
        delivery,
        state=DeliveryState.CLAIMED,
        token=delivery.token + 1,
        attempts=delivery.attempts + 1,
        changed_at=now.business,
    )
    by_role = delivery.kind not in ("stand_down", "exhausted", "report") and delivery.role not in TICKET_ROLES
    if not by_role or delivery.redelivery_number or delivery.fallback_number:
        return claimed
    holder = directory.holder(delivery.role, delivery.customer_id, delivery.scheduled_at)
    scheduled = holder.person if holder else delivery.scheduled_person
    return replace(claimed, scheduled_person=scheduled if scheduled != delivery.person else None)


def _is_due(delivery: Delivery, addressed: Delivery, now: Now) -> bool:
    """Whether a delivery may be sent now as a single mail: it neither waits for a digest nor repeats one."""
    is_held = delivery.state == DeliveryState.HELD and delivery.email == addressed.email
    is_time = delivery.ready_at is not None and delivery.ready_at <= now.real
    return is_time and not is_held and not delivery.repeats_digest


def _ended(
    delivery: Delivery,
    addressed: Delivery,
    ticket: Sequence[Delivery],
    notifications: Mapping[UUID, MailRequest],
    now: Now,
    *,
    is_due: bool,
) -> Delivery | None:
    """The delivery, ended because its recipient does not need it or it cannot be read; None if it is to be sent."""
    if reason := _skip_reason(addressed, ticket, notifications):
        # Of the mails about exhaustion to one person only the one that is sent is addressed.
        unneeded = delivery if delivery.kind == "exhausted" else addressed
        return unneeded.ended(DeliveryState.CANCELLED, reason, now)
    if is_due and delivery.notification_id not in notifications:
        return addressed.ended(DeliveryState.UNDELIVERABLE, "the stored notification cannot be read", now)
    return None


def _postponed(delivery: Delivery, until: datetime) -> Delivery:
    """The delivery while it waits for another one of its ticket; it leaves the digest that it was held for."""
    state = DeliveryState.QUEUED if delivery.state == DeliveryState.HELD else delivery.state
    ready_at = max(until, delivery.ready_at) if delivery.ready_at else until
    return replace(delivery, state=state, ready_at=ready_at)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """An open delivery that later ones may wait for. `person`: whom it goes to now.

    `for_all`: everybody's mails wait for it, because nothing was attempted yet. `joins`: it is held, or leaves in a
    digest.
    """

    delivery: Delivery
    person: str | None
    until: datetime
    for_all: bool
    joins: bool

    def delays(self, later: Delivery) -> bool:
        return self.for_all or self.person == later.person

    def can_leave_with(self, later: Delivery) -> bool:
        """Whether both may leave in one digest, in which they keep their order. One mail per occasion is enough."""
        mine = self.delivery
        if self.person != later.person or address_of(mine) != address_of(later) or mine.occasion == later.occasion:
            return False
        if later.repeats_digest or mine.repeats_digest:
            return later.digest_id == mine.digest_id
        return self.joins and may_join(later)


class _Waits:
    """Until when deliveries of the ticket wait for earlier open ones."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._earlier: list[_Earlier] = []

    def until(self, delivery: Delivery) -> datetime | None:
        """The real instant until which the delivery waits; None if it waits for no other."""
        delaying = [earlier for earlier in self._earlier if earlier.delays(delivery)]
        return max((earlier.until for earlier in delaying if not earlier.can_leave_with(delivery)), default=None)

    def add(self, person: str | None, delivery: Delivery, *, joins: bool) -> None:
        until = _until(delivery, self._now)
        if until is None:
            return
        was_attempted = delivery.attempts > (1 if delivery.is_in_flight else 0) or delivery.fallback_number > 0
        is_first = all(earlier.person != person for earlier in self._earlier)
        for_all = is_first and not was_attempted
        self._earlier.append(_Earlier(delivery, person, until, for_all, joins))


def _choose_recipient(
    delivery: Delivery, ticket: Iterable[Delivery], directory: Directory, now: Now
) -> Delivery | None:
    """The delivery with its recipient; None if there is nobody.

    A role goes to its holder now, or else at the scheduled instant; a report to its person's present address. The
    recipient of a stand-down, a redelivery or a fallback never changes, nor does it once a server may have accepted the
    mail.
    """
    settled = delivery.kind == "stand_down" or delivery.redelivery_number or delivery.fallback_number
    if delivery.email is not None and (settled or delivery.ambiguous or delivery.is_in_flight):
        return delivery
    if delivery.kind == "report":
        person = directory.people.get(delivery.person or "")
        return replace(delivery, name=person.name, email=person.email) if person else None
    if delivery.role in TICKET_ROLES:
        address = delivery.email
        return replace(delivery, person=directory.person_at(address) or address.lower()) if address else None
    if delivery.kind == "exhausted":
        return _addressed_as_its_step(delivery, ticket)
    holder = directory.holder(delivery.role, delivery.customer_id, now.business) or directory.holder(
        delivery.role, delivery.customer_id, delivery.scheduled_at
    )
    return delivery.addressed_to(holder) if holder else None


def _nobody(delivery: Delivery) -> str:
    if delivery.kind == "report":
        return f"the directory does not have the person {delivery.person}"
    if delivery.role in TICKET_ROLES:
        return f"the {delivery.role} has no e-mail address"
    return f"nobody holds the role {delivery.role}"


def _until(delivery: Delivery, now: Now) -> datetime | None:
    """Until when others wait for this delivery; None if it is not open.

    The end of an attempt wakes them. They look again after a second, in case they were added while it ended.
    """
    if delivery.is_in_flight and delivery.ready_at is not None:
        return min(delivery.ready_at, now.real + _LOOK_AGAIN)
    return delivery.ready_at


def _step_waits_until(delivery: Delivery, ticket: Iterable[Delivery], now: Now) -> datetime | None:
    """Until when a mail about exhaustion waits for the mail of its step; None if it does not wait.

    Only then is it known whether the step reached anybody. Meanwhile no other mail waits for this one.
    """
    if delivery.kind != "exhausted" or delivery.email is not None:
        return None
    mails = _mails_of_its_step(delivery, ticket)
    if any(mail.may_have_arrived for mail in mails):
        return None
    return max((until for mail in mails if (until := _until(mail, now))), default=None)


def _addressed_as_its_step(delivery: Delivery, ticket: Iterable[Delivery]) -> Delivery:
    """The delivery to whom the mail of its step reached; unchanged if it reached nobody."""
    arrived = [mail for mail in _mails_of_its_step(delivery, ticket) if mail.may_have_arrived]
    if not arrived:
        return delivery
    mail = arrived[-1]
    return replace(delivery, person=mail.person, name=mail.name, email=mail.email, rule=mail.rule)


def _mails_of_its_step(delivery: Delivery, ticket: Iterable[Delivery]) -> list[Delivery]:
    of_step = (delivery.cycle, delivery.run, delivery.tier)
    return [mail for mail in ticket if mail.kind == "escalation" and (mail.cycle, mail.run, mail.tier) == of_step]


def _skip_reason(
    delivery: Delivery, ticket: Sequence[Delivery], notifications: Mapping[UUID, MailRequest]
) -> str | None:
    """Why the recipient does not need this mail; None if they do."""
    if delivery.kind == "exhausted" and delivery.email is None:
        return "was never notified"
    theirs = [past for past in ticket if past.may_have_arrived and past.person == delivery.person]
    notification = notifications.get(delivery.notification_id)
    if isinstance(notification, StandDown):
        mailed = {past.notification_id for past in theirs}
        return "was never notified" if mailed.isdisjoint(notification.notifications) else None
    # The same mail may have arrived, at this address or the one before: it is repeated nevertheless.
    repeated = any(past.ambiguous for past in same_mail(delivery, ticket))
    notified = any(past.occasion == delivery.occasion for past in theirs)
    return "already notified" if notified and not repeated else None
