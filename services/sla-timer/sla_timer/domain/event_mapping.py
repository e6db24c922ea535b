"""Happenings as events of `tocsin.deadlines.v1`, with all that those who read them need to know. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from tocsin.business_time import instant
from tocsin.events import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockName,
    ClockVoided,
    ClockWarned,
    DeadlineEvent,
    EndReason,
    EscalationReason,
    LadderEnded,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
    Ticket,
    derived_id,
)
from tocsin.policy import Rules, Target

from sla_timer.domain.fact_log import Rulebook
from sla_timer.domain.timeline_events import LADDER, Happening, Item, Kind


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose events these are, and how far the facts are known. Instants in microseconds since the epoch.

    `historic_through`: what is due at or before it mails nobody (RULES 4, History). What lies after `confirmed_through`
    was judged without proof that no fact is missing. `severity` is the governing one.
    """

    ticket: Ticket
    rulebook: Rulebook
    severity: int
    historic_through: int | None
    confirmed_through: int


def announce(item: Item, happening: Happening, scope: Scope) -> DeadlineEvent:
    """The event that tells a happening under its natural key."""
    rules = scope.rulebook.rules[scope.rulebook.index_at(happening.at)]
    body = _body(item, happening.at, happening.severity, scope)
    if happening.clock is not None:
        return _clock(body, item, happening, happening.clock, rules)
    return _ladder(body, item, happening, rules)


def announce_void(item: Item, now: int, scope: Scope) -> DeadlineEvent:
    """The event that takes back what was told under this key; the whole run for the kind `ladder`."""
    rules = scope.rulebook.rules[scope.rulebook.index_at(now)]
    body = _body(item, now, scope.severity, scope)
    ticket_id = scope.ticket.ticket_id
    if item.subject != LADDER:
        return ClockVoided(
            **body,
            event_id=derived_id(ticket_id, "clock.voided", item.cycle, item.subject, item.run, item.kind),
            clock=cast("ClockName", item.subject),
            kind=cast("Literal['warned', 'breached', 'met', 'cancelled']", item.kind),
            voids=_id(ticket_id, Kind(f"clock.{item.kind}"), item),
            stand_down=rules.stand_down and item.kind == "breached" and item.subject != "resolution",
        )
    if item.kind == "step":
        event_id = derived_id(ticket_id, "ladder.step_voided", item.cycle, item.run, item.step)
        return LadderStepVoided(**body, event_id=event_id, step=item.step)
    event_id = _id(ticket_id, Kind.ENDED, item)
    return LadderEnded(**body, event_id=event_id, reason="voided", stand_down=rules.stand_down)


def _clock(body: dict[str, Any], item: Item, happening: Happening, clock: ClockName, rules: Rules) -> DeadlineEvent:
    body |= {
        "event_id": _id(body["ticket"].ticket_id, happening.kind, item),
        "clock": clock,
        "started_at": _instant(happening.started_at),
        "due_at": _instant(happening.due_at),
        "target": _target(rules, clock, happening.severity).words,
    }
    match happening.kind:
        case Kind.WARNED:
            return ClockWarned(**body, roles=rules.warning_roles)
        case Kind.BREACHED:
            roles = {"response": rules.response_missed_roles, "answer": rules.answer_missed_roles}
            return ClockBreached(**body, roles=roles.get(clock, ()))
        case Kind.MET:
            return ClockMet(**body)
        case Kind.CANCELLED:
            return ClockCancelled(**body)
        case _:
            raise ValueError(f"{happening.kind} is about no clock")


def _ladder(body: dict[str, Any], item: Item, happening: Happening, rules: Rules) -> DeadlineEvent:
    body |= {"event_id": _id(body["ticket"].ticket_id, happening.kind, item), "kept": happening.kept}
    match happening.kind:
        case Kind.STEP_DUE:
            return LadderStepDue(
                **body,
                step=item.step,
                reason=cast("EscalationReason", happening.reason),
                ladder=rules.ladder,
                interval=rules.interval[happening.severity].words,
                target=rules.resolution[happening.severity].words,
                started_at=_instant(happening.started_at),
                due_at=_instant(happening.due_at),
                next_at=_instant(happening.next_at),
            )
        case Kind.HELD:
            assert happening.held_by is not None
            return LadderHeld(**body, by=happening.held_by, until=_instant(happening.next_at))
        case Kind.ENDED:
            return LadderEnded(**body, reason=cast("EndReason", happening.reason), stand_down=rules.stand_down)
        case Kind.EXHAUSTED:
            return LadderExhausted(**body)
        case _:
            raise ValueError(f"{happening.kind} is about no ladder")


def _body(item: Item, at: int, severity: int, scope: Scope) -> dict[str, Any]:
    return {
        "ticket": scope.ticket,
        "cycle": item.cycle,
        "run": item.run,
        "severity": severity,
        "at": instant(at),
        "historic": scope.historic_through is not None and at <= scope.historic_through,
        "unconfirmed": at > scope.confirmed_through,
    }


def _target(rules: Rules, clock: ClockName, severity: int) -> Target:
    match clock:
        case "response":
            return rules.response[severity]
        case "resolution":
            return rules.resolution[severity]
        case "answer":
            return rules.answer


def _id(ticket_id: UUID, kind: Kind, item: Item) -> UUID:
    return derived_id(ticket_id, kind.value, item.cycle, item.subject, item.run, item.step)


def _instant(at: int | None) -> datetime | None:
    return None if at is None else instant(at)
