"""Autotask webhooks: the fields of a ticket that changed, and those that are always included. Pure.

Signed with base64(HMAC-SHA1). Statuses, priorities, queues and so on are numbers of picklists. The contact is a number
too, so integrations.yaml must name a default contact.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from intake.domain.webhooks import payload, signatures
from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.mapped_fields import custom_fields, with_mapped_fields
from intake.domain.webhooks.no_ticket import WebhookIgnoredReason
from intake.domain.webhooks.payload_reader import PayloadObject
from intake.domain.webhooks.snapshot import Action, AssigneeInfo, DeliveryContent, TicketSnapshot
from intake.errors import UnmappedReason, UnreadableError

SEND_TICKET: Final = "in Autotask, add the fields of the ticket that docs/integrations/autotask.md lists to the webhook"

_ACTIONS: Final[dict[str, Action]] = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
}
_IDENTITY: Final = ("Guid", "EntityType", "Id", "Action", "EventTime", "SequenceNumber")


def is_genuine(auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether one of the secrets signed these raw bytes; see `Adapter`."""
    return signatures.has_signature(headers.get("x-hook-signature"), secrets, body, algorithm="sha1", prefix="sha1=")


def read(body: bytes, integration: Integration) -> DeliveryContent:
    """The tickets of the delivery; see `Adapter`."""
    delivery = PayloadObject.event(payload.parse(body))
    identity = [delivery.text(name) for name in _IDENTITY]
    # With a part missing, two changes of a ticket could have the same identity.
    key = json.dumps(identity) if None not in identity else None
    kind = delivery.text("EntityType")
    if kind is None:
        raise UnreadableError("EntityType", "is missing", UnmappedReason.NO_TICKET)
    if kind.casefold() != "ticket":
        return DeliveryContent((), key, WebhookIgnoredReason.NOT_A_TICKET, kind)
    ticket = delivery.child("Fields")
    action = _ACTIONS.get((delivery.text("Action") or "").casefold())
    if action is None:
        reason = UnmappedReason.UNREADABLE if ticket.values else UnmappedReason.NO_TICKET
        raise UnreadableError("Action", "must be Create, Update or Delete", reason)
    snapshot = _snapshot(delivery.identity("Id"), action, delivery, ticket, integration)
    # A user-defined field is among the other fields under its name, or in a list as in Autotask's REST API.
    custom = custom_fields(ticket.values.get("userDefinedFields"), labels=("name",), values=("value",))
    return DeliveryContent((with_mapped_fields(snapshot, integration, ticket, custom),), key)


def _snapshot(
    external_id: str,
    action: Action,
    delivery: PayloadObject,
    ticket: PayloadObject,
    integration: Integration,
) -> TicketSnapshot:
    zone = ZoneInfo(integration.zone)
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
        services=ticket.services(integration, "SubIssueType", "IssueType"),
        assignee=AssigneeInfo(
            id=ticket.text("AssignedResourceID"),
            nobody="AssignedResourceID" in ticket.values and ticket.values["AssignedResourceID"] is None,
        ),
        actor=delivery.text("PersonID"),
    )


def _sequence(delivery: PayloadObject) -> int:
    value = delivery.values.get("SequenceNumber")
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise UnreadableError("SequenceNumber", "must be a whole number")
    return value
