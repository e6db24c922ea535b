"""The notifier's metrics, beside those that all services share."""

from collections.abc import Iterable, Mapping
from math import nan
from typing import Final

from tocsin.directory import STANDARD_ROLES
from tocsin.runtime.metrics import Counter, Gauge, Histogram

from notifier.domain.on_call import UnreadableEventCounts

_RESULTS: Final = ("sent", "deferred", "refused", "bounced", "cancelled", "undeliverable", "ambiguous")
_REPORTS: Final = ("bounced", "noted", "unmatched", "known", "nothing", "unknown", "unreadable", "no_bounce")
_SERVERS: Final = ("first", "second")
_OPEN: Final = ("queued", "held", "claimed", "in_data", "deferred")
_UNDELIVERED: Final = ("bounced", "refused", "undeliverable")

EMAILS = Counter(
    "sla_emails_total",
    "Journal entries of deliveries that this process wrote, by entry. An attempt that may have arrived counts as "
    "ambiguous, and as the state after it. A digest counts once for each of its deliveries",
    ["result"],
)
DIGESTS = Counter("sla_mail_digests_total", "Digests that a mail server accepted from this process")
DIGEST_ITEMS = Counter("sla_mail_digest_items_total", "Deliveries that were sent in these digests")
BREACH_TO_EMAIL = Histogram(
    "sla_breach_to_email_seconds",
    "Real seconds until the mail about a missed clock or a ladder step is sent, from its scheduled instant or from the "
    "publication of its notification, whichever is later",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200),
)
QUEUE = Gauge("sla_mail_queue", "Deliveries that are not final, in the database; held: waiting for a digest", ["state"])
QUEUE_OLDEST_AGE = Gauge(
    "sla_mail_queue_oldest_age_seconds",
    "Real seconds since the oldest delivery that is not final was queued, whatever it waits for; 0 if there is none",
)
QUEUE_OVERDUE = Gauge(
    "sla_mail_queue_overdue_seconds",
    "Real seconds since the oldest attempt that has not started became ready; 0 if none is ready",
)
UNDELIVERED = Gauge(
    "sla_mail_undelivered",
    "Deliveries that reached this state in the last 10 real minutes, in any process, replies to customers excluded",
    ["state"],
)
ALL_SERVERS_FAILING = Gauge("sla_mail_server_backing_off", "1 while no mail server accepts mails")
SERVER_FAILING = Gauge("sla_mail_relay_failing", "1 while this mail server accepts no mails", ["relay"])
SERVER_HUNG = Gauge("sla_mail_relay_hung", "1 while this mail server is left alone because it did not reply", ["relay"])
OVERDUE_REPLIES = Counter(
    "sla_mail_overdue_replies_total",
    "Replies of this mail server that took much longer than usual, whether they came later or not",
    ["relay"],
)
LOGIN_REFUSED = Gauge("sla_mail_login_refused", "1 while this mail server rejects our login", ["relay"])
TEMPLATE_FALLBACKS = Counter(
    "sla_mail_template_fallbacks_total",
    "Mails rendered with the built-in templates because a deployment's template failed",
)
REPORTS = Counter(
    "sla_mail_reports_total",
    "Reports of mail servers about mails since this process started, by what they changed. Reports to any process and "
    "to the command are included, so every replica counts the same",
    ["result"],
)
ON_CALL = Gauge(
    "sla_on_call",
    "1 while somebody holds the role, 0 while it is vacant, for customers without a holder of their own",
    ["role"],
)
DIRECTORY_GAP = Gauge(
    "sla_directory_gap_seconds",
    "Business seconds until nobody holds a role, for customers without a holder of their own; +Inf: not within 14 days",
    ["role"],
)
DIRECTORY_UNKNOWN_EVENTS = Gauge(
    "sla_directory_unknown_events", "Events of on-call calendars in the next 14 days that name nobody in the directory"
)

DIRECTORY_LEFT_OUT_EVENTS = Gauge(
    "sla_directory_left_out_events",
    "Events of a rotation's calendar that cannot be read: `on_call` would put somebody of the directory on call now or "
    "later, `other` would not",
    ["rotation", "kind"],
)

for _role in STANDARD_ROLES:
    ON_CALL.labels(_role).set(nan)
    DIRECTORY_GAP.labels(_role).set(nan)
for _result in _RESULTS:
    EMAILS.labels(_result)
for _result in _REPORTS:
    REPORTS.labels(_result)
for _server in _SERVERS:
    SERVER_FAILING.labels(_server)
    SERVER_HUNG.labels(_server)
    OVERDUE_REPLIES.labels(_server)
    LOGIN_REFUSED.labels(_server)


def count_entries(entries: Iterable[str]) -> None:
    """Count journal entries that were committed."""
    for entry in entries:
        if entry in _RESULTS:
            EMAILS.labels(entry).inc()


def count_reports(before: Mapping[str, int], now: Mapping[str, int]) -> None:
    """Count the reports that the database has counted since it was read before."""
    for result, count in now.items():
        REPORTS.labels(result).inc(count - before.get(result, 0))


def set_on_call(holders: Mapping[str, bool]) -> None:
    """Set whether each role is held, and drop the roles that are gone."""
    ON_CALL.clear()
    for role, is_held in holders.items():
        ON_CALL.labels(role).set(is_held)


def set_gaps(gaps: Mapping[str, float]) -> None:
    """Set the seconds to the next gap of each role, and drop the roles that are gone."""
    DIRECTORY_GAP.clear()
    for role, seconds in gaps.items():
        DIRECTORY_GAP.labels(role).set(seconds)


def set_left_out_events(counts: Mapping[str, UnreadableEventCounts]) -> None:
    """Set how many events of each rotation's calendar cannot be read, and drop the rotations that are gone."""
    DIRECTORY_LEFT_OUT_EVENTS.clear()
    for rotation, count in counts.items():
        DIRECTORY_LEFT_OUT_EVENTS.labels(rotation, "on_call").set(count.on_call)
        DIRECTORY_LEFT_OUT_EVENTS.labels(rotation, "other").set(count.other)


def set_queue(counts: Mapping[str, float], *, oldest: float, overdue: float) -> None:
    """Set the number of open deliveries by state, and the seconds that they wait."""
    for state in _OPEN:
        QUEUE.labels(state).set(counts.get(state, 0))
    QUEUE_OLDEST_AGE.set(oldest)
    QUEUE_OVERDUE.set(overdue)


def forget_queue() -> None:
    """Set what is read from the database to NaN: it is not known."""
    set_queue(dict.fromkeys(_OPEN, nan), oldest=nan, overdue=nan)
    set_undelivered(dict.fromkeys(_UNDELIVERED, nan))


def set_undelivered(counts: Mapping[str, float]) -> None:
    """Set the number of deliveries that recently failed, by state."""
    for state in _UNDELIVERED:
        UNDELIVERED.labels(state).set(counts.get(state, 0))


forget_queue()  # not known before the first measurement
