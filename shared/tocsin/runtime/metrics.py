"""Every metric that more than one service exports. A service's own are in its `metrics` module. No ticket id in a
label.

Services take the kinds of metrics from here, where the `_created` series are switched off before the first one is made.
"""

from prometheus_client import Counter as Counter
from prometheus_client import Gauge as Gauge
from prometheus_client import Histogram as Histogram
from prometheus_client import disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap

OUTBOX_PENDING = Gauge("sla_outbox_pending", "Events stored and not yet acknowledged by Kafka")
OUTBOX_OLDEST_AGE = Gauge(
    "sla_outbox_oldest_age_seconds", "Real age of the oldest event not yet acknowledged; 0 when none"
)
RELAY_RESTARTS = Counter(
    "sla_relay_restarts_total", "Times the relay gave up its producer and began again from the oldest"
)
RELAY_LEADER = Gauge("sla_relay_leader", "1 in the process that holds the relay's lease")
CONSUMER_LAG = Gauge(
    "sla_consumer_lag", "Records between the database's next offset and the topic's end", ["topic", "partition"]
)
CONSUMER_RETRIES = Counter(
    "sla_consumer_retries_total", "Batches put back because a database or the network failed", ["topic"]
)
CONSUMER_PAUSED = Gauge(
    "sla_consumer_paused", "1 while the consumer rests because too many records in a row were bad", ["topic"]
)
OFFSETS_OUT_OF_RANGE = Counter(
    "sla_offsets_out_of_range_total", "Times the topic no longer held the next offset: records may be lost", ["topic"]
)
DEAD_LETTERS = Counter("sla_dead_letters_total", "Records put aside as dead letters", ["topic"])
DIRECTORY_BROKEN = Gauge(
    "sla_directory_broken", "1 while directory.yaml cannot be used and the last good one, if any, is in force"
)
DIRECTORY_CALENDARS_BROKEN = Gauge(
    "sla_directory_calendars_broken", "Calendars of rotations that cannot be had or read; the last good ones serve"
)
KEYS_REFUSED = Counter("sla_keys_refused_total", "Requests with a key that is not valid, by why", ["reason"])
REQUESTS_LIMITED = Counter("sla_requests_limited_total", "Requests refused because their key was used too often")
REQUESTS_SHED = Counter("sla_requests_shed_total", "Requests sent away because too much was asked at once")
for _reason in ("unknown", "expired"):
    KEYS_REFUSED.labels(_reason)
JOB_FAILURES = Counter("sla_job_failures_total", "Runs of a periodic job that failed or took too long", ["job"])


def declare_consumer(topic: str, partitions: int) -> None:
    """Create a consumed topic's label sets up front, so that the first increase is seen."""
    for partition in range(partitions):
        CONSUMER_LAG.labels(topic, str(partition)).set(0)
    CONSUMER_RETRIES.labels(topic)
    CONSUMER_PAUSED.labels(topic).set(0)
    OFFSETS_OUT_OF_RANGE.labels(topic)
    DEAD_LETTERS.labels(topic)
