"""Notices about a request itself, apart from its timeline: published once, at its opening. Pure."""

from enum import StrEnum

from tocsin.events import Ticket


class NoticeKind(StrEnum):
    """The event types of `tocsin.deadlines.v1` about the request itself."""

    ESCALATION_REQUESTED = "escalation.requested"
    REQUEST_REROUTED = "request.rerouted"


def notices_of(ticket: Ticket) -> list[NoticeKind]:
    """The notices that the opening of this ticket causes (docs/rules.md#6-6, docs/rules.md#6-7)."""
    if ticket.routed_to == "escalations":
        return [NoticeKind.ESCALATION_REQUESTED]
    return [NoticeKind.REQUEST_REROUTED] if _is_rerouted_mail_with_sender(ticket) else []


def _is_rerouted_mail_with_sender(ticket: Ticket) -> bool:
    has_sender = ticket.contact.email is not None and not {"contact_unusable", "default_contact"} & set(ticket.flags)
    return ticket.channel == "email" and "rerouted" in ticket.flags and has_sender
