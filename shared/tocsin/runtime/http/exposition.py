"""The metrics in Prometheus' text format, and as a Prometheus server scrapes them."""

from collections.abc import Iterator

from prometheus_client import REGISTRY, Metric, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

# docs/decisions/0030-counters-begin-at-zero.md


class Exposition:
    """What `/metrics` responds.

    `increase()` does not see the value at which a series begins, and not every label set is known at the start. A
    scrape therefore gets each series of a counter or a histogram at 0 the first time, and its value from then on. Other
    readers get the values.
    """

    def __init__(self, registry: Collector = REGISTRY) -> None:
        self._registry = registry
        self._scraped = _Scraped(registry)

    def render(self, *, scrape: bool) -> bytes:
        """The metrics; `scrape`: for a Prometheus server."""
        return generate_latest(self._scraped if scrape else self._registry)


class _Scraped(Collector):
    """A registry whose new series of counters and histograms are 0."""

    def __init__(self, registry: Collector) -> None:
        self._registry = registry
        self._known: set[tuple[str, ...]] = set()

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            if family.type in ("counter", "histogram"):
                family.samples = [self._begun(sample) for sample in family.samples]
            yield family

    def _begun(self, sample: Sample) -> Sample:
        series = (sample.name, *sample.labels.values())
        if series in self._known:
            return sample
        self._known.add(series)
        return sample._replace(value=0.0)
