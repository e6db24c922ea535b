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
from intake.domain.webhooks.no_ticket import WebhookIgnoredReason
from intake.domain.webhooks.payload_reader import PayloadObject
from intake.domain.webhooks.snapshot import (
    Action,
    AssigneeInfo,
    ContactInfo,
    DeliveryContent,
    TicketSnapshot,
    read_each,
)
from intake.errors import UnmappedReason, UnreadableError

SEND_TICKET: Final = (
    "in HaloPSA, set the payload type of the webhook to *Full object*: *Event information only* contains no ticket"
)

_MAX_TICKETS: Final = 500
_QUOTED_LENGTH: Final = 60
_TICKET_WORDS: Final = frozenset({"ticket", "action", "note", "sla"})
_OTHER_RECORDS: Final = frozenset(
    (
        *("client", "customer", "site", "user", "contact", "asset", "device", "supplier", "invoice", "quote", "order"),
        *("quotation", "contract", "agreement", "opportunity", "item", "article", "appointment", "timesheet"),
    )
)
"""Words in the names of events about other records, in the singular."""


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
    """The tickets of the events; those about other records do not count beside them."""
    if not events:
        raise UnreadableError("body", "is an empty list", UnmappedReason.NO_TICKET)
    others = [_other_record(event) for event in events]
    if all(others):
        return DeliveryContent((), None, WebhookIgnoredReason.NOT_A_TICKET, others[0])
    return DeliveryContent(
        read_each(
            partial(_snapshot, event, path.format(index), integration)
            for index, (event, other) in enumerate(zip(events, others, strict=True))
            if other is None
        )
    )


def _other_record(event: object) -> str | None:
    """The name of an event about another record than a ticket; None if it should contain a ticket."""
    if not isinstance(event, Mapping) or event.get("ticket") or "event" not in event:
        return None
    name = payload.text(event["event"]) or ""
    words = {word.removesuffix("s") for word in name.casefold().split()}
    return name if words & _OTHER_RECORDS and not words & _TICKET_WORDS else None


def _ticket_of(event: PayloadObject) -> PayloadObject:
    """The ticket: the event itself, unless it is an event with a name or with a field `ticket`."""
    if not {"ticket", "event"} & event.values.keys():
        return event
    if not event.values.get("ticket"):
        name = event.text("event")
        about = f"the event `{name[:_QUOTED_LENGTH]}` contains no ticket" if name else "is empty"
        raise UnreadableError(event.path_of("ticket"), about, UnmappedReason.NO_TICKET)
    return event.child("ticket")


def _snapshot(value: object, path: str, integration: Integration) -> TicketSnapshot:
    event = PayloadObject.event(value, path)
    ticket = _ticket_of(event)
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
