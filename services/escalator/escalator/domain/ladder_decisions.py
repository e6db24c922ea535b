"""Decides on the events of a ladder: steps, holds, continuations, the end (docs/rules.md#5-escalation-ladder). Pure."""

from dataclasses import replace

from tocsin.events import (
    Acknowledgement,
    Exhausted,
    LadderContinued,
    LadderEnded,
    LadderEvent,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
    Notify,
    derived_id,
)

from escalator.domain.tiers import (
    Decision,
    ExhaustedReason,
    IsVacant,
    LadderRun,
    LadderStep,
    Notification,
    RunKey,
    TicketEscalation,
    next_tier,
)
from escalator.domain.withdrawal import close_notifications, open_about_clocks


def take_step(event: LadderStepDue, escalation: TicketEscalation, is_vacant: IsVacant) -> Decision:
    """The next tier that is not vacant is notified; without one, the ladder is exhausted."""
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
    return Decision(escalation.with_run(after).with_notification(Notification.of(notify, event)), (notify,))


def void_step(event: LadderStepVoided, escalation: TicketEscalation) -> Decision:
    """The tier stays notified: a step is sent once within its run (docs/rules.md#4-20). The next instant is unknown."""
    run = _run(event, escalation)
    steps = tuple(replace(step, voided=True) if step.step == event.step else step for step in run.steps)
    return Decision(escalation.with_run(replace(run, steps=steps, next_at=None)))


def hold_run(event: LadderHeld, escalation: TicketEscalation) -> Decision:
    """The run is held, by an acknowledgement or another fact; nobody is notified."""
    run = replace(_run(event, escalation), held=True, next_at=event.until)
    if event.by == "acknowledged":
        new = Acknowledgement(at=event.at, by=event.acknowledged_by, held_until=event.until)
        others = [known for known in run.acknowledgements if (known.at, known.by) != (new.at, new.by)]
        run = replace(run, acknowledgements=tuple(sorted([*others, new], key=lambda known: known.at)))
    return Decision(escalation.with_run(run))


def continue_run(event: LadderContinued, escalation: TicketEscalation) -> Decision:
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


def end_run(event: LadderEnded, escalation: TicketEscalation) -> Decision:
    """Everyone whom the run mailed is stood down, if the policy wants it (docs/rules.md#5-24)."""
    run = _run(event, escalation)
    if run.ended_at is not None:
        return Decision(escalation)
    escalation = escalation.with_run(replace(run, held=False, next_at=None, ended_at=event.at, end_reason=event.reason))
    about_ladder = [
        notification.id
        for notification in escalation.notifications
        if notification.open and notification.is_about_ladder(run.key)
    ]
    about_clocks = [] if event.reason == "voided" else open_about_clocks(escalation, event.cycle)
    if not event.stand_down:
        return close_notifications(
            event, escalation, [*about_ladder, *about_clocks], run=event.run, reason=event.reason
        )
    escalation, stand_downs = close_notifications(
        event, escalation, about_ladder, run=event.run, reason=event.reason, stand_down=True
    )
    escalation, withdraws = close_notifications(event, escalation, about_clocks, run=None, reason=event.reason)
    return Decision(escalation, stand_downs + withdraws)


def reach_the_end(event: LadderExhausted, escalation: TicketEscalation) -> Decision:
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


def _run(event: LadderEvent, escalation: TicketEscalation) -> LadderRun:
    """The run of the event, as it was before it, with the severity that governs now."""
    return replace(escalation.run(RunKey(event.cycle, event.run), kept=event.kept), severity=event.severity)
