"""Intake's own metrics. Those of every service are in `tocsin.runtime.metrics`."""

from collections.abc import Iterable
from typing import Final

from tocsin.runtime.metrics import Counter, Gauge

from intake.errors import UnmappedReason

INGESTED = Counter(
    "sla_tickets_ingested_total",
    "Tickets posted, by source, initial severity and what became of them",
    ["source", "severity", "result"],
)
ACKNOWLEDGEMENTS = Counter(
    "sla_acknowledgement_links_total", "Acknowledgement links opened or used, by what became of them", ["result"]
)
for _result in ("shown", "taken", "again", "closed", "superseded", "expired", "refused", "unknown", "failed"):
    ACKNOWLEDGEMENTS.labels(_result)

HOOK_DELIVERIES = Counter(
    "sla_hook_deliveries_total", "Webhook deliveries, by provider and what became of them", ["provider", "result"]
)
HOOKS_UNMAPPED = Counter(
    "sla_hook_unmapped_total",
    "Webhook deliveries that were kept as unmapped, by provider and reason",
    ["provider", "reason"],
)
HOOKS_UNMAPPED_NOW = Gauge(
    "sla_hook_unmapped_now", "Webhook deliveries that wait for the mapping to be mended and a replay", ["provider"]
)
HOOKS_WAITING = Gauge("sla_hook_waiting", "Webhook deliveries that are stored and not yet taken in")
SIGNING_KEYS = Counter(
    "sla_signing_keys_total",
    "Signing keys of ConnectWise that deliveries asked us to fetch, by what came of it",
    ["result"],
)
for _result in ("fetched", "failed", "refused"):
    SIGNING_KEYS.labels(_result)
INTEGRATIONS_BROKEN = Gauge(
    "sla_integrations_broken", "1 while integrations.yaml cannot be used and the last good one, if any, is in force"
)

RESULTS: Final = {
    201: "created",
    200: "duplicate",
    409: "conflict",
    413: "too_large",
    422: "invalid",
    500: "failed",
    503: "postponed",
}
MOST_SOURCES: Final = 50
LONGEST_SOURCE: Final = 60
OTHER: Final = "other"
_sources: set[str] = set()
_providers: set[str] = set()


def declare(machine_sources: Iterable[str]) -> None:
    """Create the label sets that are known beforehand, so that the first increase is seen."""
    for source in (*machine_sources, OTHER):
        for severity in ("1", "2", "3", "4"):
            INGESTED.labels(_source(source), severity, "created")
    INGESTED.labels("unknown", "unknown", "invalid")


def count_ticket(source: str, severity: int | None, status: int) -> None:
    """Count a valid ticket's outcome. A caller's invention cannot grow the metric: later sources count as `other`."""
    INGESTED.labels(_source(source), str(severity or "default"), RESULTS[status]).inc()


def count_invalid() -> None:
    """Count a ticket that was refused before its source could be trusted."""
    INGESTED.labels("unknown", "unknown", RESULTS[422]).inc()


def declare_hooks(providers: Iterable[str]) -> None:
    """Create the label sets of these providers' webhooks."""
    for provider in providers:
        _providers.add(provider)
        for result in ("taken", "ignored", "unmapped", "duplicate", "forged", "too_large", "waiting"):
            HOOK_DELIVERIES.labels(provider, result)
        for reason in UnmappedReason:
            HOOKS_UNMAPPED.labels(provider, reason)
        HOOKS_UNMAPPED_NOW.labels(provider)


def hook_providers() -> Iterable[str]:
    """The providers whose label sets there are."""
    return frozenset(_providers)


def _source(source: str) -> str:
    if source not in _sources:
        if len(_sources) >= MOST_SOURCES or len(source) > LONGEST_SOURCE:
            return OTHER
        _sources.add(source)
    return source
