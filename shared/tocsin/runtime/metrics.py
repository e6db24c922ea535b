"""The metrics of more than one service; a service's own are in its `metrics` module. No ticket id in a label.

Services import Counter, Gauge and Histogram from here: the `_created` series are disabled before the first metric.
"""

import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import Counter as Counter
from prometheus_client import Gauge as Gauge
from prometheus_client import Histogram as Histogram
from prometheus_client import disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library lacks the type

OUTBOX_PENDING = Gauge("sla_outbox_pending", "Events stored and not yet acknowledged by Kafka; NaN while unknown")
OUTBOX_OLDEST_AGE = Gauge(
    "sla_outbox_oldest_age_seconds", "Real age of the oldest event not yet acknowledged; 0 when none, NaN while unknown"
)
RELAY_RESTARTS = Counter("sla_relay_restarts_total", "Times the relay restarted with a new producer")
RELAY_LEADER = Gauge("sla_relay_leader", "1 in the process that holds the relay's lease")
CONSUMER_LAG = Gauge(
    "sla_consumer_lag",
    "Records between the database's next offset and the topic's end; NaN while one of the two does not respond",
    ["topic", "partition"],
)
CONSUMER_RETRIES = Counter(
    "sla_consumer_retries_total", "Batches retried because the database or the network failed", ["topic"]
)
CONSUMER_PAUSED = Gauge(
    "sla_consumer_paused", "1 while the consumer is paused after too many bad records in a row", ["topic"]
)
PARTITIONS_HELD = Gauge("sla_partitions_held", "Partitions that this process holds the leases of", ["topic"])
LEASE_LOSSES = Counter(
    "sla_lease_losses_total",
    "Partitions whose lease this process lost to another one without giving it back",
    ["topic"],
)
OFFSETS_OUT_OF_RANGE = Counter(
    "sla_offsets_out_of_range_total", "Times the topic no longer held the next offset: records may be lost", ["topic"]
)
DEAD_LETTERS = Counter("sla_dead_letters_total", "Records stored as dead letters", ["topic"])
DIRECTORY_BROKEN = Gauge(
    "sla_directory_broken", "1 while directory.yaml is invalid; the last valid version, if any, stays active"
)
DIRECTORY_CALENDARS_BROKEN = Gauge(
    "sla_directory_calendars_broken", "Rotation calendars that cannot be read; the last valid versions stay active"
)
DIRECTORY_FEED_AGE = Gauge(
    "sla_directory_feed_age_seconds", "Real seconds since the feed of a rotation's calendar was last read", ["rotation"]
)
TABLE_ROWS = Gauge(
    "sla_table_rows", "Rows of a table of the service: counted up to 8 MB, above that PostgreSQL's estimate", ["table"]
)
TABLE_BYTES = Gauge("sla_table_bytes", "Bytes of a table of the service on disk, with its indexes", ["table"])
CLOCK_SKEW = Gauge("sla_clock_skew_seconds", "The clock of the process minus the clock of its database")
DISK_FREE_RATIO = Gauge("sla_disk_free_ratio", "Free share of the file system that holds the file TOCSIN_KEYS")
CERTIFICATE_EXPIRES = Gauge(
    "sla_certificate_expires_timestamp_seconds",
    "When the certificate of a TLS server that the service connects to expires, as Unix time",
    ["server"],
)
KEYS_REFUSED = Counter("sla_keys_refused_total", "Requests with an invalid API key, by reason", ["reason"])
REQUESTS_LIMITED = Counter("sla_requests_limited_total", "Requests over the rate limit of their API key")
REQUESTS_SHED = Counter("sla_requests_shed_total", "Requests refused because of overload")
for _reason in ("unknown", "expired"):
    KEYS_REFUSED.labels(_reason)
JOB_FAILURES = Counter("sla_job_failures_total", "Runs of periodic jobs that failed or timed out", ["job"])


def declare_consumer(topic: str, partitions: int) -> None:
    """Create the label sets of a consumed topic up front: `increase()` misses the first value of a new series."""
    for partition in range(partitions):
        CONSUMER_LAG.labels(topic, str(partition)).set(0)
    CONSUMER_RETRIES.labels(topic)
    CONSUMER_PAUSED.labels(topic).set(0)
    PARTITIONS_HELD.labels(topic).set(0)
    LEASE_LOSSES.labels(topic)
    OFFSETS_OUT_OF_RANGE.labels(topic)
    DEAD_LETTERS.labels(topic)
    JOB_FAILURES.labels("after_commit")


UNKNOWN_SECONDS = 60.0
"""How long a gauge keeps its number when it cannot be measured."""


class Measurement:
    """Repeated measurements of some gauges, which `forget` sets to NaN when they have failed for UNKNOWN_SECONDS.

    An old number would mislead, but a single failure must not resolve an alert.
    """

    def __init__(self, forget: Callable[[], None]) -> None:
        self._forget = forget
        self._succeeded_at = float("-inf")

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """The block measures, or raises."""
        try:
            yield
        except BaseException:
            if time.monotonic() - self._succeeded_at >= UNKNOWN_SECONDS:
                self._forget()
            raise
        self._succeeded_at = time.monotonic()


def declare_tables(names: Iterable[str]) -> None:
    """Create the label sets of the service's tables."""
    for name in names:
        TABLE_ROWS.labels(name)
        TABLE_BYTES.labels(name)


def set_feed_ages(ages: Mapping[str, float]) -> None:
    """Set the age of each rotation's feed in seconds, and drop the rotations that are gone."""
    DIRECTORY_FEED_AGE.clear()
    for rotation, seconds in ages.items():
        DIRECTORY_FEED_AGE.labels(rotation).set(seconds)


def set_certificate(server: str, certificate: Mapping[str, Any] | None) -> None:
    """Record the certificate that a server has shown, as `ssl.SSLObject.getpeercert` returns it."""
    if certificate:
        CERTIFICATE_EXPIRES.labels(server).set(ssl.cert_time_to_seconds(certificate["notAfter"]))
