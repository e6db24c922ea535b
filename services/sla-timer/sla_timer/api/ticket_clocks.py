"""The timelines of stored tickets as JSON data. Plain data: validating a model for it would double the time."""

from typing import Final

from tocsin.business_time import micros
from tocsin.instants import render_instant

from sla_timer.domain.clock import ClockOutcome
from sla_timer.domain.event_mapping import missed_roles
from sla_timer.domain.ledger import ledger, remaining_json
from sla_timer.domain.ticket_details import DetailHistory
from sla_timer.domain.timeline_json import JsonObject, timeline_json, timeline_summary_json
from sla_timer.handlers.queries import TicketTimeline

_AHEAD: Final = frozenset({ClockOutcome.RUNNING, ClockOutcome.PAUSED})
"""The outcomes of clocks that can still be missed."""


def ticket_clocks_json(found: TicketTimeline) -> JsonObject:
    """The body of a TicketClocksResponse."""
    timeline = timeline_json(found.timeline)
    clocks = [clock | history for clock, history in zip(timeline["clocks"], _clock_histories(found), strict=True)]
    return timeline | {"clocks": clocks} | _evaluation_json(found) | {"ledger": ledger(found.timeline)}


def current_clocks_json(found: TicketTimeline) -> JsonObject:
    """A CurrentClocksResponse."""
    timeline = found.timeline
    summary, rules = timeline_summary_json(timeline), found.policies.rules_at(timeline.until)
    assignee = DetailHistory(found.record.ticket, found.record.facts, found.policies).at(timeline.until).assignee
    clocks = [
        clock_json
        | history
        | remaining_json(clock)
        | {"missed_roles": missed_roles(clock.name, assignee, rules) if clock.outcome in _AHEAD else ()}
        for clock, clock_json, history in zip(timeline.clocks, summary["clocks"], _clock_histories(found), strict=True)
    ]
    tiers = [{"number": tier.number, "role": tier.role, "title": tier.title} for tier in rules.ladder]
    return summary | {"clocks": clocks} | _evaluation_json(found) | {"tiers": tiers}


def _clock_histories(found: TicketTimeline) -> list[JsonObject]:
    """Whether each clock of the timeline is historic, and whether an event of it was voided."""
    record = found.record
    historic_through = None if record.historic_through is None else micros(record.historic_through)
    voided = {(key.cycle, key.subject) for key in record.published if key.voided}
    histories = []
    for clock in found.timeline.clocks:
        decided_at = clock.ended_at if clock.breached_at is None else clock.breached_at
        is_historic = historic_through is not None and decided_at is not None and decided_at <= historic_through
        histories.append({"historic": is_historic, "voided": (clock.cycle, clock.name) in voided})
    return histories


def _evaluation_json(found: TicketTimeline) -> JsonObject:
    record = found.record
    return {
        "ticket_id": str(record.ticket.ticket_id),
        "facts": max(fact.number for fact in record.facts),
        "accepted_through": None if found.accepted_through is None else render_instant(found.accepted_through),
        "told_to": render_instant(found.evaluated_to),
        "unconfirmed": found.unconfirmed,
    }
