"""Creates a ticket from its updates, with defaults for missing fields. Pure."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from pydantic import BaseModel
from tocsin.events import Flag

from intake.domain.facts import opening_fact
from intake.domain.ticket_request import DerivedTicketRequest
from intake.domain.webhooks.config.integrations import Integration, ItContacts
from intake.domain.webhooks.no_ticket import WebhookIgnoredReason
from intake.domain.webhooks.reconcile import reconcile
from intake.domain.webhooks.ticket_values import NO_VALUES
from intake.domain.webhooks.update import TicketUpdate, sort_updates
from intake.errors import UnmappedError, UnmappedReason


def opening_severity(updates: Sequence[TicketUpdate], integration: Integration) -> int | None:
    """The severity at the opening: that of the earliest update, else the default, else the first one stated."""
    stated = [update.severity for update in sort_updates(updates)]
    return stated[0] or integration.defaults.severity or next((severity for severity in stated if severity), None)


def create_ticket(
    source: str,
    external_id: str,
    updates: Sequence[TicketUpdate],
    integration: Integration,
    it_contacts: ItContacts,
    *,
    received_at: datetime,
    live_since: datetime,
    automatic_actors: Collection[str] = (),
) -> DerivedTicketRequest | WebhookIgnoredReason:
    """The ticket that these updates open, with the events that follow from them, or why they open none.

    Its impact and assignee are those of the earliest update. It is opened at the tool's own instant of the opening, or
    else of the creation. With `opened_at: first_seen`, it is opened at the instant of the earliest update if neither is
    known. A ticket opened before `live_since` is history. Raises UnmappedError if something mandatory is missing that
    has no default (docs/rules.md#1-9).
    """
    ordered = sort_updates(updates)
    if (ignored := _ignored_reason(ordered)) is not None:
        return ignored
    opening = _opening(ordered, integration)
    fields, flags = _mandatory_fields(ordered, integration)
    opened_at = min(opening.at, received_at)
    opened_by = next((update.actor for update in ordered if update.created), None)
    fact = opening_fact(fields["severity"], opened_at, received_at, opened_by or source)
    values = NO_VALUES.after_update(ordered[0])
    category = _latest(ordered, "category")
    contact, customer = fields["contact"], fields["customer"]
    is_it_contact = it_contacts.include(customer["id"], contact["name"], contact["email"])
    return DerivedTicketRequest.model_validate(
        {
            **fields,
            "source": source,
            "external_id": external_id,
            "opened_at": opened_at,
            "description": _latest(ordered, "description"),
            "channel": _latest(ordered, "channel") or integration.defaults.channel,
            "category": category or integration.defaults.category,
            "states_category": category is not None,
            "via": _latest(ordered, "via") or "support",
            "sender_is_it_contact": is_it_contact or _latest(ordered, "it_contact") is True,
            "starts_at": _latest(ordered, "starts_at"),
            "impact": values.impact.model_dump() if ordered[0].impact else None,
            "assignee": values.assignee.model_dump() if values.assignee else None,
            "events": reconcile(
                updates,
                [fact],
                actor=source,
                opened_with=fields["severity"],
                values=values,
                automatic_actors=automatic_actors,
            ),
            "history": opened_at < live_since,
            "opened_by": opened_by,
            "default_flags": (*flags, *opening.flags, *_cleaned(ordered)),
        }
    )


def _ignored_reason(ordered: Sequence[TicketUpdate]) -> WebhookIgnoredReason | None:
    in_scope = _latest(ordered, "in_scope")
    if in_scope is False:
        return WebhookIgnoredReason.OTHER_QUEUE
    if all(update.deleted for update in ordered):
        return WebhookIgnoredReason.DELETED
    if in_scope is None:
        raise UnmappedError(
            UnmappedReason.MISSING_QUEUE, "No queue is given, but `queues` is set. Map the queue, or remove `queues`."
        )
    return None


class _Opening(NamedTuple):
    at: datetime
    flags: tuple[Flag, ...] = ()


def _opening(ordered: Sequence[TicketUpdate], integration: Integration) -> _Opening:
    stated: datetime | None = _latest(ordered, "opened_at")
    created_at = next((update.at for update in ordered if update.created), None)
    if at := stated or created_at:
        return _Opening(at)
    if integration.defaults.opened_at is None:
        # The ticket may be years old, and then it is history.
        message = "No opening time is given. Have the tool send it, or set `defaults: opened_at`."
        raise UnmappedError(UnmappedReason.MISSING_OPENING, message)
    return _Opening(ordered[0].at, ("default_opened_at",))


_DEFAULTS: Final[Mapping[str, tuple[Flag, UnmappedReason, str]]] = {
    "severity": ("default_severity", UnmappedReason.MISSING_SEVERITY, "No priority is given."),
    "services": ("default_services", UnmappedReason.MISSING_SERVICES, "No affected service is given."),
    "contact": (
        "default_contact",
        UnmappedReason.MISSING_CONTACT,
        "No contact with an e-mail address or a phone number is given.",
    ),
    "customer": ("default_customer", UnmappedReason.MISSING_CUSTOMER, "No customer is given."),
    "summary": ("default_summary", UnmappedReason.MISSING_SUMMARY, "No summary is given."),
}


def _mandatory_fields(
    ordered: Sequence[TicketUpdate], integration: Integration
) -> tuple[dict[str, Any], tuple[Flag, ...]]:
    """The mandatory fields of the ticket, and a flag for each default used."""
    defaults = integration.defaults
    found = {
        "severity": ordered[0].severity if defaults.severity else opening_severity(ordered, integration),
        "services": _latest(ordered, "services"),
        "contact": _contact(ordered),
        "customer": _latest(ordered, "customer"),
        "summary": _latest(ordered, "summary"),
    }
    flags: list[Flag] = []
    for field, (flag, reason, problem) in _DEFAULTS.items():
        if found[field] is None:
            found[field] = getattr(defaults, field) or None
            flags.append(flag)
        if found[field] is None:
            raise UnmappedError(reason, f"{problem} Set `defaults: {field}`.")
    fields = {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in found.items()}
    fields["affected_services"] = fields.pop("services")
    return fields, tuple(flags)


def _cleaned(ordered: Sequence[TicketUpdate]) -> tuple[Flag, ...]:
    """The flag of a ticket with an id, a name or an address that was repaired (docs/rules.md#1-12)."""
    return ("text_cleaned",) if any(update.text_cleaned for update in ordered) else ()


def _contact(ordered: Sequence[TicketUpdate]) -> dict[str, str | None] | None:
    """The contact (docs/rules.md#1-8); without a name, the e-mail address or the phone number is the name."""
    name, email, phone = (_latest(ordered, f"contact_{part}") for part in ("name", "email", "phone"))
    if email is None and phone is None:
        return None
    return {"name": name or email or phone, "email": email, "phone": phone}


def _latest(ordered: Sequence[TicketUpdate], field: str) -> Any:
    """The value in the latest update that states the field."""
    return next((value for update in reversed(ordered) if (value := getattr(update, field)) is not None), None)
