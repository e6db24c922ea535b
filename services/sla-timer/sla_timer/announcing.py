"""Happenings as events of `tocsin.deadlines.v1`, with all that those who read them need to know. Pure."""

from dataclasses import dataclass
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
    Deadline,
    EndReason,
    LadderEnded,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
    Reason,
    Ticket,
    derived_id,
)
from tocsin.policy import Rules, Target

from sla_timer.happening import Happening, Kind
from sla_timer.story import Rulebook


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


def announce(run: int, happening: Happening, scope: Scope) -> Deadline:
    """The event that tells a happening under its run."""
    rules = scope.rulebook.rules[scope.rulebook.index_at(happening.at)]
    body = _body(scope, happening.at, happening.cycle, run, happening.severity)
    if happening.clock is not None:
        return _clock(body, happening, happening.clock, rules)
    return _ladder(body, happening, rules)


def announce_void(cycle: int, run: int, subject: str, kind: str, step: int, now: int, scope: Scope) -> Deadline:
    """The event that takes back what was told under this key; a whole run for kind `ladder`."""
    rules = scope.rulebook.rules[scope.rulebook.index_at(now)]
    body = _body(scope, now, cycle, run, scope.severity)
    ticket_id = scope.ticket.ticket_id
    if subject != "ladder":
        clock = cast("ClockName", subject)
        return ClockVoided(
            **body,
            event_id=derived_id(ticket_id, "clock.voided", cycle, clock, run, kind),
            clock=clock,
            kind=cast("Literal['warned', 'breached', 'met', 'cancelled']", kind),
            voids=_clock_id(ticket_id, Kind(f"clock.{kind}"), cycle, clock, run),
            stand_down=rules.stand_down and kind == "breached",
        )
    if kind == "step":
        return LadderStepVoided(
            **body, event_id=derived_id(ticket_id, "ladder.step_voided", cycle, run, step), step=step
        )
    return LadderEnded(
        **body, event_id=_ladder_id(ticket_id, Kind.ENDED, cycle, run, 0), reason="voided", stand_down=rules.stand_down
    )


def _clock(body: dict[str, Any], happening: Happening, clock: ClockName, rules: Rules) -> Deadline:
    target = _target(rules, clock, happening.severity)
    body |= {
        "event_id": _clock_id(body["ticket"].ticket_id, happening.kind, happening.cycle, clock, body["run"]),
        "clock": clock,
        "started_at": _instant(happening.started_at),
        "due_at": _instant(happening.due_at),
        "target": target.words,
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


def _ladder(body: dict[str, Any], happening: Happening, rules: Rules) -> Deadline:
    step = happening.step or 0
    discriminator = happening.at if happening.kind is Kind.HELD else step
    body |= {
        "event_id": _ladder_id(body["ticket"].ticket_id, happening.kind, happening.cycle, body["run"], discriminator),
        "kept": happening.kept,
    }
    match happening.kind:
        case Kind.STEP_DUE:
            due_at = happening.due_at
            missed = due_at is not None and due_at <= happening.at
            return LadderStepDue(
                **body,
                step=step,
                reason=cast("Reason", happening.reason),
                ladder=rules.ladder,
                interval=rules.interval[happening.severity].words,
                target=rules.resolution[happening.severity].words,
                started_at=_instant(happening.started_at),
                due_at=_instant(due_at) if missed else None,
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


def _body(scope: Scope, at: int, cycle: int, run: int, severity: int) -> dict[str, Any]:
    return {
        "ticket": scope.ticket,
        "cycle": cycle,
        "run": run,
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


def _clock_id(ticket_id: UUID, kind: Kind, cycle: int, clock: str, run: int) -> UUID:
    return derived_id(ticket_id, kind.value, cycle, clock, run)


def _ladder_id(ticket_id: UUID, kind: Kind, cycle: int, run: int, step: int) -> UUID:
    return derived_id(ticket_id, kind.value, cycle, run, step)


def _instant(at: int | None) -> Any:
    return None if at is None else instant(at)
