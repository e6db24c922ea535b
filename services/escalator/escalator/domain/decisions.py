"""What follows from an event of the deadlines topic: who is addressed, withdrawn, stood down. Pure (RULES 4 and 5).

Everything is decided from the event and from what was decided before; the same event again decides nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from tocsin.events import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockVoided,
    ClockWarned,
    DeadlineEvent,
    EndReason,
    EscalationEvent,
    Exhausted,
    LadderEnded,
    LadderEvent,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
    NotificationKind,
    Notify,
    StandDown,
    Tier,
    Withdraw,
    derived_id,
)

from escalator.domain.tiers import Case, ExhaustedReason, Ladder, Notification, Told, Vacant, next_tier

Decided = tuple[Case, tuple[EscalationEvent, ...]]


def address(event: DeadlineEvent, case: Case, vacant: Vacant) -> Decided:
    """(what is remembered after `event`, the events to publish, in order). `vacant` is the directory's word."""
    match event:
        case ClockWarned():
            return _clock_told(event, case, "warning")
        case ClockBreached(clock="response"):
            return _clock_told(event, case, "response_missed")
        case ClockBreached(clock="answer"):
            return _clock_told(event, case, "answer_missed")
        case ClockBreached():
            return case, ()  # a missed resolution addresses nobody by itself: the steps of its ladder do
        case ClockMet():
            return _clock_ended(event, case, "resolved")
        case ClockCancelled():
            return _clock_ended(event, case, "cancelled")
        case ClockVoided():
            return _clock_voided(event, case)
        case LadderStepDue():
            return _step_due(event, case, vacant)
        case LadderStepVoided():
            return _step_voided(event, case), ()
        case LadderHeld():
            return case.put(replace(_ladder(event, case), held=True, next_at=event.until)), ()
        case LadderEnded():
            return _ended(event, case)
        case LadderExhausted():
            return _exhausted(event, case)
        case _:
            raise TypeError(f"no rule for {type(event).__name__}")


def _step_due(event: LadderStepDue, case: Case, vacant: Vacant) -> Decided:
    ladder = _ladder(event, case)
    if ladder.has_told(event.step) or ladder.exhausted is not None:
        return case.put(ladder), ()
    # A step after the end means that late evidence undid the end, as a workaround that turned out impossible.
    ladder = replace(ladder, tiers=event.ladder, held=False, next_at=event.next_at, ended_at=None, end_reason=None)
    # Nobody was asked at a historic step, so nobody's absence counts at it.
    tier, skipped = next_tier(event.ladder, ladder.tier, lambda tier: not event.historic and vacant(tier, event.at))
    if tier is None:
        ladder = replace(ladder, exhausted="vacant", skipped=skipped, next_at=None)
        return case.put(ladder), () if event.historic else (_nobody_left(event, "vacant", skipped),)
    told = Told(event.step, tier, event.at, event.reason, skipped)
    after = replace(ladder, tier=tier.number, told=(*ladder.told, told))
    if event.historic:
        return case.put(after), ()
    notify = Notify(
        event_id=derived_id(event.ticket_id, "notify", "escalation", event.cycle, event.run, event.step, tier.role),
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
        told_before=case.told_before(ladder),
        upcoming=after.upcoming(vacant),
        unconfirmed=event.unconfirmed,
    )
    after = replace(after, told=(*ladder.told, replace(told, notification=notify.event_id)))
    return _remember(case.put(after), notify, event), (notify,)


def _clock_told(event: ClockWarned | ClockBreached, case: Case, kind: NotificationKind) -> Decided:
    if event.historic:
        return case, ()
    known = {notification.id for notification in case.notifications}
    decided: list[Notify] = []
    for role in dict.fromkeys(event.roles):
        name = derived_id(event.ticket_id, "notify", kind, event.cycle, event.run, event.clock, role)
        if name in known:
            continue
        notify = Notify(
            event_id=name,
            ticket=event.ticket,
            cycle=event.cycle,
            severity=event.severity,
            at=event.at,
            kind=kind,
            role=role,
            role_title=title(role),
            clock=event.clock,
            target=event.target,
            started_at=event.started_at,
            due_at=event.due_at,
            unconfirmed=event.unconfirmed,
        )
        case = _remember(case, notify, event)
        decided.append(notify)
    return case, tuple(decided)


def _clock_ended(event: ClockMet | ClockCancelled, case: Case, reason: EndReason) -> Decided:
    """A warning that still waits for its mail server is pointless once its clock is met or cancelled."""
    if event.clock == "resolution":
        return _withdraw(event, case, _about_clocks(case, event.cycle), None, reason)
    warnings = [
        notification.id
        for notification in case.notifications
        if notification.open
        and notification.kind == "warning"
        and (notification.cycle, notification.clock) == (event.cycle, event.clock)
    ]
    return _withdraw(event, case, warnings, None, reason)


