"""HaloPSA webhooks: a ticket, or a list of them, bare or as the `ticket` of an event. Pure.

Basic or Bearer. Instants name no zone and may have seven digits after the second; that there is none is written as a
day at the end of 1899 or the beginning of 1900.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Literal
from zoneinfo import ZoneInfo

from intake.domain.webhooks import payload, signatures
from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.payload_reader import PayloadObject
from intake.domain.webhooks.snapshot import ContactInfo, DeliveryContent, TicketSnapshot, UnreadableError, each

_NO_DAY: Final = ("1899-12-30", "1900-01-01")
_MOST_TICKETS: Final = 500


def genuine(auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether the Authorization header holds one of the secrets; see `Adapter`."""
    return signatures.authorized(headers.get("authorization"), secrets, user=auth.user)


def read(body: bytes, settings: Integration) -> DeliveryContent:
    """What the delivery says. Raises UnreadableError."""
    data = payload.parsed(body)
    if not isinstance(data, list):
        return _delivered([data], settings, path="")
    if len(data) > _MOST_TICKETS:
        raise UnreadableError("body", f"holds more than {_MOST_TICKETS} tickets; have HaloPSA send smaller batches")
    return _delivered(data, settings)


def _delivered(events: Sequence[object], settings: Integration, path: str = "[{}]") -> DeliveryContent:
    abouts = [_about(event) for event in events]
    tickets = each(
        partial(_sighting, event, path.format(place), settings)
        for place, (event, about) in enumerate(zip(events, abouts, strict=True))
        if about is None
    )
    return DeliveryContent(tickets, about=None if tickets else next(filter(None, abouts), "no ticket"))


def _about(event: object) -> str | None:
    """What an event without a ticket concerns."""
    if isinstance(event, Mapping) and event.get("ticket") is None and "event" in event:
        return payload.text(event["event"]) or "no ticket"
    return None


def _sighting(value: object, path: str, settings: Integration) -> TicketSnapshot:
    event = PayloadObject.of(value, path)
    ticket = event.part("ticket") if "ticket" in event.values else event
    zone = ZoneInfo(settings.zone)

    def instant(name: str) -> datetime | None:
        return ticket.instant(name, zone, none_on=_NO_DAY)

    changes = [at for name in ("last_update", "lastactiondate") if (at := instant(name)) is not None]
    return TicketSnapshot(
        external_id=ticket.identity("id"),
        action=_action(event, ticket),
        seen_at=max(changes, default=None),
        opened_at=instant("dateoccurred"),
        responded_at=instant("responsedate") or instant("first_responsedate"),
        resolved_at=instant("dateclosed") or instant("dateclearance"),
        status=ticket.text("status_id", "status_name"),
        priority=ticket.text("priority_id"),
        queue=ticket.text("team"),
        type=ticket.text("tickettype_id", "tickettype_name"),
        channel=ticket.text("source"),
        summary=ticket.text("summary"),
        description=ticket.text("details"),
        customer_id=ticket.text("client_id"),
        customer_name=ticket.text("client_name"),
        contact=ContactInfo(ticket.text("user_name", "reportedby"), ticket.text("user_email")),
        services=ticket.services(settings, "category_1", "category_2", "category_3", "category_4"),
    )


def _action(event: PayloadObject, ticket: PayloadObject) -> Literal["created", "deleted"] | None:
    name = (event.text("event") or "").casefold()
    if ticket.values.get("deleted") is True or "deleted" in name:
        return "deleted"
    return "created" if name.startswith("new ticket") else None
