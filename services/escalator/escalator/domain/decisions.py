"""Decides which notifications a deadline event sends, withdraws or stands down (docs/rules.md#5-escalation-ladder).

Pure: a decision depends on the event, earlier decisions and vacancies only. Deciding an event again changes nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple
from uuid import UUID

from tocsin.events import (
    Acknowledgement,
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockVoided,
    ClockWarned,
    DeadlineEvent,
    EndReason,
    EscalationEvent,
    EscalationRequested,
    Exhausted,
    LadderContinued,
    LadderEnded,
    LadderEvent,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
    NotificationKind,
    Notify,
    RequestRerouted,
    StandDown,
    Withdraw,
    derived_id,
)

from escalator.domain.tiers import (
    ExhaustedReason,
    IsVacant,
    LadderRun,
    LadderStep,
    Notification,
    RunKey,
    TicketEscalation,
    next_tier,
)

_FOR_INFORMATION: Final = ("warning", "response_missed", "answer_missed", "escalation_request")
"""The kinds of notifications that have no purpose once the ticket is closed (docs/rules.md#5-24)."""


class Decision(NamedTuple):
    """The ticket's escalation after an event, and the events to publish, in order."""

    escalation: TicketEscalation
    events: tuple[EscalationEvent, ...] = ()


def decide(event: DeadlineEvent, escalation: TicketEscalation, is_vacant: IsVacant) -> Decision:
    """The decision on `event`. `escalation` is the ticket's state before it."""
    match event:
        case ClockWarned():
            return _notify_roles(event, escalation, "warning")
        case ClockBreached(clock="response"):
            return _notify_roles(event, escalation, "response_missed")
        case ClockBreached(clock="answer"):
            return _notify_roles(event, escalation, "answer_missed")
        case ClockBreached():
            return Decision(escalation)  # the ladder's steps notify about a missed resolution
        case ClockMet():
            return _withdraw_about_clock(event, escalation, "resolved")
        case ClockCancelled():
            return _withdraw_about_clock(event, escalation, "cancelled")
        case ClockVoided():
            return _void_clock(event, escalation)
        case LadderStepDue():
            return _take_step(event, escalation, is_vacant)
        case LadderStepVoided():
            return _void_step(event, escalation)
        case LadderHeld():
            return _hold_run(event, escalation)
        case LadderContinued():
            return _continue_run(event, escalation)
        case LadderEnded():
            return _end_run(event, escalation)
        case LadderExhausted():
            return _reach_the_end(event, escalation)
        case EscalationRequested():
            return _notify_once(event, escalation, "escalation_request", event.role)
        case RequestRerouted():
            return _notify_once(event, escalation, "rerouted", "contact")
        case _:
            raise TypeError(f"no rule for {type(event).__name__}")


def _take_step(event: LadderStepDue, escalation: TicketEscalation, is_vacant: IsVacant) -> Decision:
    run = _run(event, escalation)
    if run.has_step(event.step) or run.exhausted is not None:
        return Decision(escalation.with_run(run))
    # A step after the end: late evidence undid the end, for example a workaround that turned out to be impossible.
    run = replace(
        run,
        tiers=event.ladder,
        held=False,
        next_at=event.next_at,
        due_at=event.due_at,
        acknowledgements=event.acknowledgements,
        ended_at=None,
        end_reason=None,
    )
    # A historic step notifies nobody, so vacancies do not matter.
    tier, skipped = next_tier(event.ladder, run.tier, lambda tier: not event.historic and is_vacant(tier, event.at))
    if tier is None:
        return _exhaust(event, escalation, replace(run, skipped=skipped), "vacant", mail=event.mail_exhausted)
    step = LadderStep(event.step, tier, event.at, event.reason, skipped)
    after = replace(run, tier=tier.number, steps=(*run.steps, step), live=run.live or not event.historic)
    if event.historic:
        return Decision(escalation.with_run(after))
    notify = Notify(
        event_id=derived_id(
            event.ticket_id,
            "notify",
            kind="escalation",
            cycle=event.cycle,
            run=event.run,
            step=event.step,
            role=tier.role,
        ),
        ticket=event.ticket,
        cycle=event.cycle,
        run=event.run,
        severity=event.severity,
        at=event.at,
        kind="escalation",
        role=tier.role,
        role_title=tier.title,
        step=event.step,
        tier=tier,
        reason=event.reason,
        target=event.target,
        interval=event.interval,
        started_at=event.started_at,
        due_at=event.due_at,
        skipped=skipped,
        told_before=escalation.notified_tiers(run),
        upcoming=after.upcoming(is_vacant),
        unconfirmed=event.unconfirmed,
        suggested_severity=event.suggested_severity,
        requested_by=event.requested_by,
        requested_reason=event.requested_reason,
        acknowledgements=event.acknowledgements,
    )
    after = replace(after, steps=(*run.steps, replace(step, notification=notify.event_id)))
    return Decision(escalation.with_run(after).with_notification(_notification(notify, event)), (notify,))


def _notify_roles(event: ClockWarned | ClockBreached, escalation: TicketEscalation, kind: NotificationKind) -> Decision:
    if event.historic:
        return Decision(escalation)
    known = {notification.id for notification in escalation.notifications}
    notifies: list[Notify] = []
    for role in dict.fromkeys(event.roles):
        notification_id = derived_id(
            event.ticket_id, "notify", kind=kind, cycle=event.cycle, run=event.run, clock=event.clock, role=role
        )
        if notification_id in known:
            continue
        notify = Notify(
            event_id=notification_id,
            ticket=event.ticket,
            cycle=event.cycle,
            severity=event.severity,
            at=event.at,
            kind=kind,
            role=role,
            role_title=_role_title(role),
            clock=event.clock,
            target=event.target,
            started_at=event.started_at,
            due_at=event.due_at,
            unconfirmed=event.unconfirmed,
            suggested_severity=event.suggested_severity,
        )
        escalation = escalation.with_notification(_notification(notify, event))
        notifies.append(notify)
    return Decision(escalation, tuple(notifies))


def _notify_once(
    event: EscalationRequested | RequestRerouted, escalation: TicketEscalation, kind: NotificationKind, role: str
) -> Decision:
    """A notification about the request itself, once per ticket (docs/rules.md#6-6, docs/rules.md#6-7)."""
    known = any(notification.kind == kind for notification in escalation.notifications)
    if event.historic or known:
        return Decision(escalation)
    notify = Notify(
        event_id=derived_id(event.ticket_id, "notify", kind=kind),
        ticket=event.ticket,
        cycle=event.cycle,
        severity=event.severity,
        at=event.at,
        kind=kind,
        role=role,
        role_title=_role_title(role),
        suggested_severity=event.suggested_severity,
    )
    return Decision(escalation.with_notification(_notification(notify, event)), (notify,))


def _withdraw_about_clock(
    event: ClockMet | ClockCancelled, escalation: TicketEscalation, reason: EndReason
) -> Decision:
    """A queued warning has no purpose once its clock is met or cancelled."""
    if event.clock == "resolution":
        return _close(event, escalation, _open_about_clocks(escalation, event.cycle), run=None, reason=reason)
    warnings = [
        notification.id
        for notification in escalation.notifications
        if notification.open
        and notification.kind == "warning"
        and (notification.key.cycle, notification.clock) == (event.cycle, event.clock)
    ]
    return _close(event, escalation, warnings, run=None, reason=reason)


def _void_clock(event: ClockVoided, escalation: TicketEscalation) -> Decision:
    voided = [notification for notification in escalation.notifications if notification.source == event.voids]
    if event.stand_down and event.kind == "breached":
        mailed = [notification.id for notification in voided if not notification.stood_down]
        return _close(event, escalation, mailed, run=None, reason="voided", stand_down=True)
    still_open = [notification.id for notification in voided if notification.open]
    return _close(event, escalation, still_open, run=None, reason="voided")


def _void_step(event: LadderStepVoided, escalation: TicketEscalation) -> Decision:
    """The tier stays notified: a step is sent once within its run (docs/rules.md#4-20). The next instant is unknown."""
    run = _run(event, escalation)
    steps = tuple(replace(step, voided=True) if step.step == event.step else step for step in run.steps)
    return Decision(escalation.with_run(replace(run, steps=steps, next_at=None)))


def _hold_run(event: LadderHeld, escalation: TicketEscalation) -> Decision:
    run = replace(_run(event, escalation), held=True, next_at=event.until)
    if event.by == "acknowledged":
        new = Acknowledgement(at=event.at, by=event.acknowledged_by, held_until=event.until)
        others = [known for known in run.acknowledgements if (known.at, known.by) != (new.at, new.by)]
        run = replace(run, acknowledgements=tuple(sorted([*others, new], key=lambda known: known.at)))
    return Decision(escalation.with_run(run))


def _continue_run(event: LadderContinued, escalation: TicketEscalation) -> Decision:
    """The run is open as the event states. Exhaustion stays: whoever can be notified has been (docs/rules.md#5-12)."""
    run = _run(event, escalation)
    exhausted = run.exhausted or (None if event.exhausted_at is None else "ladder")
    run = replace(
        run,
        held=event.held and exhausted is None,
        next_at=None if exhausted else event.next_at,
        exhausted=exhausted,
        exhausted_at=run.exhausted_at or event.exhausted_at,
        acknowledgements=event.acknowledgements,
        ended_at=None,
        end_reason=None,
        live=run.live or not event.historic,
    )
    return Decision(escalation.with_run(run))


def _end_run(event: LadderEnded, escalation: TicketEscalation) -> Decision:
    run = _run(event, escalation)
    if run.ended_at is not None:
        return Decision(escalation)
    escalation = escalation.with_run(replace(run, held=False, next_at=None, ended_at=event.at, end_reason=event.reason))
    about_ladder = [
        notification.id
        for notification in escalation.notifications
        if notification.open and notification.is_about_ladder(run.key)
    ]
    about_clocks = [] if event.reason == "voided" else _open_about_clocks(escalation, event.cycle)
    if not event.stand_down:
        return _close(event, escalation, [*about_ladder, *about_clocks], run=event.run, reason=event.reason)
    escalation, stand_downs = _close(
        event, escalation, about_ladder, run=event.run, reason=event.reason, stand_down=True
    )
    escalation, withdraws = _close(event, escalation, about_clocks, run=None, reason=event.reason)
    return Decision(escalation, stand_downs + withdraws)


def _reach_the_end(event: LadderExhausted, escalation: TicketEscalation) -> Decision:
    """Once per ladder, whether all its tiers were notified or those left above are vacant (docs/rules.md#5-11)."""
    run = _run(event, escalation)
    if run.exhausted is not None:
        return Decision(escalation.with_run(run))
    return _exhaust(event, escalation, replace(run, ended_at=None, end_reason=None), "ladder", mail=event.mail)


def _exhaust(
    event: LadderStepDue | LadderExhausted,
    escalation: TicketEscalation,
    run: LadderRun,
    reason: ExhaustedReason,
    *,
    mail: bool,
) -> Decision:
    """Everyone whom the run mailed is mailed once more, unless the policy wants no such mail (docs/rules.md#5-22)."""
    run = replace(
        run,
        exhausted=reason,
        exhausted_at=event.at,
        held=False,
        next_at=None,
        live=run.live or not event.historic,
    )
    escalation = escalation.with_run(run)
    if event.historic:
        return Decision(escalation)
    exhausted = Exhausted(
        event_id=derived_id(event.ticket_id, "exhausted", cycle=event.cycle, run=event.run),
        ticket=event.ticket,
        cycle=event.cycle,
        run=event.run,
        severity=event.severity,
        at=event.at,
        reason=reason,
        skipped=run.skipped,
        notifications=tuple(
            notification.id for notification in escalation.notifications if notification.is_about_ladder(run.key)
        ),
        mail=mail,
        target=event.target,
        due_at=run.due_at,
        suggested_severity=event.suggested_severity,
    )
    if mail and exhausted.notifications:
        notification = Notification(exhausted.event_id, event.event_id, run.key, "exhausted")
        escalation = escalation.with_notification(notification)
    return Decision(escalation, (exhausted,))


def _close(
    event: DeadlineEvent,
    escalation: TicketEscalation,
    notifications: Sequence[UUID],
    *,
    run: int | None,
    reason: EndReason,
    stand_down: bool = False,
) -> Decision:
    """Withdraw the notifications, or stand them down, if there are any."""
    if not notifications:
        return Decision(escalation)
    common: dict[str, Any] = {
        "event_id": derived_id(event.ticket_id, "stand_down" if stand_down else "withdraw", source=event.event_id),
        "ticket": event.ticket,
        "cycle": event.cycle,
        "run": run,
        "severity": event.severity,
        "at": event.at,
        "notifications": tuple(notifications),
        "reason": reason,
    }
    clock = event.clock if isinstance(event, ClockVoided) else None
    closing = StandDown(**common, clock=clock) if stand_down else Withdraw(**common)
    return Decision(escalation.with_closed(notifications, stood_down=stand_down), (closing,))


def _open_about_clocks(escalation: TicketEscalation, cycle: int) -> list[UUID]:
    """Open notifications for information of a cycle: not sent once the ticket is closed (docs/rules.md#5-24)."""
    return [
        notification.id
        for notification in escalation.notifications
        if notification.open and notification.kind in _FOR_INFORMATION and notification.key.cycle == cycle
    ]


def _run(event: LadderEvent, escalation: TicketEscalation) -> LadderRun:
    """The run of the event, as it was before it, with the severity that governs now."""
    return replace(escalation.run(RunKey(event.cycle, event.run), kept=event.kept), severity=event.severity)


def _notification(notify: Notify, source: DeadlineEvent) -> Notification:
    key = RunKey(source.cycle, source.run)
    return Notification(notify.event_id, source.event_id, key, notify.kind, notify.clock)


def _role_title(role: str) -> str:
    """The title of a role whose event carries only the name: `it_director` is `IT Director`."""
    return " ".join("IT" if word == "it" else word.capitalize() for word in role.split("_"))
