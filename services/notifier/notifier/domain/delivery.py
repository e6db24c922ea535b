"""One delivery as a value, and what follows from it alone. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Literal, cast, get_args
from uuid import UUID

from tocsin.events import DeliveryEvent, DeliveryState, MailKind, Notify, Recipient, StandDown, derived_id

from notifier.domain.delivery_order import Person
from notifier.domain.template_context import Redelivery, Told

State = Literal["queued", "claimed", "in_data", "sent", "deferred", "refused", "bounced", "cancelled", "undeliverable"]
Entry = State | Literal["ambiguous", "reported"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of `deliveries`.

    Real time: `created_at`, and `ready_at`: when it may be tried next or, in flight, when its lease ends; null when it
    is final. Everything else is business time. `token` fences: it counts the claims. `attempts` counts those begun.
    `redelivery` counts how often `redelivery_of` was asked for once more, 0 for what an event asked for.
    `fallback` counts the addresses that did not take the mail before; then `fallback_of` is the delivery to the first
    one, and person and address are settled. `scheduled_person` held the role at `scheduled_at`, where `person`, who
    held it at sending, is somebody else.
    """

    seq: int
    id: UUID
    notification_id: UUID
    tenant: str
    ticket_id: UUID
    customer_id: str
    kind: MailKind
    cycle: int
    run: int | None
    step: int | None
    tier: int | None
    severity: int
    occasion: str
    role: str
    role_title: str
    scheduled_at: datetime
    state: State
    ready_at: datetime | None
    created_at: datetime
    queued_at: datetime
    changed_at: datetime
    sent_at: datetime | None = None
    token: int = 0
    attempts: int = 0
    ambiguous: bool = False
    late: bool = False
    person: str | None = None
    name: str | None = None
    email: str | None = None
    rule: str | None = None
    message_id: str | None = None
    reply: str | None = None
    redelivery: int = 0
    redelivery_of: UUID | None = None
    redelivered_by: str | None = None
    fallback: int = 0
    fallback_of: UUID | None = None
    scheduled_person: str | None = None

    @property
    def key(self) -> "Key":
        return Key(self.ticket_id, self.id, self.token)

    @property
    def addressee(self) -> Person | None:
        if self.person is None or self.name is None or self.email is None or self.rule is None:
            return None
        return Person(self.person, self.name, self.email, self.rule)

    @property
    def asked_again(self) -> Redelivery | None:
        """What its mail says of that; None: an event asked for it."""
        return Redelivery(self.redelivered_by or "", self.queued_at, self.redelivery) if self.redelivery else None

    @property
    def may_have_arrived(self) -> bool:
        """Sent, or taken by the server for all we know: it counts as sent (RULES 5)."""
        return self.state == "sent" or (self.ambiguous and self.state != "bounced")


@dataclass(frozen=True, slots=True)
class Noted:
    """A line of the journal: what a delivery reached.

    `ambiguous`: the server may have taken the attempt. `reported`: a server told later of one; it changed nothing.
    """

    delivery: Stored
    entry: Entry

    @property
    def is_told(self) -> bool:
        """True if an event tells of it."""
        return self.entry in get_args(DeliveryState)


@dataclass(frozen=True, slots=True)
class Key:
    """A claim: of which delivery of which ticket, and the token that fences it."""

    ticket_id: UUID
    id: UUID
    token: int


