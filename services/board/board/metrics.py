"""The board's metrics (docs/metrics.md#board); `tocsin.runtime.metrics` has those that every service has."""

from collections.abc import Iterable, Mapping
from math import nan
from typing import Final

from tocsin.runtime.metrics import Counter, Gauge, Histogram

UPSTREAMS: Final = ("sla-timer", "escalator")
"""The services that the board calls."""

STALE_TICKETS = Gauge(
    "sla_board_stale_tickets",
    "Tickets whose clocks or ladder do not include everything that has arrived about them. From the database: the same "
    "in every process, so combine processes with `max`. NaN while unknown",
)
STALE_SECONDS = Gauge(
    "sla_board_stale_seconds",
    "Real time for which the oldest of them has been outdated; 0 when none, NaN while unknown",
)
TICKETS_WITHOUT_KEY = Gauge(
    "sla_board_tickets_without_key",
    "Open tickets of tenants without a key in TOCSIN_UPSTREAM_KEYS, which are shown without clocks; NaN while unknown",
)
REFRESHED = Counter("sla_board_refreshed_total", "Tickets whose clocks and ladder were read from their owners")
LEDGERS_MISSING = Counter(
    "sla_board_ledgers_missing_total", "Pages of tickets that were shown without the ledger of sla-timer"
)
REFRESH_FAILURES = Counter(
    "sla_board_refresh_failures_total", "Requests for clocks or ladders that failed, and are repeated", ["upstream"]
)
UPSTREAM_SECONDS = Histogram(
    "sla_board_upstream_seconds",
    "Time of a request to another service, until its response was complete",
    ["upstream"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

WATCHERS = Gauge("sla_board_watchers", "Pages that get live updates from this process")
LIVE_UPDATE_SECONDS = Histogram(
    "sla_board_live_update_seconds",
    "Time to read the changes and to hand them to all live pages of this process",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
)

for _upstream in UPSTREAMS:
    REFRESH_FAILURES.labels(_upstream)
    UPSTREAM_SECONDS.labels(_upstream)


def forget_staleness() -> None:
    """Set the gauges to NaN: unknown is not zero."""
    for gauge in (STALE_TICKETS, STALE_SECONDS, TICKETS_WITHOUT_KEY):
        gauge.set(nan)


forget_staleness()

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
    """Set the webhooks that wait and the health of the endpoints, and drop the endpoints that are gone."""
    WEBHOOKS_PENDING.set(pending)
    WEBHOOKS_OLDEST_AGE.set(oldest_age)
    WEBHOOK_ENDPOINT_FAILING.clear()
    for endpoint, is_failing in failing.items():
        WEBHOOK_ENDPOINT_FAILING.labels(endpoint).set(is_failing)


def forget_webhook_backlog() -> None:
    """Set what is read from the database to NaN: unknown is not zero."""
    set_webhook_backlog(nan, nan, {})


forget_webhook_backlog()  # not known before the first measurement

REPORTS_MAILED = Counter("sla_board_reports_mailed_total", "Monthly reports that this process published to be mailed")
REPORT_FAILURES = Counter(
    "sla_board_report_failures_total",
    "Attempts to publish monthly reports that failed: another service did not respond (upstream), or the report could "
    "not be made (error), which are repeated; or the customer has no numbers (unknown_customer)",
    ["reason"],
)
REPORTS_OVERDUE = Gauge(
    "sla_board_reports_overdue_seconds",
    "Business seconds since the oldest monthly report that is not published yet was to be mailed; 0 if there is none, "
    "NaN while unknown",
)
for _reason in ("upstream", "error", "unknown_customer"):
    REPORT_FAILURES.labels(_reason)
REPORTS_OVERDUE.set(nan)  # not known before the first look