def _about_clocks(case: Case, cycle: int) -> list[UUID]:
    """Warnings and missed clocks of a cycle: once its ticket is closed, what is queued is not sent (RULES 5)."""
    return [
        notification.id
        for notification in case.notifications
        if notification.open and notification.kind != "escalation" and notification.cycle == cycle
    ]


def _clock_voided(event: ClockVoided, case: Case) -> Decided:
    told = [notification for notification in case.notifications if notification.source == event.voids]
    if event.stand_down and event.kind == "breached":
        mailed = [notification.id for notification in told if not notification.stood_down]
        return _stand_down(event, case, mailed, None, "voided")
    return _withdraw(event, case, [notification.id for notification in told if notification.open], None, "voided")


def _step_voided(event: LadderStepVoided, case: Case) -> Case:
    """A step once told is never told again within its run, so its tier stays told; when the next one is, is unknown."""
    ladder = _ladder(event, case)
    told = tuple(replace(told, voided=True) if told.step == event.step else told for told in ladder.told)
    return case.put(replace(ladder, told=told, next_at=None))


def _ended(event: LadderEnded, case: Case) -> Decided:
    ladder = _ladder(event, case)
    if ladder.ended_at is not None:
        return case, ()
    case = case.put(replace(ladder, held=False, next_at=None, ended_at=event.at, end_reason=event.reason))
    told = [
        notification.id
        for notification in case.notifications
        if notification.open
        and notification.kind == "escalation"
        and (notification.cycle, notification.run) == ladder.key
    ]
    about_clocks = [] if event.reason == "voided" else _about_clocks(case, event.cycle)
    if not event.stand_down:
        return _withdraw(event, case, [*told, *about_clocks], event.run, event.reason)
    case, stood_down = _stand_down(event, case, told, event.run, event.reason)
    case, withdrawn = _withdraw(event, case, about_clocks, None, event.reason)
    return case, stood_down + withdrawn


def _exhausted(event: LadderExhausted, case: Case) -> Decided:
    """Once a ladder, whether its tiers are all told or those left above are vacant."""
    ladder = _ladder(event, case)
    if ladder.exhausted is not None:
        return case.put(ladder), ()
    ladder = replace(ladder, exhausted="ladder", held=False, next_at=None, ended_at=None, end_reason=None)
    return case.put(ladder), () if event.historic else (_nobody_left(event, "ladder", ()),)


def _nobody_left(event: LadderEvent, reason: ExhaustedReason, skipped: tuple[Tier, ...]) -> Exhausted:
    return Exhausted(
        event_id=derived_id(event.ticket_id, "exhausted", event.cycle, event.run),
        ticket=event.ticket,
        cycle=event.cycle,
        run=event.run,
        severity=event.severity,
        at=event.at,
        reason=reason,
        skipped=skipped,
    )


def _withdraw(
    event: DeadlineEvent, case: Case, notifications: Sequence[UUID], run: int | None, reason: EndReason
) -> Decided:
    if not notifications:
        return case, ()
    withdraw = Withdraw(
        event_id=derived_id(event.ticket_id, "withdraw", str(event.event_id)),
        ticket=event.ticket,
        cycle=event.cycle,
        run=run,
        severity=event.severity,
        at=event.at,
        notifications=tuple(notifications),
        reason=reason,
    )
    return _closed(case, notifications), (withdraw,)


def _stand_down(
    event: DeadlineEvent, case: Case, notifications: Sequence[UUID], run: int | None, reason: EndReason
) -> Decided:
    if not notifications:
        return case, ()
    stand_down = StandDown(
        event_id=derived_id(event.ticket_id, "stand_down", str(event.event_id)),
        ticket=event.ticket,
        cycle=event.cycle,
        run=run,
        severity=event.severity,
        at=event.at,
        notifications=tuple(notifications),
        reason=reason,
        clock=event.clock if isinstance(event, ClockVoided) else None,
    )
    return _closed(case, notifications, stood_down=True), (stand_down,)


def _ladder(event: LadderEvent, case: Case) -> Ladder:
    return case.ladder(event.cycle, event.run, event.kept)


def _remember(case: Case, notify: Notify, event: DeadlineEvent) -> Case:
    notification = Notification(notify.event_id, event.event_id, event.cycle, event.run, notify.kind, notify.clock)
    return replace(case, notifications=(*case.notifications, notification))


def _closed(case: Case, notifications: Sequence[UUID], *, stood_down: bool = False) -> Case:
    closing = set(notifications)
    return replace(
        case,
        notifications=tuple(
            replace(notification, open=False, stood_down=stood_down) if notification.id in closing else notification
            for notification in case.notifications
        ),
    )


def title(role: str) -> str:
    """The words for a role of which a clock's event carries only the name: `it_director` is `IT Director`."""
    return " ".join("IT" if word == "it" else word.capitalize() for word in role.split("_"))
