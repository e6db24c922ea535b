"""Events of `tocsin.notifications.v1`: what became of every mail, for whoever keeps an audit."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from tocsin.events.values import Instant, Value

Count = Annotated[int, Field(ge=1)]
MailKind = Literal["escalation", "warning", "response_missed", "answer_missed", "stand_down"]


class Recipient(Value):
    """Who was chosen and by which rule of the directory. Null `email`: nobody held the role."""

    role: str
    person: str | None = None
    name: str | None = None
    email: str | None = None
    rule: str | None = None


class Delivery(Value):
    """`delivery.sent`, `.deferred`, `.refused`, `.cancelled`, `.undeliverable`: one recipient, one mail, one state.

    `redelivery_of`: somebody asked for that delivery once more, and this is the mail; `redelivered_by` says who.
    """

    event_id: UUID
    delivery_id: UUID
    notification_id: UUID
    tenant: str
    ticket_id: UUID
    kind: MailKind
    cycle: Count
    run: Count | None = None
    step: Count | None = None
    tier: Count | None = None
    recipient: Recipient
    state: Literal["sent", "deferred", "refused", "cancelled", "undeliverable"]
    attempts: Annotated[int, Field(ge=0)]
    scheduled_at: Instant
    at: Instant
    late: bool = False
    ambiguous: bool = False
    message_id: str | None = None
    reply: str | None = None
    redelivery_of: UUID | None = None
    redelivered_by: str | None = None
