"""Intake's own metrics. `tocsin.runtime.metrics` has those of every service."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import nan
from typing import Final, get_args

from tocsin.events import Flag
from tocsin.runtime.metrics import Counter, Gauge

from intake.domain.mail import IgnoredReason
from intake.domain.ticket import StoredTicket
from intake.domain.webhooks.no_ticket import WebhookIgnoredReason
from intake.errors import (
    EventIdConflictError,
    IdempotencyConflictError,
    IntakeError,
    OutboxBacklogError,
    RecordTooLargeError,
    StorageError,
    TicketConflictError,
    UnmappedReason,
    WorkaroundError,
    WriteQueueFullError,
)

INGESTED = Counter(
    "sla_tickets_ingested_total",
    "Tickets posted, by source, initial severity and result",
    ["source", "severity", "result"],
)
DEFAULTS = Counter(
    "sla_default_fields_total",
    "Tickets stored with a default in place of a missing field, by source and field",
    ["source", "field"],
)
SEVERITY_DISPUTED = Gauge(
    "sla_severity_disputed", "Open tickets whose severity is less severe than suggested, and that nobody has confirmed"
)
ACKNOWLEDGEMENTS = Counter(
    "sla_acknowledgement_links_total", "Acknowledgement links opened or used, by result", ["result"]
)
for _result in ("shown", "taken", "again", "closed", "superseded", "expired", "refused", "unknown", "failed"):
    ACKNOWLEDGEMENTS.labels(_result)

HOOK_DELIVERIES = Counter(
    "sla_hook_deliveries_total", "Webhook deliveries, by provider and result", ["provider", "result"]
)
HOOKS_UNMAPPED = Counter(
    "sla_hook_unmapped_total",
    "Webhook deliveries stored as unmapped, by provider and reason",
    ["provider", "reason"],
)
HOOKS_IGNORED = Counter(
    "sla_hook_ignored_total", "Webhook deliveries ignored, by provider and reason", ["provider", "reason"]
)
HOOKS_DEACTIVATED_NOW = Gauge(
    "sla_hook_deactivated_now", "Unmapped notices that a tool has switched its webhook off", ["provider"]
)
HOOKS_UNMAPPED_NOW = Gauge("sla_hook_unmapped_now", "Webhook deliveries that are unmapped now", ["provider"])
HOOKS_WAITING = Gauge("sla_hook_waiting", "Webhook deliveries that are stored and not yet processed")
MAILS_IGNORED = Counter(
    "sla_mails_ignored_total", "Mails ignored because a machine wrote them, by how that was recognised", ["reason"]
)
for _reason in IgnoredReason:
    MAILS_IGNORED.labels(_reason)
MAILS_IGNORED_OF_KNOWN = Counter(
    "sla_mails_ignored_of_known_senders_total",
    "Mails ignored because a machine wrote them, although earlier mails of the same sender opened tickets",
)
INTEGRATION_READY = Gauge(
    "sla_hook_ready",
    "1 for an integration in integrations.yaml whose deliveries can be authenticated, 0 if its secret is missing",
    ["tenant", "provider"],
)
LAST_DELIVERY = Gauge(
    "sla_hook_last_delivery_timestamp_seconds",
    "When the last delivery of an integration was stored, in real time; 0 if none is stored",
    ["tenant", "provider"],
)
LAST_TICKET = Gauge(
    "sla_hook_last_ticket_timestamp_seconds",
    "When the last delivery of an integration that was about a ticket was stored, in real time; 0 if none is stored",
    ["tenant", "provider"],
)
SIGNING_KEYS = Counter(
    "sla_signing_keys_total",
    "ConnectWise signing keys that deliveries referred to, by result",
    ["result"],
)
for _result in ("fetched", "failed", "refused"):
    SIGNING_KEYS.labels(_result)
INTEGRATIONS_BROKEN = Gauge(
    "sla_integrations_broken", "1 while integrations.yaml is invalid and the last valid version, if any, stays active"
)

RESULTS: Final[Mapping[type[IntakeError], str]] = {
    TicketConflictError: "conflict",
    EventIdConflictError: "conflict",
    WorkaroundError: "conflict",
    RecordTooLargeError: "too_large",
    IdempotencyConflictError: "invalid",
    StorageError: "failed",
    OutboxBacklogError: "postponed",
    WriteQueueFullError: "postponed",
}
"""The `result` label of a ticket that is not stored; of others it is `created` or `duplicate`."""
_ALL_RESULTS: Final = ("created", "duplicate", *sorted(set(RESULTS.values())))
_SEVERITIES: Final = ("1", "2", "3", "4")
_DEFAULT: Final = "default_"
"""What the flag of a default begins with; the rest is its field."""
_DEFAULT_FIELDS: Final = tuple(flag.removeprefix(_DEFAULT) for flag in get_args(Flag) if flag.startswith(_DEFAULT))
MAX_SOURCES: Final = 50
MAX_SOURCE_LENGTH: Final = 60
OTHER: Final = "other"
_sources: set[str] = set()
_providers: set[str] = set()
_integrations: set[tuple[str, str]] = set()


def forget_tickets() -> None:
    """Set the gauges of the stored tickets to NaN: they are unknown."""
    SEVERITY_DISPUTED.set(nan)


def declare_sources(sources: Iterable[str]) -> None:
    """Create the label sets of these sources. Callers choose sources, so only the first MAX_SOURCES get their own."""
    for source in sources:
        _label(source)


def count_created(ticket: StoredTicket) -> None:
    """Count a ticket that was stored, and the defaults that it took."""
    count_ticket(ticket.source, ticket.initial_severity, "created")
    for flag in ticket.flags:
        if flag.startswith(_DEFAULT):
            DEFAULTS.labels(_label(ticket.source), flag.removeprefix(_DEFAULT)).inc()


def count_ticket(source: str, severity: int, result: str) -> None:
    """Count a valid ticket by what became of it."""
    INGESTED.labels(_label(source), str(severity), result).inc()


def count_invalid_ticket() -> None:
    """Count a ticket that failed validation, so that its source is not trusted."""
    INGESTED.labels("unknown", "unknown", "invalid").inc()


def declare_hooks(providers: Iterable[str]) -> None:
    """Create the label sets of these providers' webhooks."""
    for provider in providers:
        _providers.add(provider)
        for result in ("taken", "ignored", "unmapped", "duplicate", "forged", "too_large", "waiting"):
            HOOK_DELIVERIES.labels(provider, result)
        for reason in UnmappedReason:
            HOOKS_UNMAPPED.labels(provider, reason)
        for ignored in WebhookIgnoredReason:
            HOOKS_IGNORED.labels(provider, ignored)
        HOOKS_UNMAPPED_NOW.labels(provider)
        HOOKS_DEACTIVATED_NOW.labels(provider)


