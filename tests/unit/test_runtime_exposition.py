"""What /metrics responds to people and to a Prometheus server, which sees every counter begin at 0."""

from prometheus_client import CollectorRegistry
from tocsin.runtime.http.exposition import Exposition
from tocsin.runtime.metrics import Counter, Gauge, Histogram


def samples(content: bytes) -> dict[str, float]:
    lines = (line.rsplit(" ", 1) for line in content.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def test_a_scrape_sees_each_new_series_of_a_counter_or_a_histogram_at_zero_first() -> None:
    registry = CollectorRegistry()
    tickets = Counter("tickets", "Tickets", ["source"], registry=registry)
    ages = Histogram("ages", "Ages", buckets=(1,), registry=registry)
    Gauge("waiting", "Waiting", registry=registry).set(7)
    exposition = Exposition(registry)
    tickets.labels("a").inc(2)
    ages.observe(5)

    histogram = {'ages_bucket{le="1.0"}': 0, 'ages_bucket{le="+Inf"}': 1, "ages_count": 1, "ages_sum": 5}
    values = {'tickets_total{source="a"}': 2, "waiting": 7, **histogram}
    assert samples(exposition.render(scrape=False)) == values
    assert samples(exposition.render(scrape=True)) == {**dict.fromkeys(values, 0), "waiting": 7}
    tickets.labels("b").inc()
    assert samples(exposition.render(scrape=True)) == {**values, 'tickets_total{source="b"}': 0}
    assert samples(exposition.render(scrape=True)) == {**values, 'tickets_total{source="b"}': 1}
