"""ConnectWise PSA callbacks: the whole ticket after a change, as JSON text in `Entity`. Pure.

Signed with base64(HMAC-SHA256) under the SHA-256 digest of a signing key. The key may be fetched from the URL in the
delivery itself. That URL is not authenticated, so only URLs at ConnectWise's own hosts are used.
"""

import hashlib
import re
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
from intake.domain.webhooks.snapshot import Action, AssigneeInfo, ContactInfo, DeliveryContent, TicketSnapshot
from intake.errors import UnmappedReason, UnreadableError

SEND_TICKET: Final = (
    "in ConnectWise, allow the callback's API member to read tickets (Service Tickets: Inquire All), and"
    " create the callback"
    " with the type `ticket`"
)

_ACTIONS: Final[dict[str, Action]] = {
    "added": "created",
    "updated": "updated",
    "deleted": "deleted",
}
# Matched as a whole, since URL parsers disagree about which part of a URL is the host.
_KEY_URL: Final = re.compile(
    r"https://(api|sandbox)-(na|eu|au)\.myconnectwise\.net(:443)?/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,1900}", re.ASCII
)


def is_genuine(auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether one of the signing keys signed these raw bytes; see `Adapter`."""
    keys = [hashlib.sha256(secret).digest() for secret in secrets if secret]
    return signatures.has_signature(headers.get("x-content-signature"), keys, body)


def key_url(body: bytes) -> str | None:
    """The URL of the signing key in this unauthenticated delivery; None if it is not a URL of ConnectWise."""
    url = stated_key_url(body)
    return url if url is not None and is_key_url(url) else None


def stated_key_url(body: bytes) -> str | None:
    """The URL that a delivery states, which may be anybody's; None if it states none."""
    try:
        url = PayloadObject.of(payload.parse(body)).child("Metadata").values.get("key_url")
    except UnreadableError:
        return None
    return url if isinstance(url, str) else None


def is_key_url(url: str) -> bool:
    """Whether it is a URL at ConnectWise's own hosts."""
    return _KEY_URL.fullmatch(url) is not None


def read(body: bytes, integration: Integration) -> DeliveryContent:
    """The tickets of the delivery; see `Adapter`."""
    delivery = PayloadObject.event(payload.parse(body))
    key = delivery.text("MessageId")
    kind = delivery.text("Type")
    if kind is None:
        raise UnreadableError("Type", "is missing", UnmappedReason.NO_TICKET)
    if kind.casefold() != "ticket":
        return DeliveryContent((), key, WebhookIgnoredReason.NOT_A_TICKET, kind)
    ticket = _entity(delivery)
    action = _ACTIONS.get((delivery.text("Action") or "").casefold())
    if not ticket.values and action != "deleted":
        raise UnreadableError("Entity", "contains no ticket", UnmappedReason.NO_TICKET)
    if action is None:
        raise UnreadableError("Action", "must be added, updated or deleted")
    snapshot = _snapshot(delivery.identity("ID"), action, ticket, integration)
    custom = custom_fields(ticket.values.get("customFields"), labels=("caption",), values=("value",))
    return DeliveryContent((with_mapped_fields(snapshot, integration, ticket, custom),), key)


def _entity(delivery: PayloadObject) -> PayloadObject:
    text = delivery.values.get("Entity")
    if text is not None and not isinstance(text, str):
        raise UnreadableError("Entity", "must be JSON text")
    if text is None or text.strip() in ("", "null"):
        return PayloadObject(path="Entity")
    try:
        return PayloadObject.of(payload.parse(text.encode(errors="replace")), "Entity")
    except UnreadableError as error:
        raise UnreadableError("Entity", f"is unreadable: {error}") from None


def _snapshot(external_id: str, action: Action, ticket: PayloadObject, integration: Integration) -> TicketSnapshot:
    zone = ZoneInfo(integration.zone)
    info, company, source = ticket.child("_info"), ticket.child("company"), ticket.child("source")
    owner = ticket.child("owner")
    # Recent versions of ConnectWise send the instants in `_info`, older ones beside it.
    opened_at = info.instant("dateEntered", zone) or ticket.instant("dateEntered", zone)
    services = [
        name
        for field in ("item", "subType", "type")
        for name in ticket.child(field).services(integration, "name") or ()
    ]
    return TicketSnapshot(
        external_id=external_id,
        action=action,
        seen_at=info.instant("lastUpdated", zone) or ticket.instant("lastUpdated", zone),
        opened_at=opened_at,
        responded_at=ticket.instant("dateResponded", zone),
        resolved_at=ticket.instant("dateResolved", zone) or ticket.instant("closedDate", zone),
        status=ticket.child("status").text("name"),
        priority=ticket.child("priority").text("name"),
        queue=ticket.child("board").text("name"),
        type=ticket.child("type").text("name"),
        channel=source.text("name"),
        summary=ticket.text("summary"),
        description=ticket.text("initialDescription"),
        customer_id=company.text("identifier", "id"),
        customer_name=company.text("name"),
        contact=ContactInfo(
            name=ticket.text("contactName") or ticket.child("contact").text("name"),
            email=ticket.text("contactEmailAddress"),
            phone=ticket.text("contactPhoneNumber"),
        ),
        services=tuple(dict.fromkeys(services)) or None,
        # A callback has the whole ticket, so one without an owner says that nobody works on it.
        assignee=AssigneeInfo(
            id=owner.text("identifier", "id"), name=owner.text("name"), nobody=bool(ticket.values) and not owner.values
        ),
        actor=info.text("updatedBy"),
    )
