"""What is answered: deliveries in the form that the API shows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from tocsin.events import MailKind
from tocsin.instants import Instant

from notifier.domain.delivery import Entry, State, Stored
from notifier.store import Line


class Answer(BaseModel):
    """Frozen; instants in UTC with microseconds."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Delivery(Answer):
    """One mail to one recipient; instants are business time."""

    id: UUID
    notification_id: UUID = Field(description="The notification that asked for it, by the escalator's id")
    ticket_id: UUID
    kind: MailKind
    cycle: int
    run: int | None
    step: int | None
    tier: int | None
    severity: int
    role: str
    recipient: str | None = Field(
        validation_alias="email", description="The address; null: nobody has been chosen or found yet"
    )
    person: str | None = Field(description="The person by the directory")
    name: str | None
    rule: str | None = Field(description="The rule of the directory that chose them")
    state: State
    attempts: int
    scheduled_at: Instant = Field(description="When it had to be told")
    queued_at: Instant = Field(description="When the notifier learned of it")
    changed_at: Instant
    sent_at: Instant | None
    late: bool = Field(description="Handed over more than a minute after `scheduled_at`")
    ambiguous: bool = Field(
        description="An attempt ended between the message and the server's answer: it was or will be repeated with the "
        "same `message_id`"
    )
    message_id: str | None
    reply: str | None = Field(description="The server's last words, or ours where no server was asked")
    redelivery_of: UUID | None = Field(description="The mail that this one repeats, because somebody asked for it")
    redelivered_by: str | None = Field(description="Who asked: the key's id, and the name that was given")
    fallback_of: UUID | None = Field(
        description="The delivery whose address did not take this mail, so that it went on to this one"
    )
    scheduled_person: str | None = Field(
        description="Who held the role at `scheduled_at`, where somebody else did at sending"
    )


class JournalLine(Answer):
    """One state that a delivery reached; `ambiguous`: an attempt that may have arrived; `reported`: a mail server told
    something later that changed nothing.
    """

    entry: Entry
    attempts: int = Field(description="How many attempts had begun by then")
    at: Instant = Field(description="Business time")
    real_at: Instant = Field(description="The database's clock")
    recipient: str | None = Field(validation_alias="email", description="The address that it was about")
    reply: str | None = Field(description="The server's words, or ours")


class DeliveryWithJournal(Delivery):
    """A delivery, and all that became of it, oldest first."""

    journal: tuple[JournalLine, ...]


class Deliveries(Answer):
    """A page. `next_cursor` null: there are no more."""

    items: tuple[Delivery, ...]
    next_cursor: str | None


def delivery_answer(delivery: Stored) -> dict[str, Any]:
    """The delivery as JSON data, valid as `Delivery`."""
    return Delivery.model_validate(delivery).model_dump(mode="json")


def with_journal(delivery: Stored, journal: Sequence[Line]) -> dict[str, Any]:
    """The delivery and its journal as JSON data, valid as `DeliveryWithJournal`."""
    lines = [JournalLine.model_validate(line).model_dump(mode="json") for line in journal]
    return delivery_answer(delivery) | {"journal": lines}
