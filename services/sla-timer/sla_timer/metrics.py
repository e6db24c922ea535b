"""Every metric of the timer. Label sets are created up front, so that the first increase is visible."""

from itertools import product

from tocsin.runtime.kafka.client import PARTITIONS
from tocsin.runtime.metrics import Counter, Gauge, Histogram

CLOCKS = ("response", "resolution", "answer")
SEVERITIES = ("1", "2", "3", "4")
STATES = ("running", "paused", "breached")
CHANNELS = ("portal", "email", "voicemail", "chat", "api")

CLOCK_OUTCOMES = Counter(
    "sla_clock_outcomes_total",
    "Published outcomes of clocks: met, breached, cancelled or voided",
    ["clock", "severity", "outcome"],
)
OPEN_CLOCKS = Gauge("sla_open_clocks", "Clocks that have not ended", ["clock", "severity", "state"])
FIRE_LATENESS = Histogram(
    "sla_fire_lateness_seconds",
    "Real seconds from the instant at which something fell due to the commit of its event",
    buckets=(0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 15, 60, 300, 1800, 7200),
)
OLDEST_OVERDUE = Gauge(
    "sla_oldest_overdue_seconds",
    "Real seconds since the oldest instant on the agenda that has passed without its event; 0 if none",
)
PROGRESS_AGE = Gauge("sla_progress_age_seconds", "Real age of the partition's watermark", ["partition"])
ANSWER_SECONDS = Histogram(
    "sla_answer_seconds",
    "Business-time seconds from opening to first response",
    ["channel"],
    buckets=(60, 150, 300, 600, 1800, 3600, 7200, 14400, 36000, 86400, 172800, 604800),
)
UNCONFIRMED = Gauge(
    "sla_unconfirmed", "1 while intake is silent and deadlines are evaluated without a watermark", ["partition"]
)

for _clock, _severity in product(CLOCKS, SEVERITIES):
    for _outcome in ("met", "breached", "cancelled", "voided"):
        CLOCK_OUTCOMES.labels(_clock, _severity, _outcome)
    for _state in STATES:
        OPEN_CLOCKS.labels(_clock, _severity, _state)
for _channel in CHANNELS:
    ANSWER_SECONDS.labels(_channel)
for _partition in range(PARTITIONS):
    PROGRESS_AGE.labels(str(_partition))
    UNCONFIRMED.labels(str(_partition))
