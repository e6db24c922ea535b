"""A timeline as the JSON data that `simulate` and the clocks of a ticket return. Pure."""

from functools import lru_cache
from typing import Any

from tocsin import business_time
from tocsin.business_time import SECOND

from sla_timer.domain.clock import Clock
from sla_timer.domain.timeline import Timeline
from sla_timer.domain.timeline_events import EventKind, TimelineEvent

JsonObject = dict[str, Any]

# The same instants appear again and again in one response.
render = lru_cache(maxsize=1024)(business_time.render)


def timeline_json(timeline: Timeline) -> JsonObject:
    """The timeline up to `until`, and the next due event."""
    return timeline_summary_json(timeline) | {"events": [_event_json(event) for event in timeline.events]}


def timeline_summary_json(timeline: Timeline) -> JsonObject:
    """The timeline without its events: the clocks, the ladder's steps, and the next due event."""
    next_due = timeline.next_due
    return {
        "policy_version": timeline.policy_version,
        "severity": timeline.severity,
        "first_responded_at": _optional_instant(timeline.responded_at),
        "next_at": None if next_due is None else render(next_due.at),
        "next": None if next_due is None else _next_name(next_due),
        "clocks": [clock_json(clock) for clock in timeline.clocks],
        "ladder": [
            # Only the escalator knows which tiers are vacant; here every step is its own tier.
            {"step": event.step, "tier": event.step, "at": render(event.at), "reason": event.reason}
            for event in timeline.ladder_steps
        ],
        "exhausted_at": _optional_instant(timeline.exhausted_at),
    }


def clock_json(clock: Clock) -> JsonObject:
    """A ClockResponse."""
    return {
        "cycle": clock.cycle,
        "clock": clock.name,
        "provisional": clock.provisional,
        "started_at": render(clock.started_at),
        "warn_at": _optional_instant(clock.warn_at),
        "due_at": _optional_instant(clock.due_at),
        "ended_at": _optional_instant(clock.ended_at),
        "breached_at": _optional_instant(clock.breached_at),
        "outcome": clock.outcome,
        "gross_seconds": clock.gross / SECOND,
        "net_seconds": clock.net / SECOND,
    }


def _event_json(event: TimelineEvent) -> JsonObject:
    body: JsonObject = {"at": render(event.at), "type": event.kind, "cycle": event.cycle}
    if event.clock is not None:
        body["clock"] = event.clock
        body["due_at"] = _optional_instant(event.due_at)
    if event.step is not None:
        body["step"] = event.step
    reason = event.reason or event.end_reason
    if reason is not None:
        body["reason"] = reason
    if event.held_by is not None:
        body["by"] = event.held_by
        body["until"] = _optional_instant(event.next_at)
    return body


def _next_name(event: TimelineEvent) -> str:
    match event.kind:
        case EventKind.WARNED:
            return f"warning:{event.clock}"
        case EventKind.BREACHED:
            return f"breach:{event.clock}"
        case EventKind.STEP_DUE:
            return f"step:{event.step}"
        case _:
            return "exhausted"


def _optional_instant(at: int | None) -> str | None:
    return None if at is None else render(at)
