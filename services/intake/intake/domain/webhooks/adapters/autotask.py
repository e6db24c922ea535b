"""Autotask webhooks: the fields of a ticket that changed, and those that are always sent along. Pure.

Signed with base64(HMAC-SHA1). Statuses, priorities, queues and so on are sent as the numbers of their picklists, and
the contact as a number only, so integrations.yaml must name one.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from intake.domain.webhooks import payload, signatures
from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.payload_reader import PayloadObject
from intake.domain.webhooks.snapshot import DeliveryContent, TicketSnapshot, UnreadableError

_ACTIONS: Final[dict[str, Literal["created", "updated", "deleted"]]] = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
}
_IDENTITY: Final = ("Guid", "EntityType", "Id", "Action", "EventTime", "SequenceNumber")


def genuine(auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether one of the secret keys signed these raw bytes; see `Adapter`."""
    return signatures.signed(headers.get("x-hook-signature"), secrets, body, algorithm="sha1", prefix="sha1=")


def read(body: bytes, settings: Integration) -> DeliveryContent:
    """What the delivery says. Raises UnreadableError."""
    delivery = PayloadObject.of(payload.parsed(body))
    identity = [delivery.text(name) for name in _IDENTITY]
    # Where a part is missing, two changes of a ticket could be taken for one.
    key = json.dumps(identity) if None not in identity else None
    kind = delivery.text("EntityType") or "nothing"
    action = (delivery.text("Action") or "").casefold()
    if kind.casefold() != "ticket":
        return DeliveryContent((), key, about=kind)
    if action not in _ACTIONS:
        raise UnreadableError(
            "Action", "is none of Create, Update and Delete; look whether the webhook is still active"
        )
    external_id, ticket = delivery.identity("Id"), delivery.part("Fields")
    return DeliveryContent((_sighting(external_id, _ACTIONS[action], delivery, ticket, settings),), key)


def _sighting(
    external_id: str,
    action: Literal["created", "updated", "deleted"],
    delivery: PayloadObject,
    ticket: PayloadObject,
    settings: Integration,
) -> TicketSnapshot:
    zone = ZoneInfo(settings.zone)
    return TicketSnapshot(
        external_id=external_id,
        action=action,
        seen_at=delivery.instant("EventTime", zone),
        sequence=_sequence(delivery),
        opened_at=ticket.instant("CreateDate", zone),
        responded_at=ticket.instant("FirstResponseDateTime", zone),
        resolved_at=ticket.instant("ResolvedDateTime", zone) or ticket.instant("CompletedDate", zone),
        status=ticket.text("Status"),
        priority=ticket.text("Priority"),
        queue=ticket.text("QueueID"),
        type=ticket.text("TicketType"),
        channel=ticket.text("Source"),
        summary=ticket.text("Title"),
        description=ticket.text("Description"),
        customer_id=ticket.text("CompanyID", "AccountID"),
        services=ticket.services(settings, "SubIssueType", "IssueType"),
        actor=delivery.text("PersonID"),
    )


def _sequence(delivery: PayloadObject) -> int:
    value = delivery.values.get("SequenceNumber")
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise UnreadableError("SequenceNumber", "is no whole number; have Autotask send one")
    return value
