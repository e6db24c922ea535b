"""The escalator's own metrics; those that every service has are in `tocsin.runtime.metrics`."""

from collections.abc import Iterable
from typing import get_args

from tocsin.events import EscalationEvent, EscalationReason, Notify
from tocsin.runtime.metrics import Counter

TIERS = range(1, 7)

ESCALATIONS = Counter(
    "sla_escalations_total", "Steps of ladders that were addressed to a tier, history left out", ["tier", "reason"]
)
for _tier in TIERS:
    for _reason in get_args(EscalationReason):
        ESCALATIONS.labels(str(_tier), _reason)


def count(decided: Iterable[EscalationEvent]) -> None:
    """Count what was decided; to be called when its transaction commits."""
    for event in decided:
        if isinstance(event, Notify) and event.tier is not None and event.reason is not None:
            ESCALATIONS.labels(str(event.tier.number), event.reason).inc()
