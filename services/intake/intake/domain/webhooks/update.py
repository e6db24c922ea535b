"""A sighting in our words: what the mapping makes of what a tool says of a ticket. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict
from tocsin.events import Category, Channel, Severity
from tocsin.instants import Instant, render_instant

from intake.domain.webhooks.config.integrations import Integration, KnownCustomer, Status, folded, meaning
from intake.domain.webhooks.payload import FIRST_YEAR, text
from intake.domain.webhooks.snapshot import ContactInfo, TicketSnapshot

Reason = Literal[
    "unreadable",
    "unknown_status",
    "unknown_priority",
    "missing_opening",
    "missing_queue",
    "missing_severity",
    "missing_services",
    "missing_contact",
    "missing_customer",
    "missing_summary",
    "no_integration",
    "another_ticket",
    "refused",
    "failed",
]
"""Why a delivery is kept as an unmapped webhook."""


AHEAD: Final = timedelta(minutes=5)
"""How far a tool's instant may lie ahead of our receipt, as clocks differ. What is further ahead is no clock's error
but another zone or a wrong year, and would outvote all that happens until then.
"""


class UnmappedError(Exception):
    """The mapping does not know what to make of a delivery; str() says what it would have to say."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


class TicketCustomer(BaseModel):
    """A customer as the tool or the mapping calls it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: str


class TicketUpdate(BaseModel):
    """A ticket as one delivery showed it, in our words. None: it did not say.

    `at` is the tool's instant of it, or its receipt, never later than the receipt; `seen_at`, the tool's own instant as
    it is, `sequence` and `key` give the order of a ticket's sightings. `created` is whether it is said to have come
    into being at that instant. `status` is never `ignored`. `word` is the tool's own word for it. `counts` is whether
    its queue does.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: Instant
    seen_at: Instant | None = None
    sequence: int = 0
    key: str = ""
    deleted: bool = False
    created: bool = False
    status: Status | None = None
    word: str | None = None
    severity: Severity | None = None
    opened_at: Instant | None = None
    responded_at: Instant | None = None
    resolved_at: Instant | None = None
    actor: str | None = None
    counts: bool | None = None
    summary: str | None = None
    description: str | None = None
    customer: TicketCustomer | None = None
    contact_name: str | None = None
    contact_email: str | None = None
    contact_phone: str | None = None
    services: tuple[str, ...] | None = None
    channel: Channel | None = None
    category: Category | None = None


OF_AN_OPENING: Final = (
    *("summary", "description", "customer", "contact_name", "contact_email", "contact_phone", "services"),
    *("channel", "category"),
)
"""The fields that say nothing of how a ticket stood, only what it is opened with."""


def shown(sighting: TicketSnapshot, integration: Integration, received_at: datetime, key: str) -> TicketUpdate:
    """The sighting in our words; `key` is its delivery's. Raises UnmappedError for a status or a priority that
    nobody knows, and for an instant that is still to come.
    """
    _check_instants(sighting, received_at)
    at = min(_instant(sighting.seen_at) or received_at, received_at)
    status, word = _status(sighting, integration)
    return TicketUpdate(
        at=at,
        seen_at=_instant(sighting.seen_at),
        sequence=sighting.sequence,
        key=key,
        deleted=sighting.action == "deleted",
        created=sighting.action == "created",
        status=status,
        word=word,
        severity=_severity(sighting, integration),
        opened_at=_not_after(sighting.opened_at, at),
        responded_at=_not_after(sighting.responded_at, at),
        resolved_at=_not_after(sighting.resolved_at, at),
        actor=text(sighting.actor),
        counts=_counts(sighting, integration),
        summary=text(sighting.summary),
        description=text(sighting.description),
        customer=_customer(sighting, integration),
        **_contact(sighting.contact),
        services=_services(sighting, integration),
        channel=meaning(integration.channels, sighting.channel) if sighting.channel else None,
        category=meaning(integration.types, sighting.type) if sighting.type else None,
    )


def in_order(seen: Iterable[TicketUpdate]) -> Sequence[TicketUpdate]:
    """A ticket's sightings in the order in which the tool was in these states, none earlier than the one before it.

    The tool's own clock gives the order, also where it is ahead of ours; of the same instant the creation is the first
    and the deletion the last, since tools may count in seconds.
    """
    ordered = sorted(seen, key=lambda one: (one.seen_at or one.at, one.sequence, one.deleted - one.created, one.key))
    latest = accumulate((one.at for one in ordered), max)
    return [one.model_copy(update={"at": at}) for one, at in zip(ordered, latest, strict=True)]


def _check_instants(sighting: TicketSnapshot, received_at: datetime) -> None:
    for field in ("seen_at", "opened_at", "responded_at", "resolved_at"):
        at: datetime | None = getattr(sighting, field)
        if at is not None and at - received_at > AHEAD:
            minutes = int(AHEAD.total_seconds()) // 60
            message = f"{field}: {render_instant(at)} lies more than {minutes} minutes ahead of the receipt"
            raise UnmappedError("unreadable", f"{message}; look at the clock and the zone of the tool, and at `zone`.")


def _status(sighting: TicketSnapshot, integration: Integration) -> tuple[Status | None, str | None]:
    if sighting.action == "deleted":
        return "cancelled", "deleted"
    word = text(sighting.status)
    if word is None:
        return None, None
    status: Status | None = meaning(integration.statuses, word)
    if status is None:
        raise UnmappedError(
            "unknown_status", f"The status `{word[:60]}` is not in `statuses`; say there what it means."
        )
    return (None, None) if status == "ignored" else (status, word)


def _severity(sighting: TicketSnapshot, integration: Integration) -> int | None:
    word = text(sighting.priority)
    if word is None or not integration.priorities:
        return None
    severity: int | None = meaning(integration.priorities, word)
    if severity is None:
        raise UnmappedError(
            "unknown_priority", f"The priority `{word[:60]}` is not in `priorities`; give its severity."
        )
    return severity


def _counts(sighting: TicketSnapshot, integration: Integration) -> bool | None:
    if integration.queues is None:
        return True
    word = text(sighting.queue)
    return None if word is None else folded(word) in {folded(queue) for queue in integration.queues}


def _customer(sighting: TicketSnapshot, integration: Integration) -> TicketCustomer | None:
    key, name = text(sighting.customer_id), text(sighting.customer_name)
    for word in (key, name):
        known: KnownCustomer | None = meaning(integration.customers, word) if word else None
        if known is not None:
            return TicketCustomer(id=known.id, name=known.name)
    called = key or name
    return TicketCustomer(id=called, name=name or called) if called else None


def _contact(person: ContactInfo) -> dict[str, str | None]:
    return {
        "contact_name": text(person.name),
        "contact_email": text(person.email),
        "contact_phone": text(person.phone),
    }


def _services(sighting: TicketSnapshot, integration: Integration) -> tuple[str, ...] | None:
    words = [word for word in map(text, sighting.services or ()) if word]
    ours = dict.fromkeys(meaning(integration.services, word) or word for word in words)
    return tuple(ours)[:500] or None


def _instant(at: datetime | None) -> datetime | None:
    return at if at is not None and at.year >= FIRST_YEAR else None


def _not_after(at: datetime | None, latest: datetime) -> datetime | None:
    found = _instant(at)
    return min(found, latest) if found is not None else None
