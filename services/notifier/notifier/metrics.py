"""The notifier's metrics, beside those that all services share."""

from collections.abc import Mapping
from math import inf
from typing import Final

from tocsin.directory import STANDARD_ROLES
from tocsin.runtime.metrics import Counter, Gauge, Histogram

_RESULTS: Final = ("sent", "deferred", "refused", "bounced", "cancelled", "undeliverable", "ambiguous")
_REPORTS: Final = ("bounced", "noted", "unmatched", "known", "nothing", "unknown", "unreadable")
_SERVERS: Final = ("first", "second")
_OPEN: Final = ("queued", "claimed", "in_data", "deferred")
_UNDELIVERED: Final = ("bounced", "refused", "undeliverable")

EMAILS = Counter(
    "sla_emails_total", "Results of attempts to mail somebody; ambiguous: the mail may have been accepted", ["result"]
)
BREACH_TO_EMAIL = Histogram(
    "sla_breach_to_email_seconds",
    "Real seconds from the scheduled instant of a breach or step to the sending of its mail",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200),
)
QUEUE = Gauge("sla_mail_queue", "Deliveries that are not final", ["state"])
QUEUE_OLDEST_AGE = Gauge(
    "sla_mail_queue_oldest_age_seconds", "Real age of the oldest such delivery; 0 if there is none"
)
UNDELIVERED = Gauge(
    "sla_mail_undelivered",
    "Deliveries that reached this state in the last 10 real minutes, in any process, replies to customers excluded",
    ["state"],
)
ALL_SERVERS_FAILING = Gauge("sla_mail_server_backing_off", "1 while no mail server accepts mails")
SERVER_FAILING = Gauge("sla_mail_relay_failing", "1 while this mail server accepts no mails", ["relay"])
LOGIN_REFUSED = Gauge("sla_mail_login_refused", "1 while this mail server rejects our login", ["relay"])
TEMPLATE_FALLBACKS = Counter(
    "sla_mail_template_fallbacks_total",
    "Mails rendered with the built-in templates because a deployment's template failed",
)
REPORTS = Counter("sla_mail_reports_total", "Reports of mail servers about mails, by what they changed", ["result"])
DIRECTORY_GAP = Gauge(
    "sla_directory_gap_seconds",
    "Business seconds until nobody holds a role, for customers without a holder of their own; +Inf: not within 14 days",
    ["role"],
)
DIRECTORY_UNKNOWN_EVENTS = Gauge(
    "sla_directory_unknown_events", "Events of on-call calendars within 14 days that name nobody of the directory"
)

for _role in STANDARD_ROLES:
    DIRECTORY_GAP.labels(_role).set(inf)
for _result in _RESULTS:
    EMAILS.labels(_result)
for _result in _REPORTS:
    REPORTS.labels(_result)
for _server in _SERVERS:
    SERVER_FAILING.labels(_server)
    LOGIN_REFUSED.labels(_server)
for _state in _OPEN:
    QUEUE.labels(_state)
for _state in _UNDELIVERED:
    UNDELIVERED.labels(_state)


def set_gaps(gaps: Mapping[str, float]) -> None:
    """Set the seconds to the next gap of each role, and drop the roles that are gone."""
    DIRECTORY_GAP.clear()
    for role, seconds in gaps.items():
        DIRECTORY_GAP.labels(role).set(seconds)


def set_queue(counts: dict[str, int], oldest: float) -> None:
    """Set the number of open deliveries by state, and the age of the oldest in seconds."""
    for state in _OPEN:
        QUEUE.labels(state).set(counts.get(state, 0))
    QUEUE_OLDEST_AGE.set(oldest)


def set_undelivered(counts: Mapping[str, int]) -> None:
    """Set the number of deliveries that recently failed, by state."""
    for state in _UNDELIVERED:
        UNDELIVERED.labels(state).set(counts.get(state, 0))
