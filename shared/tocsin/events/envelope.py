"""Events as Kafka records: CloudEvents 1.0 in binary mode, attributes in `ce_` headers, JSON data in the value."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, assert_never, get_args
from uuid import UUID

from pydantic import ValidationError

from tocsin.events.deadlines import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockVoided,
    ClockWarned,
    DeadlineEvent,
    EscalationRequested,
    LadderContinued,
    LadderEnded,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
    RequestRerouted,
)
from tocsin.events.errors import InvalidEventError
from tocsin.events.escalations import EscalationEvent, Exhausted, Notify, StandDown, Withdraw
from tocsin.events.identity import derived_id, fact_id
from tocsin.events.notifications import DeliveryEvent, DeliveryState
from tocsin.events.reports import ReportReady
from tocsin.events.tickets import TicketChanged, TicketImported, TicketOpened, Watermark
from tocsin.events.values import FactType
from tocsin.instants import render_instant
from tocsin.validation import describe_validation_error

Event = (
    TicketOpened
    | TicketChanged
    | TicketImported
    | Watermark
    | DeadlineEvent
    | EscalationEvent
    | ReportReady
    | DeliveryEvent
)
Headers = Sequence[tuple[str, bytes]]

EVENT_TYPES: Final[Mapping[str, type[Event]]] = {
    "ticket.opened": TicketOpened,
    **{f"ticket.{kind}": TicketChanged for kind in FactType if kind is not FactType.OPENED},
    "ticket.imported": TicketImported,
    "progress": Watermark,
    "clock.warned": ClockWarned,
    "clock.breached": ClockBreached,
    "clock.met": ClockMet,
    "clock.cancelled": ClockCancelled,
    "clock.voided": ClockVoided,
    "ladder.step_due": LadderStepDue,
    "ladder.step_voided": LadderStepVoided,
    "ladder.held": LadderHeld,
    "ladder.continued": LadderContinued,
    "ladder.ended": LadderEnded,
    "ladder.exhausted": LadderExhausted,
    "escalation.requested": EscalationRequested,
    "request.rerouted": RequestRerouted,
    "notify": Notify,
    "withdraw": Withdraw,
    "stand_down": StandDown,
    "exhausted": Exhausted,
    "report.ready": ReportReady,
    **{f"delivery.{state}": DeliveryEvent for state in get_args(DeliveryState)},
}
_NAMES: Final[Mapping[type[Event], str]] = {model: name for name, model in EVENT_TYPES.items()}
WATERMARK_HEADER: Final = "ce_acceptedthrough"


def event_type(event: Event) -> str:
    """Return the CloudEvents `type`, such as `ticket.opened`."""
    if isinstance(event, TicketChanged):
        return f"ticket.{event.fact.type}"
    if isinstance(event, DeliveryEvent):
        return f"delivery.{event.state}"
    return _NAMES[type(event)]


def event_id(event: Event) -> UUID:
    """Return the CloudEvents `id`. The same event always has the same id. Raises ValueError for a watermark."""
    match event:
        case TicketOpened() | TicketChanged():
            return fact_id(event.ticket_id, event.fact.event_id)
        case TicketImported():
            return derived_id(event.ticket_id, "imported")
        case DeadlineEvent() | EscalationEvent() | ReportReady() | DeliveryEvent():
            return event.event_id
        case Watermark():
            raise ValueError("a watermark has no id")
        case _:
            assert_never(event)


def encode(event: Event, source: str, value: bytes | None = None) -> tuple[list[tuple[str, bytes]], bytes]:
    """Return (headers, value) of the record. `source` is the service, such as `intake`.

    `value` is the event as JSON, if it is rendered already. A watermark is not a CloudEvent: its record has its type
    and its instant only.
    """
    if isinstance(event, Watermark):
        return [
            ("ce_type", b"progress"),
            (WATERMARK_HEADER, render_instant(event.accepted_through).encode()),
        ], b""
    headers = attribute_headers(
        id=str(event_id(event)),
        type=event_type(event),
        source=source,
        subject=str(event.ticket_id),
        time=render_instant(_time(event)),
    )
    return headers, event.model_dump_json().encode() if value is None else value


def attribute_headers(*, id: str, type: str, source: str, subject: str, time: str) -> list[tuple[str, bytes]]:
    """Return the headers of a record with these CloudEvents attributes. `source` is the service, such as `intake`."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", id.encode()),
        ("ce_type", type.encode()),
        ("ce_source", f"/tocsin/{source}".encode()),
        ("ce_subject", subject.encode()),
        ("ce_time", time.encode()),
        ("content-type", b"application/json"),
    ]


def decode(headers: Headers, value: bytes | None) -> Event:
    """Return the event of a record. Raises InvalidEventError."""
    attributes = dict(headers)
    name = attributes.get("ce_type", b"").decode(errors="replace")
    model = EVENT_TYPES.get(name)
    if model is None:
        raise InvalidEventError(f"unknown event type {name[:80]!r}")
    try:
        if model is Watermark:
            return Watermark.model_validate_strings(
                {"accepted_through": attributes.get(WATERMARK_HEADER, b"").decode(errors="replace")}
            )
        event = model.model_validate_json(value or b"")
    except ValidationError as error:
        raise InvalidEventError(f"{name}: {describe_validation_error(error)}") from error
    if event_type(event) != name:
        raise InvalidEventError(f"{name}: the data is that of {event_type(event)}")
    return event


def _time(
    event: TicketOpened
    | TicketChanged
    | TicketImported
    | DeadlineEvent
    | EscalationEvent
    | ReportReady
    | DeliveryEvent,
) -> datetime:
    match event:
        case TicketOpened() | TicketChanged():
            return event.fact.occurred_at
        case TicketImported():
            return event.received_at
        case DeadlineEvent() | EscalationEvent() | ReportReady() | DeliveryEvent():
            return event.at
        case _:
            assert_never(event)
