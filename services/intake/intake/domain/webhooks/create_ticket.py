"""How a ticket is opened that a tool has shown: what was seen of it, and what stands in for what was not. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tocsin.events import Flag

from intake.domain.facts import opening_fact
from intake.domain.ticket_request import DerivedTicketRequest
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.reconcile import reconcile
from intake.domain.webhooks.update import TicketUpdate, UnmappedError, in_order


def opening_severity(seen: Sequence[TicketUpdate], integration: Integration) -> int | None:
    """With which severity these sightings open their ticket: the earliest one's, or the default; else the first given.

    None: nobody says one.
    """
    given = [one.severity for one in in_order(seen)]
    return given[0] or integration.defaults.severity or next((severity for severity in given if severity), None)


def opening(
    source: str,
    external_id: str,
    seen: Sequence[TicketUpdate],
    integration: Integration,
    received_at: datetime,
    live_since: datetime,
) -> DerivedTicketRequest | None:
    """The ticket that these sightings open, with what has happened to it by them.

    It is opened at the tool's own instant, or at that of the sighting that it was created by; where the mapping says so
    also at that of the earliest sighting. It is history where that was before `live_since`. None: its queue does not
    count, or all that was seen is that it was deleted. Raises UnmappedError where something mandatory is missing that has no
    default.
    """
    ordered = in_order(seen)
    counts = _last(ordered, "counts")
    if counts is False or all(one.deleted for one in ordered):
        return None
    if counts is None:
        raise UnmappedError(
            "missing_queue", "No queue is given, and `queues` says which count; map it, or drop `queues`."
        )
    given, unsaid = _opened_at(ordered, integration)
    body, flags = _mandatory(ordered, integration)
    opened_at = min(given, received_at)
    opened_by = next((one.actor for one in ordered if one.created), None)
    opened = opening_fact(body["severity"], opened_at, received_at, opened_by or source)
    return DerivedTicketRequest.model_validate(
        {
            **body,
            "source": source,
            "external_id": external_id,
            "opened_at": opened_at,
            "description": _last(ordered, "description"),
            "channel": _last(ordered, "channel") or integration.defaults.channel,
            "category": _last(ordered, "category") or integration.defaults.category,
            "events": reconcile(seen, [opened], actor=source, opened_with=body["severity"]),
            "history": opened_at < live_since,
            "opened_by": opened_by,
            "default_flags": (*flags, *unsaid),
        }
    )


def _opened_at(ordered: Sequence[TicketUpdate], integration: Integration) -> tuple[datetime, tuple[Flag, ...]]:
    """When it was opened, and a flag where the default says so."""
    given: datetime | None = _last(ordered, "opened_at") or next((one.at for one in ordered if one.created), None)
    if given is not None:
        return given, ()
    if integration.defaults.opened_at is None:
        # It may be years old, and then it is history.
        message = "Nothing says when it was opened; have the tool send that instant along, or set defaults: opened_at."
        raise UnmappedError("missing_opening", message)
    return ordered[0].at, ("default_opened_at",)


def _mandatory(ordered: Sequence[TicketUpdate], integration: Integration) -> tuple[dict[str, Any], tuple[Flag, ...]]:
    """The mandatory fields, and flags for those that the tool left out and a default stands in for."""
    defaults = integration.defaults
    flags: list[Flag] = []

    severity = opening_severity(ordered, integration)
    if severity is None:
        raise UnmappedError("missing_severity", "No priority is given; set defaults: severity.")
    if ordered[0].severity is None and severity == defaults.severity:
        flags.append("default_severity")

    services = _last(ordered, "services")
    if services is None:
        if not defaults.services:
            raise UnmappedError("missing_services", "No affected service is given; set defaults: services.")
        services, flags = defaults.services, [*flags, "default_services"]

    contact: dict[str, str | None] | None = _contact(ordered)
    if contact is None:
        if defaults.contact is None:
            raise UnmappedError(
                "missing_contact",
                "No contact with an e-mail address or a phone number is given; set defaults: contact.",
            )
        contact, flags = defaults.contact.model_dump(), [*flags, "default_contact"]

    customer = _last(ordered, "customer")
    if customer is None:
        if defaults.customer is None:
            raise UnmappedError("missing_customer", "No customer is given; set defaults: customer.")
        customer, flags = defaults.customer, [*flags, "default_customer"]

    summary = _last(ordered, "summary")
    if summary is None:
        if defaults.summary is None:
            raise UnmappedError("missing_summary", "No summary is given; set defaults: summary.")
        summary, flags = defaults.summary, [*flags, "default_summary"]

    body = {
        "severity": severity,
        "affected_services": services,
        "contact": contact,
        "customer": {"id": customer.id, "name": customer.name},
        "summary": summary,
    }
    return body, tuple(flags)


def _contact(ordered: Sequence[TicketUpdate]) -> dict[str, str | None] | None:
    """Who is most familiar with the issue (RULES 1): without a name, the address is what they are called by."""
    name, email, phone = (_last(ordered, f"contact_{part}") for part in ("name", "email", "phone"))
    if email is None and phone is None:
        return None
    return {"name": name or email or phone, "email": email, "phone": phone}


def _last(ordered: Sequence[TicketUpdate], field: str) -> Any:
    """What was said last."""
    return next((value for one in reversed(ordered) if (value := getattr(one, field)) is not None), None)
