"""Maps timeline events to events of `tocsin.deadlines.v1`, with everything that consumers need. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from tocsin.business_time import to_datetime
from tocsin.events import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockName,
    ClockVoided,
    ClockWarned,
    DeadlineEvent,
    LadderEnded,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
    Ticket,
    derived_id,
)
from tocsin.policy import Rules, Target

from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.timeline_events import LADDER, EventKey, EventKind, KeyedEvent, TimelineEvent

VoidedKind = Literal["warned", "breached", "met", "cancelled"]
_VOIDED_KINDS: Final[Mapping[EventKind, VoidedKind]] = {
    EventKind.WARNED: "warned",
    EventKind.BREACHED: "breached",
    EventKind.MET: "met",
    EventKind.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class EventContext:
    """The ticket of the events, the policy, and how far the facts are known. Instants in microseconds.

    `severity` is the governing one. An event at or before `historic_through` mails nobody (docs/rules.md#4-24). One
    after `confirmed_through` is unconfirmed (docs/rules.md#4-22).
    """

    ticket: Ticket
    policies: PolicyHistory
    severity: int
    historic_through: int | None
    confirmed_through: int


def published_event(keyed: KeyedEvent, context: EventContext) -> DeadlineEvent:
    """The event to publish for a timeline event."""
    key, event = keyed
    rules = context.policies.rules_at(event.at)
    body = _body(key, context, at=event.at, severity=event.severity) | {
        "event_id": _event_id(context.ticket.ticket_id, key)
    }
    if event.clock is not None:
        return _clock_event(body, event, event.clock, rules)
    return _ladder_event(body, event, rules)


def voiding_event(key: EventKey, at: int, context: EventContext, *, of_history: bool = False) -> DeadlineEvent:
    """The event to publish at `at` to void the one with this key. A key of kind `ENDED` voids the whole run.

    `of_history`: the voided event was historic. Voiding an event of a clock that nobody was mailed about is historic
    too.
    """
    rules = context.policies.rules_at(at)
    body = _body(key, context, at=at, severity=context.severity)
    ticket_id = context.ticket.ticket_id
    if key.subject != LADDER:
        kind = _VOIDED_KINDS[key.kind]
        return ClockVoided(
            **body | {"historic": body["historic"] or of_history},
            event_id=derived_id(
                ticket_id, "clock.voided", cycle=key.cycle, clock=key.subject, run=key.run, voided=kind
            ),
            clock=key.subject,
            kind=kind,
            voids=_event_id(ticket_id, key),
            # A voided breach of the resolution ends its ladder, and that stands everyone down.
            stand_down=rules.stand_down and kind == "breached" and key.subject != "resolution",
        )
    if key.kind is EventKind.STEP_DUE:
        event_id = derived_id(ticket_id, "ladder.step_voided", cycle=key.cycle, run=key.run, step=key.step)
        return LadderStepVoided(**body, event_id=event_id, step=key.step)
    return LadderEnded(**body, event_id=_event_id(ticket_id, key), reason="voided", stand_down=rules.stand_down)


def _clock_event(body: dict[str, Any], event: TimelineEvent, clock: ClockName, rules: Rules) -> DeadlineEvent:
    body = body | {
        "clock": clock,
        "started_at": _optional_instant(event.started_at),
        "due_at": _optional_instant(event.due_at),
        "target": _target(rules, clock, event.severity).words,
    }
    match event.kind:
        case EventKind.WARNED:
            return ClockWarned(**body, roles=rules.warning_roles)
        case EventKind.BREACHED:
            roles = {"response": rules.response_missed_roles, "answer": rules.answer_missed_roles}
            return ClockBreached(**body, roles=roles.get(clock, ()))
        case EventKind.MET:
            return ClockMet(**body)
        case EventKind.CANCELLED:
            return ClockCancelled(**body)
        case _:
            raise ValueError(f"{event.kind} is not an event of a clock")


def _ladder_event(body: dict[str, Any], event: TimelineEvent, rules: Rules) -> DeadlineEvent:
    body = body | {"kept": event.kept}
    match event:
        case TimelineEvent(kind=EventKind.STEP_DUE, step=int(step), reason=str(reason)):
            return LadderStepDue(
                **body,
                step=step,
                reason=reason,
                ladder=rules.ladder,
                interval=rules.interval[event.severity].words,
                target=rules.resolution[event.severity].words,
                started_at=_optional_instant(event.started_at),
                due_at=_optional_instant(event.due_at),
                next_at=_optional_instant(event.next_at),
            )
        case TimelineEvent(kind=EventKind.HELD, held_by=str(held_by)):
            return LadderHeld(**body, by=held_by, until=_optional_instant(event.next_at))
        case TimelineEvent(kind=EventKind.ENDED, end_reason=str(end_reason)):
            return LadderEnded(**body, reason=end_reason, stand_down=rules.stand_down)
        case TimelineEvent(kind=EventKind.EXHAUSTED):
            return LadderExhausted(**body)
        case _:
            raise ValueError(f"{event} is not an event of a ladder")


def _body(key: EventKey, context: EventContext, *, at: int, severity: int) -> dict[str, Any]:
    return {
        "ticket": context.ticket,
        "cycle": key.cycle,
        "run": key.run,
        "severity": severity,
        "at": to_datetime(at),
        "historic": context.historic_through is not None and at <= context.historic_through,
        "unconfirmed": at > context.confirmed_through,
    }


def _target(rules: Rules, clock: ClockName, severity: int) -> Target:
    match clock:
        case "response":
            return rules.response[severity]
        case "resolution":
            return rules.resolution[severity]
        case "answer":
            return rules.answer


def _event_id(ticket_id: UUID, key: EventKey) -> UUID:
    return derived_id(ticket_id, key.kind.value, cycle=key.cycle, subject=key.subject, run=key.run, step=key.step)


def _optional_instant(at: int | None) -> datetime | None:
    return None if at is None else to_datetime(at)
