"""The request and response models of deliveries and bounce reports."""

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from tocsin.characters import Line
from tocsin.events import MailKind
from tocsin.instants import Instant
from tocsin.runtime.http.responses import ResponseModel

from notifier.domain.bounces import BounceAction
from notifier.domain.delivery import DeliveryState, JournalNote
from notifier.handlers.bounces import ReportResult
from notifier.store.unmatched_reports import UnmatchedReason

_SENT: Final[dict[str, Any]] = {
    "id": "3f7e8630-205c-554f-855d-e3a8337a53f7",
    "notification_id": "dccd7fe6-0a9f-50e4-af2a-ca3f4d3481f9",
    "ticket_id": "1f2179db-15df-5301-954e-79cce3c08d79",
    "kind": "warning",
    "cycle": 1,
    "run": None,
    "step": None,
    "tier": None,
    "severity": 1,
    "role": "service_desk_team_lead",
    "recipient": "maya.lindqvist@example.com",
    "person": "maya.lindqvist",
    "name": "Maya Lindqvist",
    "rule": "default",
    "state": "sent",
    "attempts": 1,
    "scheduled_at": "2026-06-08T12:45:00.000000Z",
    "queued_at": "2026-06-08T12:45:00.000000Z",
    "changed_at": "2026-06-08T12:45:00.000000Z",
    "sent_at": "2026-06-08T12:45:00.000000Z",
    "late": False,
    "ambiguous": False,
    "in_digest": False,
    "message_id": "<1f2179db-15df-5301-954e-79cce3c08d79.4d53ee87-eb6e-503d-a48a-61faa3692b0d@example.org>",
    "reply": "250 2.0.0 OK",
    "redelivery_of": None,
    "redelivered_by": None,
    "fallback_of": None,
    "scheduled_person": None,
}
_REDELIVERY: Final[dict[str, Any]] = _SENT | {
    "id": "9b0a6d0e-3f57-5b7e-8a38-3a9b6f7a51c2",
    "state": "queued",
    "attempts": 0,
    "sent_at": None,
    "message_id": None,
    "reply": "requested by Dana Whitfield (key aB3dE5gH): the first mail was deleted",
    "redelivery_of": _SENT["id"],
    "redelivered_by": "Dana Whitfield (key aB3dE5gH)",
}
_JOURNAL: Final[list[dict[str, Any]]] = [
    {
        "entry": entry,
        "attempts": attempts,
        "at": "2026-06-08T12:45:00.000000Z",
        "real_at": f"2026-06-08T12:48:26.{microsecond}Z",
        "reply": reply,
        "recipient": _SENT["recipient"],
    }
    for entry, attempts, microsecond, reply in (
        ("queued", 0, "132264", None),
        ("claimed", 1, "171406", None),
        ("in_data", 1, "320511", None),
        ("sent", 1, "349289", "250 2.0.0 OK"),
    )
]


def _example(*examples: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [*examples]}, validate_by_name=True)


class DeliveryResponse(ResponseModel):
    """One mail to one person at one address. Instants are business time."""

    model_config = _example(_REDELIVERY)

    id: UUID
    notification_id: UUID = Field(description="The escalator's notification that the mail is about")
    ticket_id: UUID = Field(description="The ticket; of a mail of the kind `report`, the id of the report")
    kind: MailKind
    cycle: int
    run: int | None
    step: int | None
    tier: int | None
    severity: int | None = Field(validation_alias="ticket_severity", description="null for a report")
    role: str
    recipient: str | None = Field(
        validation_alias="email", description="The address; null: nobody has been chosen or found yet"
    )
    person: str | None = Field(
        description="The person's id in the directory; the address of an assignee or contact whom it does not know"
    )
    name: str | None
    rule: str | None = Field(description="The rule of the directory that chose the person, or the role of the ticket")
    state: DeliveryState
    attempts: int
    scheduled_at: Instant = Field(description="When the recipient should have been notified")
    queued_at: Instant = Field(description="When the notifier received the notification")
    changed_at: Instant
    sent_at: Instant | None
    late: bool = Field(description="Sent more than a minute after `scheduled_at`")
    ambiguous: bool = Field(
        description="An attempt ended between the message and the server's reply, so it was or will be repeated with "
        "the same `message_id`"
    )
    in_digest: bool = Field(description="The last attempt sent a digest, which is one mail with several deliveries")
    message_id: str | None
    reply: str | None = Field(description="The server's last reply, or ours if no server was contacted")
    redelivery_of: UUID | None = Field(description="The delivery that an administrator requested again")
    redelivered_by: str | None = Field(description="Who requested it: the key's id, and the name in the request")
    fallback_of: UUID | None = Field(description="The delivery to the first address, which failed")
    scheduled_person: str | None = Field(
        description="Who held the role at `scheduled_at`, if somebody else held it at sending"
    )


