"""CloudEvents 1.0, Kafka binding, binary mode: attributes in `ce_` headers, JSON data in the record's value."""

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
    Deadline,
    LadderEnded,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
)
from tocsin.events.escalations import Escalation, Exhausted, Notify, StandDown, Withdraw
from tocsin.events.identity import derived_id, fact_id
from tocsin.events.notifications import Delivery, DeliveryState
from tocsin.events.tickets import Progress, TicketChanged, TicketImported, TicketOpened
from tocsin.events.values import FactType, render_instant

Event = TicketOpened | TicketChanged | TicketImported | Progress | Deadline | Escalation | Delivery
Headers = Sequence[tuple[str, bytes]]

TYPES: Final[Mapping[str, type[Event]]] = {
    "ticket.opened": TicketOpened,
    **{f"ticket.{kind}": TicketChanged for kind in FactType if kind is not FactType.OPENED},
    "ticket.imported": TicketImported,
    "progress": Progress,
    "clock.warned": ClockWarned,
    "clock.breached": ClockBreached,
    "clock.met": ClockMet,
    "clock.cancelled": ClockCancelled,
    "clock.voided": ClockVoided,
    "ladder.step_due": LadderStepDue,
    "ladder.step_voided": LadderStepVoided,
    "ladder.held": LadderHeld,
    "ladder.ended": LadderEnded,
    "ladder.exhausted": LadderExhausted,
    "notify": Notify,
    "withdraw": Withdraw,
    "stand_down": StandDown,
    "exhausted": Exhausted,
    **{f"delivery.{state}": Delivery for state in get_args(DeliveryState)},
}
_NAMES: Final[Mapping[type[Event], str]] = {model: name for name, model in TYPES.items()}
PROGRESS_HEADER: Final = "ce_acceptedthrough"


class InvalidEvent(Exception):
    """A record that is no event of ours: unknown type, missing header, or data that its model refuses."""


def event_type(event: Event) -> str:
    """The CloudEvents `type`, e.g. `ticket.opened`."""
    if isinstance(event, TicketChanged):
        return f"ticket.{event.fact.type}"
    if isinstance(event, Delivery):
        return f"delivery.{event.state}"
    return _NAMES[type(event)]


def event_id(event: Event) -> UUID:
    """The CloudEvents `id`, the same whenever the same event is made again."""
    match event:
        case TicketOpened() | TicketChanged():
            return fact_id(event.ticket_id, event.fact.event_id)
        case TicketImported():
            return derived_id(event.ticket_id, "imported")
        case Deadline() | Escalation() | Delivery():
            return event.event_id
        case Progress():
            raise ValueError("a progress record has no id")
        case _:
            assert_never(event)


def encode(event: Event, source: str) -> tuple[list[tuple[str, bytes]], bytes]:
    """(headers, value) of the record; `source` is the service, e.g. `intake`.

    A progress record carries only what its readers need: its type and its instant.
    """
    if isinstance(event, Progress):
        return [
            ("ce_type", b"progress"),
            (PROGRESS_HEADER, render_instant(event.accepted_through).encode()),
        ], b""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": str(event_id(event)),
        "ce_type": event_type(event),
        "ce_source": f"/tocsin/{source}",
        "ce_subject": str(event.ticket_id),
        "ce_time": render_instant(_time(event)),
        "content-type": "application/json",
    }
    return [(name, text.encode()) for name, text in attributes.items()], event.model_dump_json().encode()


def decode(headers: Headers, value: bytes | None) -> Event:
    """The event of a record. Raises InvalidEvent, which names what is wrong with it."""
    attributes = dict(headers)
    name = attributes.get("ce_type", b"").decode(errors="replace")
    model = TYPES.get(name)
    if model is None:
        raise InvalidEvent(f"unknown event type {name[:80]!r}")
    try:
        if model is Progress:
            return Progress.model_validate_strings(
                {"accepted_through": attributes.get(PROGRESS_HEADER, b"").decode(errors="replace")}
            )
        event = model.model_validate_json(value or b"")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "data"
        raise InvalidEvent(f"{name}: {field}: {first['msg']}") from error
    if event_type(event) != name:
        raise InvalidEvent(f"{name}: the data describe {event_type(event)}")
    return event


def _time(event: TicketOpened | TicketChanged | TicketImported | Deadline | Escalation | Delivery) -> datetime:
    match event:
        case TicketOpened() | TicketChanged():
            return event.fact.occurred_at
        case TicketImported():
            return event.received_at
        case Deadline() | Escalation() | Delivery():
            return event.at
        case _:
            assert_never(event)
