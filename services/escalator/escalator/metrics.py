"""The escalator's own metrics; `tocsin.runtime.metrics` has those that every service has."""

from collections.abc import Iterable, Mapping
from itertools import product
from math import nan
from typing import Final, get_args

from tocsin.directory import STANDARD_ROLES
from tocsin.events import EscalationEvent, EscalationReason, Exhausted, Notify
from tocsin.runtime.metrics import Counter, Gauge

from escalator.domain.tiers import ExhaustedReason

_TIERS: Final = tuple(str(number) for number, _ in enumerate(STANDARD_ROLES, start=1))
_SEVERITIES: Final = (1, 2, 3, 4)

ESCALATIONS = Counter(
    "sla_escalations_total", "Ladder steps that notified a tier, historic ones excluded", ["tier", "reason"]
)
EXHAUSTED = Counter(
    "sla_escalations_exhausted_total",
    "Ladders that were exhausted, at their end or because the tiers above were vacant, historic ones excluded",
    ["reason"],
)
OPEN_LADDERS = Gauge(
    "sla_open_ladders",
    "Open ladders by the last tier notified, or `exhausted`, and the governing severity, history excluded. From the "
    "database: the same in every process, so combine processes with `max`. NaN while unknown",
    ["tier", "severity"],
)

for _tier in _TIERS:
    for _reason in get_args(EscalationReason):
        ESCALATIONS.labels(_tier, _reason)
for _reason in get_args(ExhaustedReason):
    EXHAUSTED.labels(_reason)


def count_escalations(events: Iterable[EscalationEvent]) -> None:
    """Count the ladder steps and the exhausted ladders among these events. Call it after the commit."""
    for event in events:
        if isinstance(event, Exhausted):
            EXHAUSTED.labels(event.reason).inc()
        elif isinstance(event, Notify) and event.tier is not None and event.reason is not None:
            ESCALATIONS.labels(str(event.tier.number), event.reason).inc()


def set_open_ladders(counts: Mapping[tuple[str, int], int]) -> None:
    """Set the number of open ladders by (tier, severity), and 0 where there is none."""
    _tiers.update(dict.fromkeys(tier for tier, _ in counts))
    for tier, severity in product(_tiers, _SEVERITIES):
        OPEN_LADDERS.labels(tier, str(severity)).set(counts.get((tier, severity), 0))


def forget_open_ladders() -> None:
    """Set the number of open ladders to NaN: unknown is not zero."""
    for tier, severity in product(_tiers, _SEVERITIES):
        OPEN_LADDERS.labels(tier, str(severity)).set(nan)


_tiers = dict.fromkeys([*_TIERS, "exhausted"])
"""The tiers that the gauge has had: a customer's own ladder may have more than the standard one."""

forget_open_ladders()