@dataclass(frozen=True, slots=True)
class Entering:
    """A message that is about to be handed over."""

    key: Key
    message_id: str
    late: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery whose claim still holds, at the real instant at which that is so.

    `withdrawn`: it is not needed any more. `others`: more of its ticket wait, perhaps behind it.
    """

    delivery: Stored
    real_now: datetime
    withdrawn: bool
    others: bool


def notify_delivery_id(ticket_id: UUID, notification_id: UUID) -> UUID:
    """The id of the delivery that a `notify` asks for."""
    return derived_id(ticket_id, "delivery", str(notification_id))


def stand_down_delivery_id(ticket_id: UUID, notification_id: UUID, person: str, mailbox: str) -> UUID:
    """The id of the delivery that a `stand_down` asks for `person` at that address, in lower case."""
    return derived_id(ticket_id, "delivery", str(notification_id), person, mailbox)


def occasion(notice: Notify | StandDown) -> str:
    """What a mail tells of: a person is told of it once, even who holds two of the roles that are told."""
    if isinstance(notice, StandDown):
        return f"stand_down/{notice.event_id}"
    return f"{notice.kind}/{notice.cycle}/{notice.run or ''}/{notice.step or notice.clock or ''}"


def told_event(delivery: Stored) -> DeliveryEvent:
    """The event that tells of the delivery's present state, one of `DeliveryState`; the same id whenever it is made."""
    return DeliveryEvent(
        event_id=derived_id(delivery.ticket_id, "told", str(delivery.id), delivery.state, delivery.attempts),
        delivery_id=delivery.id,
        notification_id=delivery.notification_id,
        tenant=delivery.tenant,
        ticket_id=delivery.ticket_id,
        kind=delivery.kind,
        cycle=delivery.cycle,
        run=delivery.run,
        step=delivery.step,
        tier=delivery.tier,
        recipient=Recipient(
            role=delivery.role,
            person=delivery.person,
            name=delivery.name,
            email=delivery.email,
            rule=delivery.rule,
        ),
        state=cast(DeliveryState, delivery.state),
        attempts=delivery.attempts,
        scheduled_at=delivery.scheduled_at,
        at=delivery.changed_at,
        late=delivery.late,
        ambiguous=delivery.ambiguous,
        message_id=delivery.message_id,
        reply=delivery.reply,
        redelivery_of=delivery.redelivery_of,
        redelivered_by=delivery.redelivered_by,
        fallback_of=delivery.fallback_of,
        scheduled_person=delivery.scheduled_person,
    )


def in_order(deliveries: Sequence[Stored]) -> list[Stored]:
    """A ticket's deliveries in the order of events. A mail keeps its place, whichever address it goes to."""
    places = {delivery.id: delivery.seq for delivery in deliveries}
    return sorted(deliveries, key=lambda delivery: (places[delivery.fallback_of or delivery.id], delivery.fallback))


def mailed_before(delivery: Stored, to: Person, deliveries: Sequence[Stored]) -> Sequence[str]:
    """The Message-IDs, oldest first, of what went earlier in the delivery's cycle to that person or to that address."""
    earlier = takewhile(lambda past: past.id != delivery.id, in_order(deliveries))
    arrived = (past for past in earlier if past.may_have_arrived and past.cycle == delivery.cycle)
    theirs = (past for past in arrived if past.person == to.person or past.email == to.email)
    return list(dict.fromkeys(past.message_id for past in theirs if past.message_id))


def told_before(notice: Notify | StandDown, person: str, deliveries: Iterable[Stored]) -> Sequence[Told]:
    """Who was told before in this ladder, with names from our own deliveries.

    For a stand-down, what `person` was told; for a missed response or answer, who was warned of it.
    """
    if isinstance(notice, StandDown):
        mine = set(notice.notifications)
        return _told(past for past in deliveries if past.notification_id in mine and past.person == person)
    if notice.kind == "warning":
        return ()
    if notice.kind != "escalation":
        warning = occasion(notice.model_copy(update={"kind": "warning"}))
        return _told(past for past in deliveries if past.occasion == warning)
    rows = sorted((past for past in deliveries if past.kind == "escalation"), key=_by_arrival)
    steps = {(past.tier, past.scheduled_at): past for past in rows}
    told = []
    for before in notice.told_before:
        past = steps.get((before.tier.number, before.at))
        tier = before.tier
        told.append(_telling(past, tier.number, tier.title) if past else Told(tier.number, tier.title, None, before.at))
    return told


def _by_arrival(past: Stored) -> tuple[bool, bool]:
    """What told somebody comes last, and of that, as of the rest, what was no redelivery."""
    return past.may_have_arrived, not past.redelivery


def _told(deliveries: Iterable[Stored]) -> Sequence[Told]:
    return [_telling(past, past.tier, past.role_title) for past in deliveries if past.may_have_arrived]


def _telling(past: Stored, tier: int | None, title: str) -> Told:
    return Told(
        tier,
        title,
        past.name,
        past.scheduled_at,
        past.sent_at if past.may_have_arrived else None,
        kind=past.kind,
        address=past.email if past.fallback else None,
        pending=past.ready_at is not None,
    )