def count_delivery(
    provider: str, state: str, reason: UnmappedReason | IgnoredReason | WebhookIgnoredReason | None
) -> None:
    """Count a processed delivery; with `reason` also why it is unmapped or ignored."""
    HOOK_DELIVERIES.labels(provider, state).inc()
    if isinstance(reason, IgnoredReason):
        MAILS_IGNORED.labels(reason).inc()
    elif isinstance(reason, WebhookIgnoredReason):
        HOOKS_IGNORED.labels(provider, reason).inc()
    elif reason is not None and state == "unmapped":
        HOOKS_UNMAPPED.labels(provider, reason).inc()


def declare_integrations(ready: Mapping[tuple[str, str], bool]) -> None:
    """Create the label sets of these integrations, by tenant and provider, and remove those of others."""
    for gone in _integrations - ready.keys():
        for gauge in (INTEGRATION_READY, LAST_DELIVERY, LAST_TICKET):
            gauge.remove(*gone)
    for names, is_ready in ready.items():
        INTEGRATION_READY.labels(*names).set(is_ready)
        for gauge in (LAST_DELIVERY, LAST_TICKET):
            gauge.labels(*names)
    _integrations.clear()
    _integrations.update(ready)


def set_last_delivery(tenant: str, provider: str, stored_at: datetime | None, with_ticket: datetime | None) -> None:
    """Set when an integration delivered last, and last with a ticket."""
    for gauge, at in ((LAST_DELIVERY, stored_at), (LAST_TICKET, with_ticket)):
        gauge.labels(tenant, provider).set(at.timestamp() if at is not None else 0)


def hook_providers() -> Iterable[str]:
    """The providers whose label sets exist."""
    return frozenset(_providers)


def _label(source: str) -> str:
    """The label of a source. A new one gets all its label sets at once."""
    if source in _sources:
        return source
    if len(_sources) >= MAX_SOURCES or len(source) > MAX_SOURCE_LENGTH:
        return OTHER
    _sources.add(source)
    _declare(source)
    return source


def _declare(source: str) -> None:
    for severity in _SEVERITIES:
        for result in _ALL_RESULTS:
            INGESTED.labels(source, severity, result)
    for field in _DEFAULT_FIELDS:
        DEFAULTS.labels(source, field)


forget_tickets()
_declare(OTHER)
INGESTED.labels("unknown", "unknown", "invalid")
