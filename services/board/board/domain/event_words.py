"""Facts and published events in words. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, assert_never

from tocsin.events import (
    ClockBreached,
    ClockCancelled,
    ClockMet,
    ClockVoided,
    ClockWarned,
    EscalationReason,
    EscalationRequested,
    Exhausted,
    Fact,
    FactType,
    Impact,
    LadderContinued,
    LadderEnded,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    LadderStepVoided,
    Notify,
    RequestRerouted,
)

from board.domain.ticket_story import StoryEvent, TicketStory
from board.domain.time_words import PageTime, Words

STEP_REASONS: Final[Mapping[EscalationReason, str]] = {
    "resolution_breached": "the resolution is overdue",
    "no_response": "nobody has responded",
    "explicit": "an escalation was requested",
}
_REASONS: Final[Mapping[str, str]] = {"waiting_customer": "waiting for the customer"}
_ENDED: Final[Mapping[str, str]] = {
    "resolved": "the ticket was resolved",
    "workaround": "a workaround was provided",
    "cancelled": "the ticket was cancelled",
    "voided": "late information shows that no deadline was missed",
}
_KINDS: Final[Mapping[str, str]] = {
    "warned": "warning",
    "breached": "missed",
    "met": "met",
    "cancelled": "cancelled",
}
_HELD: Final[Mapping[str, str]] = {
    "response": "the first response",
    "severity_changed": "a severity change",
    "acknowledged": "an acknowledgement",
    "policy": "a change of the policy",
}


def fact_words(fact: Fact) -> str:
    """The fact in words, without its instant and its actor."""
    stated = _REASONS.get(fact.reason, fact.reason) if fact.reason else None
    reason = f": {stated}" if stated else ""
    match fact.type:
        case FactType.OPENED:
            return f"Opened with severity {fact.severity}{reason}"
        case FactType.RESPONDED:
            return f"Responded{reason}"
        case FactType.SEVERITY_CHANGED:
            return f"Severity changed to {fact.severity}{reason}"
        case FactType.PAUSED:
            return f"Paused{reason}"
        case FactType.RESUMED:
            return f"Resumed{reason}"
        case FactType.RESOLVED:
            return f"{'Workaround provided' if fact.resolution_kind == 'workaround' else 'Resolved'}{reason}"
        case FactType.REOPENED:
            return f"Reopened{reason}"
        case FactType.CANCELLED:
            return f"Cancelled{reason}"
        case FactType.ACKNOWLEDGED:
            return f"Escalation acknowledged{reason}"
        case FactType.ESCALATED:
            return f"Escalation requested{reason}"
        case FactType.ASSESSED:
            return f"Impact assessed{_impact(fact.impact)}{reason}"
        case FactType.ASSIGNED:
            return f"Assigned to {fact.assignee.name if fact.assignee else 'nobody'}{reason}"
        case _:
            assert_never(fact.type)


def _impact(impact: Impact | None) -> str:
    if impact is None:
        return ""
    stated = {
        "business risk": impact.business_risk,
        "work stoppage": impact.work_stoppage,
        "users affected": None if impact.users_affected_percent is None else f"{impact.users_affected_percent:g} %",
        "workaround": impact.workaround,
    }
    return ": " + ", ".join(f"{name} {value}" for name, value in stated.items() if value is not None).replace("_", " ")


def event_words(event: StoryEvent, story: TicketStory, time: PageTime) -> Words | None:
    """A published event in words; None if another entry of the history already states it.

    Steps of the ladder are stated by their `LadderStepDue`, with the tier of their notification. Mails are not events.
    """
    match event:
        case ClockWarned():
            return (f"Warning: {event.clock} due ", *_due(event.due_at, time))
        case ClockBreached():
            return (f"{event.clock.capitalize()} missed: it was due ", *_due(event.due_at, time))
        case ClockMet():
            return (f"{event.clock.capitalize()} met: it was due ", *_due(event.due_at, time))
        case ClockCancelled():
            return (f"{event.clock.capitalize()} clock ended, because the ticket was cancelled",)
        case ClockVoided():
            return (f"Late information voids an event: {event.clock} {_KINDS[event.kind]}",)
        case LadderStepDue():
            return _step(event, story)
        case LadderStepVoided():
            return (f"Late information shows that step {event.step} of the escalation was not due",)
        case LadderHeld():
            return _held(event, story, time)
        case LadderEnded():
            return (f"Escalation ended, because {_ENDED[event.reason]}",)
        case LadderExhausted():
            return ("Escalation is exhausted: no tier is left to notify",)
        case EscalationRequested():
            return (f"The request asks for an escalation: the {story.title(event.role)} is informed",)
        case RequestRerouted():
            return ("The request was rerouted to the support mailbox, and its sender is informed",)
        case Exhausted(reason="vacant"):
            return ("Nobody holds a tier above the last one notified",)
        case LadderContinued():
            return ("Escalation continues after the reopening",) if event.kept else None
        case _:
            return None


def step_tier(event: LadderStepDue, story: TicketStory) -> Notify | None:
    """The notification of the step, which names its tier; None until it has arrived, or if nobody is notified."""
    return story.notification_of_step.get((event.cycle, event.run, event.step))


def _step(event: LadderStepDue, story: TicketStory) -> Words:
    notify = step_tier(event, story)
    reason = STEP_REASONS[event.reason]
    if notify is None or notify.tier is None:
        return (f"Step {event.step} of the escalation was due, because {reason}",)
    skipped = "".join(f"; tier {tier.number} ({tier.title}) is vacant and was skipped" for tier in notify.skipped)
    return (f"Escalated to tier {notify.tier.number}, {notify.tier.title}, because {reason}{skipped}",)


def _held(event: LadderHeld, story: TicketStory, time: PageTime) -> Words:
    by = story.name(event.acknowledged_by)
    cause = f"{by} acknowledged" if event.by == "acknowledged" and by else _HELD[event.by]
    if event.until is None:
        return (f"Escalation is held by {cause}" if not by else f"{cause}: escalation is held", " while it is paused")
    start = f"{cause}: escalation is held until " if by else f"Escalation is held by {cause} until "
    return (start, time.full(event.until))


def _due(due_at: datetime | None, time: PageTime) -> Words:
    return ("unknown while the ticket is paused",) if due_at is None else (time.full(due_at),)
