"""HaloPSA webhooks: a ticket or a list of tickets, each plain or as the `ticket` of an event. Pure.

Authenticated by Basic or Bearer credentials. Instants have no zone and up to seven fractional digits.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from intake.domain.webhooks import payload, signatures
from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.mapped_fields import custom_fields, with_mapped_fields
from intake.domain.webhooks.payload_reader import PayloadObject
from intake.domain.webhooks.snapshot import (
    Action,
    AssigneeInfo,
    ContactInfo,
    DeliveryContent,
    TicketSnapshot,
    read_each,
)
from intake.errors import UnreadableError

_MAX_TICKETS: Final = 500


def is_genuine(auth: Auth, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether the Authorization header contains one of the secrets; see `Adapter`."""
    return signatures.has_credentials(headers.get("authorization"), secrets, user=auth.user)


def read(body: bytes, integration: Integration) -> DeliveryContent:
    """The tickets of the delivery; see `Adapter`."""
    data = payload.parse(body)
    if not isinstance(data, list):
        return _content([data], integration, path="")
    if len(data) > _MAX_TICKETS:
        raise UnreadableError("body", f"has more than {_MAX_TICKETS} tickets; configure smaller batches in HaloPSA")
    return _content(data, integration)


def _content(events: Sequence[object], integration: Integration, path: str = "[{}]") -> DeliveryContent:
    subjects = [_subject(event) for event in events]
    tickets = read_each(
        partial(_snapshot, event, path.format(index), integration)
        for index, (event, subject) in enumerate(zip(events, subjects, strict=True))
        if subject is None
    )
    return DeliveryContent(tickets, about=None if tickets else next(filter(None, subjects), "no ticket"))


def _subject(event: object) -> str | None:
    """The subject of an event without a ticket; None if there is a ticket."""
    if isinstance(event, Mapping) and event.get("ticket") is None and "event" in event:
        return payload.text(event["event"]) or "no ticket"
    return None


def _snapshot(value: object, path: str, integration: Integration) -> TicketSnapshot:
    event = PayloadObject.of(value, path)
    ticket = event.child("ticket") if "ticket" in event.values else event
    zone = ZoneInfo(integration.zone)

    def instant(name: str) -> datetime | None:
        return ticket.instant(name, zone)

    changes = [at for name in ("last_update", "lastactiondate") if (at := instant(name)) is not None]
    snapshot = TicketSnapshot(
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
        contact=ContactInfo(name=ticket.text("user_name", "reportedby"), email=ticket.text("user_email")),
        services=ticket.services(integration, "category_1", "category_2", "category_3", "category_4"),
        assignee=AssigneeInfo(
            id=ticket.text("agent_id"),
            name=ticket.text("agent_name"),
            nobody="agent_id" in ticket.values and ticket.values["agent_id"] in (None, 0),
        ),
    )
    # The value of a list field is a number, and `display` its text.
    custom = custom_fields(ticket.values.get("customfields"), labels=("name", "label"), values=("display", "value"))
    return with_mapped_fields(snapshot, integration, ticket, custom)


def _action(event: PayloadObject, ticket: PayloadObject) -> Action | None:
    name = (event.text("event") or "").casefold()
    if ticket.values.get("deleted") is True or "deleted" in name:
        return "deleted"
    return "created" if name.startswith("new ticket") else None
