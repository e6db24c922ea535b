"""The board's metrics (docs/metrics.md#board)."""

from collections.abc import Iterable, Mapping
from math import nan
from typing import Final

from tocsin.runtime.metrics import Counter, Gauge

WEBHOOK_DELIVERIES = Counter(
    "sla_webhook_deliveries_total",
    "Attempts to send a webhook that ended in this process, by result: delivered, retried (it will be repeated) or "
    "failed (it will not)",
    ["endpoint", "result"],
)
WEBHOOKS_PENDING = Gauge("sla_webhook_pending", "Webhooks that wait for an attempt, in the database")
WEBHOOKS_OLDEST_AGE = Gauge(
    "sla_webhook_oldest_age_seconds", "Real seconds since the oldest webhook that waits was queued; 0 if none waits"
)
WEBHOOK_ENDPOINT_FAILING = Gauge(
    "sla_webhook_endpoint_failing",
    "1 while the last three or more attempts for this endpoint have failed, or after it responded 410",
    ["endpoint"],
)
WEBHOOKS_BROKEN = Gauge("sla_webhooks_broken", "1 while webhooks.yaml or one of its templates is invalid")

_WEBHOOK_RESULTS: Final = ("delivered", "retried", "failed")


def declare_endpoints(endpoints: Iterable[str]) -> None:
    """Create the label sets of the endpoints in a file that was loaded."""
    for endpoint in endpoints:
        for result in _WEBHOOK_RESULTS:
            WEBHOOK_DELIVERIES.labels(endpoint, result)


def set_webhook_backlog(pending: float, oldest_age: float, failing: Mapping[str, bool]) -> None:
    """Set the webhooks that wait and how the endpoints stand, and drop the endpoints that are gone."""
    WEBHOOKS_PENDING.set(pending)
    WEBHOOKS_OLDEST_AGE.set(oldest_age)
    WEBHOOK_ENDPOINT_FAILING.clear()
    for endpoint, is_failing in failing.items():
        WEBHOOK_ENDPOINT_FAILING.labels(endpoint).set(is_failing)


def forget_webhook_backlog() -> None:
    """Set what is read from the database to NaN: unknown is not zero."""
    set_webhook_backlog(nan, nan, {})


forget_webhook_backlog()  # not known before the first measurement
