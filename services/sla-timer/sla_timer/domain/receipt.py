"""Since when a published event could have been published: the deadline, or the receipt of the fact behind it. Pure."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from tocsin.business_time import micros

from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.ticket_evaluation import TicketRecord
from sla_timer.domain.timeline_events import LADDER, EventKey

_MOST_RECEIPTS: Final = 1000
"""With more receipts after its instant, an event counts from the last one: each candidate costs an evaluation."""


def publishable_since(record: TicketRecord, policies: PolicyHistory, key: EventKey, at: datetime) -> datetime:
    """The later of the event's instant `at` and the receipt of the fact that made it due.

    That is the earliest receipt up to which the ticket's facts imply the event.
    """
    receipts = sorted({fact.received_at for fact in record.facts if fact.received_at > at})
    if len(receipts) > _MOST_RECEIPTS:
        return receipts[-1]
    candidates = [at, *receipts]
    first, last = 0, len(candidates) - 1  # all facts together imply the event
    while first < last:
        middle = (first + last) // 2
        if _is_implied(record, policies, key, at, received_through=candidates[middle]):
            last = middle
        else:
            first = middle + 1
    return candidates[first]


def _is_implied(
    record: TicketRecord, policies: PolicyHistory, key: EventKey, at: datetime, *, received_through: datetime
) -> bool:
    known = [fact for fact in record.facts if fact.received_at <= received_through]
    if not any(fact.number == 1 for fact in known):
        return False
    instant = micros(at)
    timeline = evaluate(replace(record, facts=known).fact_log(policies), policies, instant)
    return any(
        (event.at, event.kind, event.cycle, event.clock or LADDER, event.step or 0)
        == (instant, key.kind, key.cycle, key.subject, key.step)
        for event in timeline.events
    )