class JournalEntryResponse(ResponseModel):
    """One state that a delivery reached. `ambiguous`: an attempt that may have arrived; `reported`: a mail server's
    report that changed nothing.
    """

    entry: DeliveryState | JournalNote
    attempts: int = Field(description="How many attempts had started by then")
    at: Instant = Field(description="Business time")
    real_at: Instant = Field(description="The database's clock")
    recipient: str | None = Field(validation_alias="email", description="The address")
    reply: str | None = Field(description="The server's reply, or ours")


class DeliveryDetailResponse(DeliveryResponse):
    """A delivery with its journal, oldest entry first."""

    model_config = _example(_SENT | {"journal": _JOURNAL})

    journal: tuple[JournalEntryResponse, ...]


class DeliveryListResponse(ResponseModel):
    """A page of deliveries. `next_cursor` is null on the last page."""

    model_config = _example({"items": [_SENT], "next_cursor": "1"})

    items: tuple[DeliveryResponse, ...]
    next_cursor: str | None


_MAX_LINE: Final = 200
OptionalLine = Annotated[Line, Field(max_length=_MAX_LINE), AfterValidator(lambda text: text.strip() or None)]
"""One line of text; blank is the same as missing."""


REDELIVERY_EXAMPLE: Final = {"by": "Dana Whitfield", "reason": "the first mail was deleted"}


class RedeliveryRequest(BaseModel):
    """Who requests the redelivery, and why; both are optional."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
    )

    by: OptionalLine | None = Field(None, description="A name; mail and journal show it with the key's id")
    reason: OptionalLine | None = Field(None, description="Recorded in the journal")


class RecipientReportResponse(ResponseModel):
    """What the report changed for one recipient."""

    recipient: str = Field(description="The address, as the report writes it")
    action: BounceAction
    result: ReportResult = Field(
        description="`bounced`: the mail did not arrive, and its next address is tried. `noted`: recorded in the "
        "journal. `unmatched`: noted, because it failed at an address that we did not mail, and several of our mails "
        "have that `message_id`. `known`: reported before. `nothing`: the mail arrived"
    )
    delivery_id: UUID


_UNMATCHED: Final[dict[str, Any]] = {
    "id": 12,
    "received_at": "2026-06-08T13:00:05.000000Z",
    "reason": "unknown",
    "problem": "No mail has the Message-ID <5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>.",
    "sender": "Mail Delivery System <MAILER-DAEMON@mx.example.com>",
    "subject": "Undelivered Mail Returned to Sender",
    "message_id": "<5f1e6c1e-8a0e-5b58-9a53-0d1c7a3e2b11@example.org>",
    "recipient": "dana@example.com",
    "size": 2718,
}


class UnmatchedReportResponse(ResponseModel):
    """A message that arrived as a bounce report and matched no mail. Do not trust its content."""

    id: int
    received_at: Instant = Field(description="The database's clock")
    reason: UnmatchedReason = Field(
        description="`unknown`: no mail has the Message-ID. `unmatched`: it failed at an address that we did not mail, "
        "and several mails have that Message-ID. `unreadable`: not a bounce report that can be read. `no_bounce`: an "
        "automatic reply, a read receipt or another message that says nothing about the delivery of a mail"
    )
    problem: str = Field(description="The reason as a sentence")
    sender: str | None
    subject: str | None
    message_id: str | None = Field(description="Of the mail that it seems to be about")
    recipient: str | None = Field(description="Of the mail that it seems to be about")
    size: int = Field(description="Bytes")


class UnmatchedReportListResponse(ResponseModel):
    """A page of unmatched reports, newest first. `next_cursor` is null on the last page."""

    model_config = _example({"items": [_UNMATCHED], "next_cursor": None})

    items: tuple[UnmatchedReportResponse, ...]
    next_cursor: str | None


class BounceResponse(ResponseModel):
    """The changes by a report, by recipient, and the unmatched report if it was kept."""

    model_config = _example(
        {
            "message_id": _SENT["message_id"],
            "recipients": [
                {
                    "recipient": "maya.lindqvist@example.com",
                    "action": "failed",
                    "result": "bounced",
                    "delivery_id": _SENT["id"],
                }
            ],
            "unmatched": None,
        },
        {"message_id": None, "recipients": [], "unmatched": _UNMATCHED},
    )

    message_id: str | None = Field(description="null if the message is about no known mail")
    recipients: tuple[RecipientReportResponse, ...]
    unmatched: UnmatchedReportResponse | None = Field(description="null if everything was matched")
