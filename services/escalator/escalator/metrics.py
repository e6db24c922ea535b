"""The escalator's own metrics; `tocsin.runtime.metrics` has those that every service has."""

from collections.abc import Iterable
from typing import get_args

from tocsin.directory import STANDARD_ROLES
from tocsin.events import EscalationEvent, EscalationReason, Notify
from tocsin.runtime.metrics import Counter

ESCALATIONS = Counter(
    "sla_escalations_total", "Ladder steps that notified a tier, historic ones excluded", ["tier", "reason"]
)
for _tier, _ in enumerate(STANDARD_ROLES, start=1):
    for _reason in get_args(EscalationReason):
        ESCALATIONS.labels(str(_tier), _reason)


def count_escalations(events: Iterable[EscalationEvent]) -> None:
    """Count the ladder steps among these events. Call it after the commit."""
    for event in events:
        if isinstance(event, Notify) and event.tier is not None and event.reason is not None:
            ESCALATIONS.labels(str(event.tier.number), event.reason).inc()
