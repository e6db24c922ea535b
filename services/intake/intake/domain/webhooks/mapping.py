"""From a snapshot to a ticket update: the tool's words translated by integrations.yaml. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, TypeVar

from tocsin.events import Assignee, Impact
from tocsin.instants import render_instant

from intake.domain.request_fields import AssigneeRequest
from intake.domain.webhooks.config.integrations import ImpactWords, Integration, Status
from intake.domain.webhooks.snapshot import AssigneeInfo, ImpactInfo, TicketSnapshot
from intake.domain.webhooks.update import TicketCustomer, TicketUpdate
from intake.domain.words import find_word, fold_word
from intake.errors import UnmappedError, UnmappedReason

MAX_CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far a tool's instant may lie after the receipt. One that is further ahead comes from a wrong zone or year; it
would override all updates until then.
"""

_MAX_SERVICES: Final = 500
_QUOTED_LENGTH: Final = 60
_Meaning = TypeVar("_Meaning")


def map_snapshot(
    snapshot: TicketSnapshot, integration: Integration, *, received_at: datetime, delivery_key: str
) -> TicketUpdate:
    """The update that a snapshot of `read_delivery` states.

    Raises UnmappedError for a status or a priority that is not configured, and for an instant in the future.
    """
    _check_instants(snapshot, received_at)
    at = min(snapshot.seen_at or received_at, received_at)
    status, tool_status = _status(snapshot, integration)
    return TicketUpdate(
        at=at,
        seen_at=snapshot.seen_at,
        sequence=snapshot.sequence,
        delivery_key=delivery_key,
        deleted=snapshot.action == "deleted",
        created=snapshot.action == "created",
        status=status,
        tool_status=tool_status,
        severity=_severity(snapshot, integration),
        opened_at=_at_most(snapshot.opened_at, at),
        responded_at=_at_most(snapshot.responded_at, at),
        resolved_at=_at_most(snapshot.resolved_at, at),
        actor=snapshot.actor,
        in_scope=_in_scope(snapshot, integration),
        summary=snapshot.summary,
        description=snapshot.description,
        customer=_customer(snapshot, integration),
        contact_name=snapshot.contact.name,
        contact_email=snapshot.contact.email,
        contact_phone=snapshot.contact.phone,
        services=_services(snapshot, integration),
        channel=_find(integration.channels, snapshot.channel),
        category=_find(integration.types, snapshot.type),
        via=_find(integration.mailboxes, snapshot.via),
        it_contact=_find(integration.it_contact_words, snapshot.it_contact),
        starts_at=snapshot.starts_at,
        impact=_impact(snapshot.impact, integration.impact),
        assignee=_assignee(snapshot.assignee, integration),
        unassigned=_is_unassigned(snapshot.assignee, integration),
        text_cleaned=snapshot.text_cleaned,
    )


def unlisted_words(snapshot: TicketSnapshot, update: TicketUpdate) -> tuple[str, ...]:
    """The words of a snapshot that integrations.yaml does not list, with their fields; they state nothing."""
    stated = {
        "type": (snapshot.type, update.category),
        "channel": (snapshot.channel, update.channel),
        "via": (snapshot.via, update.via),
        "it_contact": (snapshot.it_contact, update.it_contact),
    }
    for criterion in Impact.model_fields:
        stated[criterion] = (getattr(snapshot.impact, criterion), getattr(update.impact, criterion, None))
    return tuple(f"{field}: {word}" for field, (word, meaning) in stated.items() if word and meaning is None)


def _check_instants(snapshot: TicketSnapshot, received_at: datetime) -> None:
    for field in ("seen_at", "opened_at", "responded_at", "resolved_at"):
        at: datetime | None = getattr(snapshot, field)
        if at is not None and at - received_at > MAX_CLOCK_SKEW:
            minutes = int(MAX_CLOCK_SKEW.total_seconds()) // 60
            message = (
                f"{field}: {render_instant(at)} is more than {minutes} minutes after the receipt."
                " Check the clock and the time zone of the tool, and `zone`."
            )
            raise UnmappedError(UnmappedReason.UNREADABLE, message)


