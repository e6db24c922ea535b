"""The metrics that the services export, as Prometheus sees them."""

import importlib
import re

from board.metrics import WEBHOOK_ENDPOINT_FAILING, declare_endpoints
from intake.metrics import INGESTED, declare_hooks, declare_integrations
from notifier.metrics import DIRECTORY_LEFT_OUT_EVENTS
from prometheus_client import REGISTRY
from sla_timer.metrics import PROGRESS_AGE
from tocsin.runtime.metrics import (
    CERTIFICATE_EXPIRES,
    DIRECTORY_FEED_AGE,
    JOB_FAILURES,
    declare_consumer,
    declare_tables,
)
from tocsin_local.services import PACKAGES


def exported_series() -> dict[str, frozenset[str]]:
    """The series of all services by name (`..._bucket` too), with their own labels."""
    for package in PACKAGES.values():
        importlib.import_module(f"{package}.metrics")
    # These metrics have samples, and thus labels, only after their first use.
    declare_consumer("a.topic", 1)
    JOB_FAILURES.labels("a job")
    declare_tables(["a_table"])
    DIRECTORY_FEED_AGE.labels("a rotation")
    DIRECTORY_LEFT_OUT_EVENTS.labels("a rotation", "other")
    CERTIFICATE_EXPIRES.labels("a server")
    PROGRESS_AGE.labels("0")
    declare_hooks(["a provider"])
    declare_endpoints(["an endpoint"])
    WEBHOOK_ENDPOINT_FAILING.labels("an endpoint")
    declare_integrations({("a tenant", "a provider"): True})
    INGESTED.labels("unknown", "unknown", "invalid")
    return {
        sample.name: frozenset(sample.labels)
        for family in REGISTRY.collect()
        if family.name.startswith("sla_")
        for sample in family.samples
    }


def exported_metrics() -> dict[str, frozenset[str]]:
    """The metrics by name, a histogram as one metric."""
    return {re.sub(r"_(bucket|sum|count)$", "", name): labels - {"le"} for name, labels in exported_series().items()}
