"""Decides which notifications a deadline event sends, withdraws or stands down (docs/rules.md#5-escalation-ladder).

Pure: a decision depends on the event, earlier decisions and vacancies only. Deciding an event again changes nothing.
"""

from tocsin.directory import role_title
from tocsin.events import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockVoided,
    ClockWarned,
    DeadlineEvent,
    EndReason,
    EscalationRequested,
    LadderContinued,
    LadderEnded,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
    NotificationKind,
    Notify,
    RequestRerouted,
    derived_id,
)

from escalator.domain.ladder_decisions import continue_run, end_run, hold_run, reach_the_end, take_step, void_step
from escalator.domain.tiers import Decision, IsVacant, Notification, TicketEscalation
from escalator.domain.withdrawal import close_notifications, open_about_clocks


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
            return take_step(event, escalation, is_vacant)
        case LadderStepVoided():
            return void_step(event, escalation)
        case LadderHeld():
            return hold_run(event, escalation)
        case LadderContinued():
            return continue_run(event, escalation)
        case LadderEnded():
            return end_run(event, escalation)
        case LadderExhausted():
            return reach_the_end(event, escalation)
        case EscalationRequested():
            return _notify_once(event, escalation, "escalation_request", event.role)
        case RequestRerouted():
            return _notify_once(event, escalation, "rerouted", "contact")
        case _:
            raise TypeError(f"no rule for {type(event).__name__}")


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
            role_title=role_title(role),
            clock=event.clock,
            target=event.target,
            started_at=event.started_at,
            due_at=event.due_at,
            unconfirmed=event.unconfirmed,
            suggested_severity=event.suggested_severity,
        )
        escalation = escalation.with_notification(Notification.of(notify, event))
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
        role_title=role_title(role),
        suggested_severity=event.suggested_severity,
    )
    return Decision(escalation.with_notification(Notification.of(notify, event)), (notify,))


def _withdraw_about_clock(
    event: ClockMet | ClockCancelled, escalation: TicketEscalation, reason: EndReason
) -> Decision:
    """A queued warning has no purpose once its clock is met or cancelled."""
    if event.clock == "resolution":
        about_clocks = open_about_clocks(escalation, event.cycle)
        return close_notifications(event, escalation, about_clocks, run=None, reason=reason)
    warnings = [
        notification.id
        for notification in escalation.notifications
        if notification.open
        and notification.kind == "warning"
        and (notification.key.cycle, notification.clock) == (event.cycle, event.clock)
    ]
    return close_notifications(event, escalation, warnings, run=None, reason=reason)


def _void_clock(event: ClockVoided, escalation: TicketEscalation) -> Decision:
    voided = [notification for notification in escalation.notifications if notification.source == event.voids]
    if event.stand_down and event.kind == "breached":
        mailed = [notification.id for notification in voided if not notification.stood_down]
        return close_notifications(event, escalation, mailed, run=None, reason="voided", stand_down=True)
    still_open = [notification.id for notification in voided if notification.open]
    return close_notifications(event, escalation, still_open, run=None, reason="voided")
