"""The mailbox, initial severity and flags of a new ticket (docs/rules.md#6-channels-and-mailboxes). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.email_address import is_usable_email
from tocsin.events import Flag, Mailbox
from tocsin.policy import Policy

from intake.domain.ticket_request import DerivedTicketRequest, TicketRequest


@dataclass(frozen=True, slots=True)
class Routing:
    """`severity` is the initial severity."""

    severity: int
    routed_to: Mailbox
    flags: tuple[Flag, ...]


def route(request: TicketRequest, opened_at: datetime, policy: Policy) -> Routing:
    """Route a ticket that was submitted at `opened_at`. No ticket is rejected here."""
    routed_to = _mailbox(request, policy)
    return Routing(
        severity=initial_severity(request, policy),
        routed_to=routed_to,
        flags=tuple(_flags(request, opened_at, routed_to, policy)),
    )


def initial_severity(request: TicketRequest, policy: Policy) -> int:
    """The stated severity, or the default of its machine source (docs/rules.md#1-9)."""
    return request.severity or policy.machine_sources[request.source]


def _mailbox(request: TicketRequest, policy: Policy) -> Mailbox:
    """Escalations@ is for the customer's IT contact and its purposes; other requests are rerouted.

    A mail or a webhook of the IT contact that states no purpose stays (docs/rules.md#6-5).
    """
    rule = policy.mailboxes.get(request.via)
    if rule is None or not rule.it_contact_only:
        return request.via
    states_purpose = not isinstance(request, DerivedTicketRequest) or request.states_category
    if request.sender_is_it_contact and (request.category in rule.purposes or not states_purpose):
        return request.via
    return rule.otherwise or "support"


def _flags(request: TicketRequest, opened_at: datetime, routed_to: Mailbox, policy: Policy) -> Iterator[Flag]:
    if routed_to != request.via:
        yield "rerouted"
    yield from _start_flags(request, opened_at, policy)
    if request.category == "security":
        yield "security"
    if request.severity is None:
        yield "default_severity"
    if request.contact.email is not None and not is_usable_email(request.contact.email):
        yield "contact_unusable"
    if isinstance(request, DerivedTicketRequest):
        yield from request.default_flags


def _start_flags(request: TicketRequest, opened_at: datetime, policy: Policy) -> Iterator[Flag]:
    """The start of a request that needs notice is missing, or too early (docs/rules.md#6-11, docs/rules.md#6-12)."""
    notice = policy.notice.get(request.category)
    if notice is None:
        return
    if request.starts_at is None:
        yield "start_missing"
    elif request.starts_at - opened_at < timedelta(microseconds=notice.micros):
        yield "short_notice"
