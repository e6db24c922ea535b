"""The board's metrics (docs/metrics.md#board); `tocsin.runtime.metrics` has those that every service has."""

from math import nan
from typing import Final

from tocsin.runtime.metrics import Counter, Gauge, Histogram

UPSTREAMS: Final = ("sla-timer", "escalator")
"""The services that the board asks."""

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
