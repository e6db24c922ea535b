"""Intake's own metrics. Those of every service are in `tocsin.runtime.metrics`."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter
from tocsin.runtime import metrics as _shared  # noqa: F401 (switches the `_created` series off before the first metric)

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


def _source(source: str) -> str:
    if source not in _sources:
        if len(_sources) >= MOST_SOURCES or len(source) > LONGEST_SOURCE:
            return OTHER
        _sources.add(source)
    return source
