"""Events of `tocsin.notifications.v1`: what became of every mail, for whoever keeps an audit."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from tocsin.events.values import FrozenModel
from tocsin.instants import Instant

Count = Annotated[int, Field(ge=1)]
DeliveryState = Literal["sent", "deferred", "refused", "bounced", "cancelled", "undeliverable"]
MailKind = Literal["escalation", "warning", "response_missed", "answer_missed", "stand_down"]


class Recipient(FrozenModel):
    """Who was chosen and by which rule of the directory. Null `email`: nobody held the role."""

    role: str
    person: str | None = None
    name: str | None = None
    email: str | None = None
    rule: str | None = None


class DeliveryEvent(FrozenModel):
    """`delivery.sent`, `.deferred`, `.refused`, `.bounced`, `.cancelled`, `.undeliverable`: one mail in one state.

    It has one recipient. A mail that was sent may bounce later.
    `redelivery_of`: somebody asked for that delivery once more, and this is the mail; `redelivered_by` says who.
    `fallback_of`: that delivery's address did not take the mail, and this is the same mail to a further one (null
    `email`: none was left). `scheduled_person` held the role at `scheduled_at`, and somebody else at sending.
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
    state: DeliveryState
    attempts: Annotated[int, Field(ge=0)]
    scheduled_at: Instant
    at: Instant
    late: bool = False
    ambiguous: bool = False
    message_id: str | None = None
    reply: str | None = None
    redelivery_of: UUID | None = None
    redelivered_by: str | None = None
    fallback_of: UUID | None = None
    scheduled_person: str | None = None
