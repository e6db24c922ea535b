"""The timeline of a stored ticket as JSON data."""

from tocsin.business_time import micros
from tocsin.instants import render_instant

from sla_timer.domain.ledger import ledger
from sla_timer.domain.timeline_json import JsonObject, timeline_json
from sla_timer.handlers.queries import TicketTimeline


def ticket_clocks_json(found: TicketTimeline) -> JsonObject:
    """The body of a TicketClocksResponse. Plain data: validating a model for it would double the time."""
    record, timeline = found.record, found.timeline
    body = timeline_json(timeline)
    historic_through = None if record.historic_through is None else micros(record.historic_through)
    voided = {(key.cycle, key.subject) for key in record.published if key.voided}
    for clock, clock_json in zip(timeline.clocks, body["clocks"], strict=True):
        decided_at = clock.ended_at if clock.breached_at is None else clock.breached_at
        clock_json["historic"] = (
            historic_through is not None and decided_at is not None and decided_at <= historic_through
        )
        clock_json["voided"] = (clock.cycle, clock.name) in voided
    return body | {
        "ticket_id": str(record.ticket.ticket_id),
        "facts": max(fact.number for fact in record.facts),
        "accepted_through": None if found.accepted_through is None else render_instant(found.accepted_through),
        "told_to": render_instant(found.evaluated_to),
        "unconfirmed": found.unconfirmed,
        "ledger": ledger(timeline),
    }
