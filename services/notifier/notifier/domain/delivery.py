"""One delivery: one mail to one person at one address, and how it changes. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self, cast, get_args
from uuid import UUID

from tocsin.directory import Holder
from tocsin.events import DeliveryEvent, Exhausted, MailKind, Notify, Recipient, ReportReady, StandDown, derived_id
from tocsin.events import DeliveryState as PublishedState

Notification = Notify | StandDown | Exhausted
"""An event of the escalator that requests mails about a ticket."""
MailRequest = Notification | ReportReady
"""An event that requests mails."""

TICKET_ROLES: Final = ("assignee", "contact")
"""The roles that the ticket itself fills, not the directory."""
REPORT_ROLE: Final = "report_reader"
"""In the place of a role: a report goes to a person."""
LEAST_URGENT: Final = 5
"""In the place of a severity: a report has none, and leaves after all mails about tickets."""


class DeliveryState(StrEnum):
    """The state of a delivery. README.md shows the transitions."""

    QUEUED = "queued"
    HELD = "held"
    """It waits for a digest."""
    CLAIMED = "claimed"
    IN_DATA = "in_data"
    SENT = "sent"
    DEFERRED = "deferred"
    REFUSED = "refused"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"
    UNDELIVERABLE = "undeliverable"


class JournalNote(StrEnum):
    """A journal entry that is not a change of state."""

    AMBIGUOUS = "ambiguous"
    """The server may have accepted the attempt, but its reply is missing."""
    REPORTED = "reported"
    """A mail server reported something later that changed nothing."""


IN_FLIGHT = (DeliveryState.CLAIMED, DeliveryState.IN_DATA)


@dataclass(frozen=True, slots=True)
class Now:
    """One instant by both clocks: `real` schedules retries and leases, `business` is what people see."""

    real: datetime
    business: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of `deliveries`.

    `published_at` (of its notification), `created_at`, `ready_at` and `sent_real_at` are real time, all other instants
    business time. `ready_at` is when the next attempt may start; while an attempt is in flight, when its lease expires;
    None once the state is final. `sent_real_at` is when a server accepted the mail, or may have. `token` counts the
    claims and fences them. `attempts` counts those that were not given up before the message was offered. `digest_id`
    is the digest of the last attempt, None for a single mail.

    `redelivery_number` counts the redeliveries of `redelivery_of` from 1; 0 for what an event requested.
    `fallback_number` counts the further addresses of `fallback_of` from 1; 0 for the first address. Person and address
    of a fallback never change. `scheduled_person` held the role at `scheduled_at`, if `person` is somebody else.

    `person` is an id of the directory; for an assignee or contact that the directory does not know, the address.

    A report is about no ticket. Its `ticket_id` is the id of the report, its severity `LEAST_URGENT`, and its person is
    known from the start.
    """

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
    published_at: datetime
    created_at: datetime
    queued_at: datetime
    changed_at: datetime
    ready_at: datetime | None
    state: DeliveryState = DeliveryState.QUEUED
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
    redelivery_number: int = 0
    redelivery_of: UUID | None = None
    redelivered_by: str | None = None
    fallback_number: int = 0
    fallback_of: UUID | None = None
    scheduled_person: str | None = None
    digest_id: UUID | None = None
    sent_real_at: datetime | None = None
    seq: int = 0
    """The order of events; 0 until it is stored."""

    @property
    def is_in_flight(self) -> bool:
        return self.state in IN_FLIGHT

    @property
    def is_severity_1(self) -> bool:
        return self.severity == 1

    @property
    def ticket_severity(self) -> int | None:
        """The severity of its ticket; None for a report."""
        return None if self.kind == "report" else self.severity

    @property
    def in_digest(self) -> bool:
        return self.digest_id is not None

    @property
    def repeats_digest(self) -> bool:
        """Whether a server may have accepted it in a digest, so that it can only be repeated in the same one."""
        return self.ambiguous and self.in_digest

    @property
    def may_have_arrived(self) -> bool:
        """Sent, or perhaps accepted by the server; both count as sent (docs/rules.md#5-23)."""
        return self.state == DeliveryState.SENT or (self.ambiguous and self.state != DeliveryState.BOUNCED)

    def addressed_to(self, holder: Holder) -> Self:
        return replace(self, person=holder.person, name=holder.name, email=holder.email, rule=holder.rule)

    def released(self, now: Now) -> Self:
        """The delivery after a claim that was given up before the message was offered: that was no attempt."""
        return replace(self, state=DeliveryState.QUEUED, ready_at=now.real, attempts=self.attempts - 1)

    def ended(self, state: DeliveryState, reply: str, now: Now) -> Self:
        """The delivery in a final state."""
        return replace(self, state=state, ready_at=None, changed_at=now.business, reply=reply)

    def successor(self, now: Now, **changes: Any) -> Self:
        """A new delivery of the same notification to the same person, with nothing attempted yet."""
        fresh: dict[str, Any] = {
            "state": DeliveryState.QUEUED,
            "created_at": now.real,
            "changed_at": now.business,
            "ready_at": now.real,
            "sent_at": None,
            "token": 0,
            "attempts": 0,
            "ambiguous": False,
            "late": False,
            "message_id": None,
            "digest_id": None,
            "sent_real_at": None,
            "seq": 0,
        }
        return replace(self, **fresh | changes)


def mail_kind(notification: MailRequest) -> MailKind:
    """The kind of mail that it requests."""
    match notification:
        case Notify():
            return notification.kind
        case StandDown():
            return "stand_down"
        case Exhausted():
            return "exhausted"
        case ReportReady():
            return "report"


def occasion(notification: MailRequest) -> str:
    """The occasion of a mail. A person gets one mail per occasion, even with two roles (docs/rules.md#5-23)."""
    if isinstance(notification, StandDown):
        return f"stand_down/{notification.event_id}"
    if isinstance(notification, Exhausted):
        return f"exhausted/{notification.cycle}/{notification.run}"
    if isinstance(notification, ReportReady):
        return f"report/{notification.month}"
    about = notification.step or notification.clock or ""
    return f"{notification.kind}/{notification.cycle}/{notification.run or ''}/{about}"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A delivery as it was when it reached a state, or when a note was added."""

    delivery: Delivery
    entry: DeliveryState | JournalNote

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        return cls(delivery, delivery.state)

    @property
    def event(self) -> DeliveryEvent | None:
        """The event that publishes this entry; None where it is not published. Its id is the same every time."""
        return _event(self.delivery) if self.entry in get_args(PublishedState) else None


def _event(delivery: Delivery) -> DeliveryEvent:
    return DeliveryEvent(
        event_id=derived_id(
            delivery.ticket_id, "told", delivery=delivery.id, state=delivery.state, attempts=delivery.attempts
        ),
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
        state=cast(PublishedState, delivery.state.value),
        attempts=delivery.attempts,
        scheduled_at=delivery.scheduled_at,
        at=delivery.changed_at,
        late=delivery.late,
        ambiguous=delivery.ambiguous,
        message_id=delivery.message_id,
        in_digest=delivery.in_digest,
        reply=delivery.reply,
        redelivery_of=delivery.redelivery_of,
        redelivered_by=delivery.redelivered_by,
        fallback_of=delivery.fallback_of,
        scheduled_person=delivery.scheduled_person,
    )
