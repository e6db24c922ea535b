"""The subject of a webhook: one event of a ticket, from the records of the topics. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, get_args
from uuid import UUID

from tocsin.events import (
    ClockBreached,
    ClockEvent,
    ClockName,
    ClockVoided,
    ClockWarned,
    Event,
    Exhausted,
    Fact,
    FactType,
    LadderEnded,
    LadderStepVoided,
    Notify,
    Severity,
    Ticket,
    TicketChanged,
    TicketImported,
    Tier,
    UpcomingStep,
    fact_id,
)

WebhookEvent = Literal["warned", "breached", "tier", "acknowledged", "exhausted", "ended", "voided"]
WEBHOOK_EVENTS: Final[tuple[WebhookEvent, ...]] = get_args(WebhookEvent)

FOLLOW_UPS: Final[frozenset[WebhookEvent]] = frozenset({"ended", "voided"})
"""Events that end or take back what a receiver has got. Late evidence dates them back."""


@dataclass(frozen=True, slots=True)
class VoidedEvent:
    """The event that a `voided` one voids. `event_id` is null for a step, which cycle, run and step identify."""

    event: WebhookEvent
    event_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOccurrence:
    """An event. Fields that it does not have are null. `at` is the effective or scheduled instant, in business time."""

    event: WebhookEvent
    event_id: UUID
    ticket: Ticket
    severity: Severity
    at: datetime
    cycle: int | None = None
    run: int | None = None
    clock: ClockName | None = None
    target: str | None = None
    started_at: datetime | None = None
    due_at: datetime | None = None
    tier: Tier | None = None
    step: int | None = None
    reason: str | None = None
    """Why a step was taken, a ladder was exhausted, or a run ended."""
    upcoming: UpcomingStep | None = None
    acknowledged_by: str | None = None
    voids: VoidedEvent | None = None
    unconfirmed: bool = False


@dataclass(frozen=True, slots=True)
class AcknowledgedTicket:
    """A ticket of the read model, and the severity that governs."""

    ticket: Ticket
    severity: Severity


def occurrence_of(event: Event) -> WebhookOccurrence | None:
    """The occurrence in an event about a clock or a ladder; None if it makes no webhook, such as a historic event
    (docs/decisions/0049-outgoing-webhooks.md).
    """
    match event:
        case ClockWarned(historic=False):
            return _of_clock(event, "warned")
        case ClockBreached(historic=False):
            return _of_clock(event, "breached")
        case ClockVoided(historic=False, kind="warned" | "breached" as kind):
            return _of_clock(event, "voided", voids=VoidedEvent(kind, event.voids))
        case LadderStepVoided(historic=False):
            voids = VoidedEvent("tier", None)
            return replace(_of_run(event, "voided"), step=event.step, voids=voids, unconfirmed=event.unconfirmed)
        case LadderEnded(historic=False):
            return replace(_of_run(event, "ended"), reason=event.reason, unconfirmed=event.unconfirmed)
        case Notify(kind="escalation"):
            return replace(
                _of_run(event, "tier"),
                **_deadline(event),
                started_at=event.started_at,
                tier=event.tier,
                step=event.step,
                reason=event.reason,
                upcoming=event.upcoming,
                unconfirmed=event.unconfirmed,
            )
        case Exhausted():
            return replace(_of_run(event, "exhausted"), **_deadline(event), reason=event.reason)
    return None


def acknowledged_facts(event: Event) -> Iterator[Fact]:
    """The acknowledgements in a record of the tickets topic. Imported history has none."""
    facts: tuple[Fact, ...] = ()
    match event:
        case TicketChanged():
            facts = (event.fact,)
        case TicketImported(history=False):
            facts = event.facts
    return (fact for fact in facts if fact.type is FactType.ACKNOWLEDGED)


def acknowledgement_of(fact: Fact, known: AcknowledgedTicket) -> WebhookOccurrence:
    """The occurrence of an acknowledgement of a ticket."""
    return WebhookOccurrence(
        event="acknowledged",
        event_id=fact_id(known.ticket.ticket_id, fact.event_id),
        ticket=known.ticket,
        severity=known.severity,
        at=fact.occurred_at,
        reason=fact.reason,
        acknowledged_by=fact.actor,
    )


def _of_clock(event: ClockEvent, kind: WebhookEvent, voids: VoidedEvent | None = None) -> WebhookOccurrence:
    return WebhookOccurrence(
        event=kind,
        event_id=event.event_id,
        ticket=event.ticket,
        severity=event.severity,
        at=event.at,
        cycle=event.cycle,
        clock=event.clock,
        target=event.target,
        started_at=event.started_at,
        due_at=event.due_at,
        voids=voids,
        unconfirmed=event.unconfirmed,
    )


def _of_run(event: LadderStepVoided | LadderEnded | Notify | Exhausted, kind: WebhookEvent) -> WebhookOccurrence:
    return WebhookOccurrence(
        event=kind,
        event_id=event.event_id,
        ticket=event.ticket,
        severity=event.severity,
        at=event.at,
        cycle=event.cycle,
        run=event.run,
    )


def _deadline(event: Notify | Exhausted) -> dict[str, Any]:
    """The deadline that started the run; without one, an escalation was requested."""
    clock = "resolution" if event.due_at is not None else None
    return {"clock": clock, "target": event.target, "due_at": event.due_at}
