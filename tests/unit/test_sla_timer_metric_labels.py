"""Every label set of every metric of the timer exists from the start of its process."""

import subprocess
import sys
from itertools import product
from math import isnan

from prometheus_client.parser import text_string_to_metric_families
from sla_timer.metrics import CHANNELS, CLOCKS, OUTCOMES, SEVERITIES, WINDOWS
from tocsin.runtime.kafka.client import PARTITIONS

STATES = ("running", "paused", "warned", "breached", "silent")
EXPECTED = {
    "sla_clock_outcomes_total": set(product(CLOCKS, OUTCOMES, SEVERITIES)),
    "sla_historic_outcomes_total": set(product(CLOCKS, OUTCOMES, SEVERITIES)),
    "sla_open_clocks": set(product(CLOCKS, SEVERITIES, STATES)),
    "sla_at_risk_clocks": set(product(CLOCKS, SEVERITIES, ("900", "3600", "14400"))),
    "sla_met_ratio": set(product(CLOCKS, SEVERITIES, WINDOWS)),
    "sla_channel_average_seconds": {(channel,) for channel in CHANNELS},
    "sla_channel_target_seconds": {(channel,) for channel in CHANNELS},
    "sla_channel_unanswered": {(channel,) for channel in CHANNELS},
    "sla_answer_seconds_count": {(channel,) for channel in CHANNELS},
    "sla_progress_age_seconds": {(str(partition),) for partition in range(PARTITIONS)},
    "sla_unconfirmed": {(str(partition),) for partition in range(PARTITIONS)},
    "sla_fire_lateness_seconds_count": {()},
    "sla_receipt_delay_seconds_count": {()},
    "sla_oldest_overdue_seconds": {()},
}
UNKNOWN = ("sla_open_clocks", "sla_at_risk_clocks", "sla_met_ratio", "sla_channel_average_seconds")


def test_every_label_set_exists_from_the_start_and_what_was_not_measured_is_unknown() -> None:
    code = "import sla_timer.metrics, prometheus_client as p; print(p.generate_latest().decode())"
    text = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    for name, expected in EXPECTED.items():
        found = [sample for sample in samples if sample.name == name]
        assert {tuple(value for _, value in sorted(sample.labels.items())) for sample in found} == expected, name
        assert name not in UNKNOWN or all(isnan(sample.value) for sample in found), name
