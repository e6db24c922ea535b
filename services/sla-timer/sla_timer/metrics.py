"""Every metric of the timer. Label sets are created up front, so that the first increase is visible."""

from datetime import timedelta
from itertools import product
from math import nan

from tocsin.runtime.kafka.client import PARTITIONS
from tocsin.runtime.metrics import Counter, Gauge, Histogram

from sla_timer.domain.clock_counts import AT_RISK_SECONDS, OpenClockState

CLOCKS = ("response", "resolution", "answer")
SEVERITIES = ("1", "2", "3", "4")
CHANNELS = ("portal", "email", "voicemail", "chat", "api")
OUTCOMES = ("met", "breached", "cancelled", "voided")
WINDOWS = {"24h": timedelta(hours=24), "30d": timedelta(days=30)}

CLOCK_OUTCOMES = Counter(
    "sla_clock_outcomes_total",
    "Outcomes of clocks published for live tickets, and outcomes that late evidence voided, counted when published and"
    " with the severity then. Not a compliance ratio: see sla_met_ratio",
    ["clock", "severity", "outcome"],
)
HISTORIC_OUTCOMES = Counter(
    "sla_historic_outcomes_total",
    "Outcomes of clocks that were already decided when their ticket was posted as history, and those of"
    " them that were voided later",
    ["clock", "severity", "outcome"],
)
FIRE_LATENESS = Histogram(
    "sla_fire_lateness_seconds",
    "Real seconds until the event of a deadline is committed, from the deadline or from the receipt of the fact that"
    " made it due, whichever is later; without history",
    buckets=(0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 15, 60, 300, 1800, 7200),
)
RECEIPT_DELAY = Histogram(
    "sla_receipt_delay_seconds",
    "Business-time seconds from the occurrence of a fact to its receipt by intake; without history",
    buckets=(1, 5, 15, 60, 300, 900, 3600, 14400, 86400, 604800, 2592000),
)
ANSWER_SECONDS = Histogram(
    "sla_answer_seconds",
    "Business-time seconds from opening to first response, when it became known; without history",
    ["channel"],
    buckets=(60, 150, 300, 600, 1800, 3600, 7200, 14400, 36000, 86400, 172800, 604800),
)
UNCONFIRMED = Gauge(
    "sla_unconfirmed", "1 while intake is silent and deadlines are evaluated without a watermark", ["partition"]
)

# From the database: the same on every replica, so combine replicas with `max`. NaN while unknown.
OPEN_CLOCKS = Gauge(
    "sla_open_clocks",
    "Clocks that have not ended, each in one state, the first that applies: breached; silent (resolution clock, its"
    " provisional deadline passed without a response); paused; warned (its warning was given); running",
    ["clock", "severity", "state"],
)
AT_RISK_CLOCKS = Gauge(
    "sla_at_risk_clocks",
    "Running and warned clocks whose deadline, real or provisional, is at most `within` seconds of business time away."
    " Cumulative: 3600 includes 900",
    ["clock", "severity", "within"],
)
MET_RATIO = Gauge(
    "sla_met_ratio",
    "Met out of met and breached clocks with an outcome in the window of business time up to now; voided outcomes and"
    " history left out. NaN: no such clock",
    ["clock", "severity", "window"],
)
CHANNEL_AVERAGE = Gauge(
    "sla_channel_average_seconds",
    "Mean time to the first response of the channel's tickets opened this month, unanswered ones with their age. If"
    " customers have their own targets, the average that is highest in relation to its target. NaN: no ticket",
    ["channel"],
)
CHANNEL_TARGET = Gauge(
    "sla_channel_target_seconds",
    "The target that sla_channel_average_seconds must stay under. NaN: the policy states none",
    ["channel"],
)
CHANNEL_UNANSWERED = Gauge(
    "sla_channel_unanswered",
    "Open tickets of the channel that were opened this month and have no response. NaN: the policy states no average",
    ["channel"],
)
OLDEST_OVERDUE = Gauge(
    "sla_oldest_overdue_seconds",
    "Real seconds since the oldest instant on the agenda whose event is overdue; 0 if none",
)
PROGRESS_AGE = Gauge(
    "sla_progress_age_seconds",
    "Real age of the partition's watermark; before the first watermark, the age of the process",
    ["partition"],
)

for _clock, _severity in product(CLOCKS, SEVERITIES):
    for _outcome in OUTCOMES:
        CLOCK_OUTCOMES.labels(_clock, _severity, _outcome)
        HISTORIC_OUTCOMES.labels(_clock, _severity, _outcome)
for _channel in CHANNELS:
    ANSWER_SECONDS.labels(_channel)
for _partition in range(PARTITIONS):
    UNCONFIRMED.labels(str(_partition))
    PROGRESS_AGE.labels(str(_partition)).set(nan)


def forget_clocks() -> None:
    """Set the gauges about open clocks to NaN: unknown is not zero."""
    for clock, severity in product(CLOCKS, SEVERITIES):
        for state in OpenClockState:
            OPEN_CLOCKS.labels(clock, severity, state).set(nan)
        for seconds in AT_RISK_SECONDS:
            AT_RISK_CLOCKS.labels(clock, severity, str(seconds)).set(nan)


def forget_compliance() -> None:
    """Set the gauges about ratios and averages to NaN."""
    for clock, severity, window in product(CLOCKS, SEVERITIES, WINDOWS):
        MET_RATIO.labels(clock, severity, window).set(nan)
    for channel in CHANNELS:
        for gauge in (CHANNEL_AVERAGE, CHANNEL_TARGET, CHANNEL_UNANSWERED):
            gauge.labels(channel).set(nan)


forget_clocks()
forget_compliance()
