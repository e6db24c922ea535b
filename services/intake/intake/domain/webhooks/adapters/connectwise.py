"""ConnectWise PSA callbacks: the ticket as it stands after a change, as JSON text in `Entity`. Pure.

Signed with base64(HMAC-SHA256) under the SHA-256 digest of a signing key. The key may be fetched from the address in
the delivery itself, which whoever sent it has written: so only ConnectWise's own hosts are asked.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from intake.domain.webhooks import payload, signatures
from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.payload_reader import PayloadObject
from intake.domain.webhooks.snapshot import ContactInfo, DeliveryContent, TicketSnapshot, UnreadableError

_ACTIONS: Final[dict[str, Literal["created", "updated", "deleted"]]] = {
    "added": "created",
    "updated": "updated",
    "deleted": "deleted",
}
# Written out and matched as a whole: parsers of addresses differ in what they take for the host.
_KEY_URL: Final = re.compile(
    r"https://(api|sandbox)-(na|eu|au)\.myconnectwise\.net(:443)?/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,1900}", re.ASCII
)


def genuine(auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether one of the signing keys signed these raw bytes; see `Adapter`."""
    keys = [hashlib.sha256(secret).digest() for secret in secrets if secret]
    return signatures.signed(headers.get("x-content-signature"), keys, body)


def key_url(body: bytes) -> str | None:
    """Where the signing key of this unproven delivery may be fetched; None where it names no place of ConnectWise."""
    try:
        url = PayloadObject.of(payload.parsed(body)).part("Metadata").values.get("key_url")
    except UnreadableError:
        return None
    return url if isinstance(url, str) and _KEY_URL.fullmatch(url) else None


def read(body: bytes, settings: Integration) -> DeliveryContent:
    """What the delivery says. Raises UnreadableError."""
    delivery = PayloadObject.of(payload.parsed(body))
    key = delivery.text("MessageId")
    kind = delivery.text("Type") or "nothing"
    if kind.casefold() != "ticket":
        return DeliveryContent((), key, about=kind)
    action = _ACTIONS.get((delivery.text("Action") or "").casefold())
    if action is None:
        raise UnreadableError("Action", "is none of added, updated and deleted; have ConnectWise send one of them")
    ticket = _entity(delivery)
    if not ticket.values and action != "deleted":
        raise UnreadableError("Entity", "holds no ticket; let the callback's member read tickets")
    return DeliveryContent((_sighting(delivery.identity("ID"), action, ticket, settings),), key)


def _entity(delivery: PayloadObject) -> PayloadObject:
    text = delivery.values.get("Entity")
    if text is not None and not isinstance(text, str):
        raise UnreadableError("Entity", "is not JSON text; have ConnectWise send the ticket as text")
    if text is None or text.strip() in ("", "null"):
        return PayloadObject(path="Entity")
    try:
        return PayloadObject.of(payload.parsed(text.encode(errors="replace")), "Entity")
    except UnreadableError as problem:
        raise UnreadableError("Entity", f"cannot be read: {problem}") from None


def _sighting(
    external_id: str, action: Literal["created", "updated", "deleted"], ticket: PayloadObject, settings: Integration
) -> TicketSnapshot:
    zone = ZoneInfo(settings.zone)
    info, company, source = ticket.part("_info"), ticket.part("company"), ticket.part("source")
    # The instants of a ticket are in `_info` in recent versions of ConnectWise, and beside it in older ones.
    opened_at = info.instant("dateEntered", zone) or ticket.instant("dateEntered", zone)
    services = [
        name for field in ("item", "subType", "type") for name in ticket.part(field).services(settings, "name") or ()
    ]
    return TicketSnapshot(
        external_id=external_id,
        action=action,
        seen_at=info.instant("lastUpdated", zone) or ticket.instant("lastUpdated", zone),
        opened_at=opened_at,
        responded_at=ticket.instant("dateResponded", zone),
        resolved_at=ticket.instant("dateResolved", zone) or ticket.instant("closedDate", zone),
        status=ticket.part("status").text("name"),
        priority=ticket.part("priority").text("name"),
        queue=ticket.part("board").text("name"),
        type=ticket.part("type").text("name"),
        channel=source.text("name"),
        summary=ticket.text("summary"),
        description=ticket.text("initialDescription"),
        customer_id=company.text("identifier", "id"),
        customer_name=company.text("name"),
        contact=ContactInfo(
            ticket.text("contactName") or ticket.part("contact").text("name"),
            ticket.text("contactEmailAddress"),
            ticket.text("contactPhoneNumber"),
        ),
        services=tuple(dict.fromkeys(services)) or None,
        actor=info.text("updatedBy"),
    )