def _status(snapshot: TicketSnapshot, integration: Integration) -> tuple[Status | None, str | None]:
    """The status, and the tool's word for it; neither if the status is configured as `ignored`."""
    if snapshot.action == "deleted":
        return "cancelled", "deleted"
    word = snapshot.status
    if word is None:
        return None, None
    status = find_word(integration.statuses, word)
    if status is None:
        message = f"Unknown status `{word[:_QUOTED_LENGTH]}`. Add it to `statuses`."
        raise UnmappedError(UnmappedReason.UNKNOWN_STATUS, message)
    return (None, None) if status == "ignored" else (status, word)


def _severity(snapshot: TicketSnapshot, integration: Integration) -> int | None:
    word = snapshot.priority
    if word is None or not integration.priorities:
        return None
    severity = find_word(integration.priorities, word)
    if severity is None:
        message = f"Unknown priority `{word[:_QUOTED_LENGTH]}`. Add it with its severity to `priorities`."
        raise UnmappedError(UnmappedReason.UNKNOWN_PRIORITY, message)
    return severity


def _in_scope(snapshot: TicketSnapshot, integration: Integration) -> bool | None:
    if integration.queues is None:
        return True
    word = snapshot.queue
    return None if word is None else fold_word(word) in {fold_word(queue) for queue in integration.queues}


def _customer(snapshot: TicketSnapshot, integration: Integration) -> TicketCustomer | None:
    key, name = snapshot.customer_id, snapshot.customer_name
    known = _find(integration.customers, key) or _find(integration.customers, name)
    if known is not None:
        return TicketCustomer(id=known.id, name=known.name)
    customer_id = key or name
    return TicketCustomer(id=customer_id, name=name or customer_id) if customer_id else None


def _services(snapshot: TicketSnapshot, integration: Integration) -> tuple[str, ...] | None:
    words = snapshot.services or ()
    services = dict.fromkeys(find_word(integration.services, word) or word for word in words)
    return tuple(services)[:_MAX_SERVICES] or None


def _impact(stated: ImpactInfo, words: ImpactWords) -> Impact | None:
    impact = Impact(
        business_risk=_find(words.business_risk, stated.business_risk),
        work_stoppage=_find(words.work_stoppage, stated.work_stoppage),
        users_affected_percent=_percent(words, stated.users_affected_percent),
        workaround=_find(words.workaround, stated.workaround),
    )
    return None if impact == Impact() else impact


def _percent(words: ImpactWords, word: str | None) -> float | None:
    listed = _find(words.users_affected_percent, word)
    if listed is not None or word is None:
        return listed
    try:
        percent = float(word.removesuffix("%"))
    except ValueError:
        return None
    return percent if 0 <= percent <= 100 else None


def _assignee(stated: AssigneeInfo, integration: Integration) -> Assignee | None:
    """The assignee as `assignees` lists it, or else by the tool's name, address or number."""
    words = _assignee_words(stated)
    if not words or _is_unassigned(stated, integration):
        return None
    known = next((known for word in words if (known := _find(integration.assignees, word))), None)
    name = known.name if known else stated.name or stated.email or words[0]
    email = (known.email if known else None) or stated.email
    return AssigneeRequest(name=name, email=email).to_assignee()


def _is_unassigned(stated: AssigneeInfo, integration: Integration) -> bool:
    nobody = {fold_word(word) for word in integration.unassigned}
    return stated.nobody or any(fold_word(word) in nobody for word in _assignee_words(stated))


def _assignee_words(stated: AssigneeInfo) -> list[str]:
    return [word for word in (stated.id, stated.name, stated.email) if word]


def _find(words: Mapping[str, _Meaning], word: str | None) -> _Meaning | None:
    return find_word(words, word) if word else None


def _at_most(at: datetime | None, latest: datetime) -> datetime | None:
    return min(at, latest) if at is not None else None
