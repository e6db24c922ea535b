"""Events of `tocsin.notifications.v1`: the state of each delivery, for an audit."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from tocsin.events.values import Count, FrozenModel
from tocsin.instants import Instant

DeliveryState = Literal["sent", "deferred", "refused", "bounced", "cancelled", "undeliverable"]
MailKind = Literal[
    "escalation",
    "warning",
    "response_missed",
    "answer_missed",
    "stand_down",
    "exhausted",
    "escalation_request",
    "rerouted",
    "report",
]


class Recipient(FrozenModel):
    """The recipient of a delivery, and the rule of the directory that applied."""

    role: str
    """The role that was notified, or `assignee` or `contact` of the ticket, or `report_reader` of a report."""
    person: str | None = None
    """The id of the person in the directory. For an assignee or contact whom it does not know, their address."""
    name: str | None = None
    """The name of the person."""
    email: str | None = None
    """The address that the mail goes to. Null if nobody held the role, or no address was left."""
    rule: str | None = None
    """The rule of the directory by which the person held the role, or `assignee of the ticket` or `contact of the
    ticket`. For a report, `reports`."""


class DeliveryEvent(FrozenModel):
    """`delivery.sent`, `.deferred`, `.refused`, `.bounced`, `.cancelled`, `.undeliverable`: the state of one delivery.

    A delivery is one mail to one recipient. A mail that was sent may bounce later.
    """

    event_id: UUID
    delivery_id: UUID
    """The id of the delivery."""
    notification_id: UUID
    """The id of the notification that caused the delivery."""
    tenant: str
    ticket_id: UUID
    """The id of the ticket. For a report, which is about no ticket, the id of the report."""
    kind: MailKind
    """The kind of mail."""
    cycle: Count
    """The cycle of the ticket: 1 from its opening, one more from each reopening."""
    run: Count | None = None
    """The run of the ladder within the cycle. Null for a mail about a clock."""
    step: Count | None = None
    """The number of the step within its run."""
    tier: Count | None = None
    """The number of the tier."""
    recipient: Recipient
    state: DeliveryState
    """The state of the delivery. It ends in the event type."""
    attempts: Annotated[int, Field(ge=0)]
    """The number of attempts so far."""
    scheduled_at: Instant
    """The scheduled instant of the notification."""
    at: Instant
    """The instant at which the delivery reached this state."""
    late: bool = False
    """Whether the mail was sent more than 60 seconds after its scheduled instant."""
    ambiguous: bool = False
    """Whether an attempt ended before the server's reply, so that it may have delivered the mail."""
    message_id: str | None = None
    """The Message-ID of the mail."""
    in_digest: bool = False
    """Whether the mail was a digest (`Tocsin-Kind: digest`) that lists other tickets too."""
    reply: str | None = None
    """The last reply of the SMTP server, or the reason of the state."""
    redelivery_of: UUID | None = None
    """The delivery that this one repeats at someone's request."""
    redelivered_by: str | None = None
    """Who requested the redelivery."""
    fallback_of: UUID | None = None
    """The delivery whose address failed. This one sends the same mail to the next address."""
    scheduled_person: str | None = None
    """The person who held the role at `scheduled_at`, if someone else held it at sending."""
