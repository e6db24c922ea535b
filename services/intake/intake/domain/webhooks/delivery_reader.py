"""Reads a webhook delivery: its tickets with clean texts, or why it has none. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from tocsin.characters import clean_block, clean_id, clean_line, is_id, is_line

from intake.domain.webhooks.adapters.registry import ADAPTERS, Adapter
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.no_ticket import (
    WebhookIgnoredReason,
    deactivated,
    events_of,
    is_deactivation,
    is_test_call,
    notices_of,
)
from intake.domain.webhooks.snapshot import AssigneeInfo, ContactInfo, DeliveryContent, ImpactInfo, TicketSnapshot
from intake.domain.words import fold_word
from intake.errors import UnmappedReason, UnreadableError

_QUOTED_LENGTH: Final = 60
_NOT_A_STATE: Final[Mapping[str, Any]] = {
    "action": None,
    "seen_at": None,
    "sequence": 0,
    "actor": None,
    "text_cleaned": False,
    "assignee": AssigneeInfo(),
    "found_nothing": (),
}
"""The fields of a snapshot that do not describe the state of a ticket, with their defaults."""
_LINES: Final = (
    *("status", "priority", "queue", "type", "channel", "summary", "customer_name", "via", "it_contact", "actor"),
)


# docs/rules.md#1-14
def read_delivery(body: bytes, integration: Integration) -> DeliveryContent:
    """The tickets of a delivery, or why it is ignored. A ticket that states nothing but its id is an error.

    Raises UnreadableError if it has neither, or if the tool reports that it has switched its webhook off.
    """
    adapter = ADAPTERS[integration.adapter]
    try:
        content = adapter.read(body, integration)
    except UnreadableError as error:
        if error.reason is UnmappedReason.NO_TICKET:
            if test := _notice(list(events_of(body))):
                return test
            _raise_if_deactivated(body, is_record=False)
        raise _with_advice(error, adapter) from None
    if content.ignored is not None:
        if test := _notice([content.about or ""], content.key):
            return test
        _raise_if_deactivated(body, is_record=True)
        return content
    tickets = tuple(_checked(ticket, integration, adapter) for ticket in content.tickets)
    return replace(content, tickets=tickets)


def _notice(events: Sequence[str], key: str | None = None) -> DeliveryContent | None:
    """The first test call among these events, or None. Raises UnreadableError for a notice of deactivation."""
    if off := next(filter(is_deactivation, events), None):
        raise deactivated(off)
    test = next(filter(is_test_call, events), None)
    return DeliveryContent((), key, WebhookIgnoredReason.TEST_CALL, test) if test is not None else None


def _raise_if_deactivated(body: bytes, *, is_record: bool) -> None:
    if off := next(notices_of(body, is_record=is_record), None):
        raise deactivated(off)


def _checked(
    ticket: TicketSnapshot | UnreadableError, integration: Integration, adapter: Adapter
) -> TicketSnapshot | UnreadableError:
    if isinstance(ticket, UnreadableError):
        return _with_advice(ticket, adapter)
    clean = _cleaned(ticket)
    if not clean.external_id or not _states_something(clean, integration):
        what = f"ticket {clean.external_id[:_QUOTED_LENGTH]}"
        return _with_advice(UnreadableError(what, "has nothing but its id", UnmappedReason.NO_TICKET), adapter)
    return clean


# docs/rules.md#1-12
def _cleaned(ticket: TicketSnapshot) -> TicketSnapshot:
    """The ticket without control characters, and whether an id, a name or an address had some."""
    contact, assignee, services = ticket.contact, ticket.assignee, ticket.services or ()
    ids = (ticket.external_id, ticket.customer_id)
    names = (ticket.customer_name, ticket.actor, contact.name, contact.email, contact.phone, *services)
    names += (assignee.id, assignee.name, assignee.email)
    lines: dict[str, Any] = {field: _line(getattr(ticket, field)) for field in _LINES}
    return replace(
        ticket,
        **lines,
        external_id=_id(ticket.external_id) or "",
        customer_id=_id(ticket.customer_id),
        description=clean_block(ticket.description or "").strip() or None,
        contact=ContactInfo(_line(contact.name), _line(contact.email), _line(contact.phone)),
        assignee=replace(assignee, id=_line(assignee.id), name=_line(assignee.name), email=_line(assignee.email)),
        services=tuple(line for each in services if (line := _line(each))) or None,
        impact=ImpactInfo(*(_line(getattr(ticket.impact, field.name)) for field in fields(ImpactInfo))),
        text_cleaned=not (all(map(is_id, filter(None, ids))) and all(map(is_line, filter(None, names)))),
    )


def _id(text: str | None) -> str | None:
    return clean_id(text) or None if text is not None else None


def _line(text: str | None) -> str | None:
    """The text on one line. A text on one line stays unchanged, because integrations.yaml may list it."""
    return text if text is None or is_line(text) else clean_line(text) or None


def _states_something(ticket: TicketSnapshot, integration: Integration) -> bool:
    """Whether a ticket states more than its id and instants; an empty assignee alone is not enough.

    A mapping may find an assignee even without a ticket: `assignee.name || 'nobody'`.
    """
    nobody = set(map(fold_word, integration.unassigned))
    people = (ticket.assignee.id, ticket.assignee.name, ticket.assignee.email)
    is_assigned = any(word is not None and fold_word(word) not in nobody for word in people)
    stated = replace(ticket, **_NOT_A_STATE)
    return ticket.action == "deleted" or is_assigned or stated != TicketSnapshot(ticket.external_id)


def _with_advice(error: UnreadableError, adapter: Adapter) -> UnreadableError:
    if error.reason is not UnmappedReason.NO_TICKET:
        return error
    return UnreadableError(error.field, f"{error.message}; {adapter.SEND_TICKET}", error.reason)
