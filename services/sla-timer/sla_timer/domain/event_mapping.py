"""Maps timeline events to events of `tocsin.deadlines.v1`, with everything that consumers need. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from tocsin.business_time import to_datetime
from tocsin.events import (
    Acknowledgement,
    Assignee,
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockName,
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
    Ticket,
    derived_id,
)
from tocsin.policy import ASSIGNEE, Rules

from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.request_notices import NoticeKind
from sla_timer.domain.ticket_details import TicketDetails
from sla_timer.domain.timeline_events import LADDER, EventKey, EventKind, KeyedEvent, TimelineEvent

VoidedKind = Literal["warned", "breached", "met", "cancelled"]
_VOIDED_KINDS: Final[Mapping[EventKind, VoidedKind]] = {
    EventKind.WARNED: "warned",
    EventKind.BREACHED: "breached",
    EventKind.MET: "met",
    EventKind.CANCELLED: "cancelled",
}


class EventContext(NamedTuple):
    """The ticket of the events, the policy, and how far the facts are known. Instants in microseconds.

    `severity` is the governing one. An event at or before `historic_through` mails nobody (docs/rules.md#4-24). One
    after `confirmed_through` is unconfirmed (docs/rules.md#4-22).
    """

    ticket: Ticket
    policies: PolicyHistory
    severity: int
    historic_through: int | None
    confirmed_through: int


class DueEvent(NamedTuple):
    """An event of the agenda as it is published once it is due: its natural key, and its JSON without the ticket.

    `ticket` is the JSON of its ticket; null means as at the opening. It is confirmed: `json` can say otherwise.
    """

    kind: str
    subject: str
    cycle: int
    run: int
    step: int
    event_id: str
    severity: int
    historic: bool
    reason: str | None
    body: str
    ticket: str | None

    def json(self, opened: bytes, *, confirmed: bool) -> bytes:
        """The JSON of the event. `opened` is that of the ticket as at its opening."""
        ticket = opened if self.ticket is None else self.ticket.encode()
        # No text can contain this: in JSON its quotes are escaped.
        body = self.body if confirmed else self.body.replace('"unconfirmed":false', '"unconfirmed":true')
        return b'{"ticket":' + ticket + b"," + body[1:].encode()


def rendered_event(keyed: KeyedEvent, details: TicketDetails, context: EventContext) -> DueEvent:
    """Render an event of the agenda."""
    event = published_event(keyed, details, context._replace(confirmed_through=keyed.event.at))
    key = keyed.key
    return DueEvent(
        kind=key.kind.value,
        subject=key.subject,
        cycle=key.cycle,
        run=key.run,
        step=key.step,
        event_id=str(event.event_id),
        severity=event.severity,
        historic=event.historic,
        reason=keyed.event.reason,
        body=event.model_dump_json(exclude={"ticket"}),
        ticket=None if event.ticket is context.ticket else event.ticket.model_dump_json(),
    )


def published_event(keyed: KeyedEvent, details: TicketDetails, context: EventContext) -> DeadlineEvent:
    """The event to publish for a timeline event. `details` are those at its instant."""
    key, event = keyed
    rules = context.policies.rules_at(event.at)
    body = _body(context, details, at=event.at, cycle=key.cycle, run=key.run, severity=event.severity) | {
        "event_id": _event_id(context.ticket.ticket_id, key)
    }
    if event.clock is not None:
        return _clock_event(body, event, event.clock, rules)
    return _ladder_event(body, event, rules)


def notice_event(kind: NoticeKind, at: int, details: TicketDetails, context: EventContext) -> DeadlineEvent:
    """The event about the request itself, at its opening. `details` are those at that instant."""
    ticket = context.ticket
    body = _body(context, details, at=at, cycle=1, run=1, severity=ticket.initial_severity) | {
        "event_id": derived_id(ticket.ticket_id, kind.value)
    }
    if kind is NoticeKind.REQUEST_REROUTED:
        return RequestRerouted(**body)
    return EscalationRequested(**body, role=context.policies.rules_at(at).service_delivery_role)


def voiding_event(
    key: EventKey, at: int, details: TicketDetails, context: EventContext, *, of_history: bool = False
) -> DeadlineEvent:
    """The event to publish at `at` to void the one with this key. A key of kind `ENDED` voids the whole run.

    `of_history`: the voided event was historic. If it was one of a clock, so is the voiding: nobody was mailed.
    """
    rules = context.policies.rules_at(at)
    body = _body(context, details, at=at, cycle=key.cycle, run=key.run, severity=context.severity)
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
        "target": _target_words(rules, body["ticket"], clock, event.severity),
    }
    assignee = body["ticket"].assignee
    match event.kind:
        case EventKind.WARNED:
            return ClockWarned(**body, roles=_resolve_roles(rules.warning_roles, assignee, rules))
        case EventKind.BREACHED:
            return ClockBreached(**body, roles=missed_roles(clock, assignee, rules))
        case EventKind.MET:
            return ClockMet(**body)
        case EventKind.CANCELLED:
            return ClockCancelled(**body)
        case _:
            raise ValueError(f"{event.kind} is not an event of a clock")


def missed_roles(clock: ClockName, assignee: Assignee | None, rules: Rules) -> tuple[str, ...]:
    """The roles that are informed if the clock is missed, `assignee` included. None for the resolution clock, which
    starts the ladder (docs/rules.md#3-5).
    """
    match clock:
        case "response":
            return _resolve_roles(rules.response_missed_roles, assignee, rules)
        case "answer":
            return _resolve_roles(rules.answer_missed_roles, assignee, rules)
        case "resolution":
            return ()


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
                target=_target_words(rules, body["ticket"], "resolution", event.severity),
                started_at=_optional_instant(event.started_at),
                due_at=_optional_instant(event.due_at),
                next_at=_optional_instant(event.next_at),
                requested_by=event.actor,
                requested_reason=event.actor_reason,
                acknowledgements=_acknowledgements(event),
                mail_exhausted=rules.mail_exhausted,
            )
        case TimelineEvent(kind=EventKind.HELD, held_by=str(held_by)):
            until = _optional_instant(event.next_at)
            return LadderHeld(**body, by=held_by, until=until, acknowledged_by=event.actor)
        case TimelineEvent(kind=EventKind.CONTINUED):
            return LadderContinued(
                **body,
                held=event.held,
                next_at=_optional_instant(event.next_at),
                exhausted_at=_optional_instant(event.exhausted_at),
                acknowledgements=_acknowledgements(event),
            )
        case TimelineEvent(kind=EventKind.ENDED, end_reason=str(end_reason)):
            return LadderEnded(**body, reason=end_reason, stand_down=rules.stand_down)
        case TimelineEvent(kind=EventKind.EXHAUSTED):
            target = _target_words(rules, body["ticket"], "resolution", event.severity)
            return LadderExhausted(**body, target=target, mail=rules.mail_exhausted)
        case _:
            raise ValueError(f"{event} is not an event of a ladder")


def _acknowledgements(event: TimelineEvent) -> tuple[Acknowledgement, ...]:
    return tuple(
        Acknowledgement(at=to_datetime(one.at), by=one.by, held_until=_optional_instant(one.held_until))
        for one in event.acknowledgements
    )


def _body(
    context: EventContext, details: TicketDetails, *, at: int, cycle: int, run: int, severity: int
) -> dict[str, Any]:
    ticket = context.ticket
    if details.assignee != ticket.assignee:
        ticket = ticket.model_copy(update={"assignee": details.assignee})
    return {
        "ticket": ticket,
        "cycle": cycle,
        "run": run,
        "severity": severity,
        "suggested_severity": details.suggested_severity,
        "at": to_datetime(at),
        "historic": context.historic_through is not None and at <= context.historic_through,
        "unconfirmed": at > context.confirmed_through,
    }


def _resolve_roles(roles: Sequence[str], assignee: Assignee | None, rules: Rules) -> tuple[str, ...]:
    """The roles without an assignee who cannot be mailed; if none is left, that of tier 1 (docs/rules.md#3-5)."""
    has_address = assignee is not None and assignee.email is not None
    return tuple(role for role in roles if role != ASSIGNEE or has_address) or (rules.ladder[0].role,)


def _target_words(rules: Rules, ticket: Ticket, clock: ClockName, severity: int) -> str | None:
    """The target in words. None for a resolution clock that the policy does not measure (docs/rules.md#3-18)."""
    if clock == "response":
        return rules.response[severity].words
    if clock == "answer":
        return rules.answer.words
    words = rules.resolution[severity].words
    match rules.measures[ticket.category]:
        case "none":
            return None
        case "by_start" if ticket.starts_at is not None:
            return f"{words}, or by the start if that is later"
        case _:
            return words


def _event_id(ticket_id: UUID, key: EventKey) -> UUID:
    return derived_id(ticket_id, key.kind.value, cycle=key.cycle, subject=key.subject, run=key.run, step=key.step)


def _optional_instant(at: int | None) -> datetime | None:
    return None if at is None else to_datetime(at)
