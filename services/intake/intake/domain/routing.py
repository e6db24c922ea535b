"""Where a ticket belongs and what is worth saying about it (RULES 1 and 6). Pure; the policy is the data."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.events import Flag, Mailbox
from tocsin.policy import Impact, Policy, SeveritySuggestion, suggest_severity

from intake.domain.ticket_request import SeenTicket, TicketRequest


@dataclass(frozen=True, slots=True)
class Routing:
    """`severity` is the initial one; `suggestion` what the matrix makes of the impact; `flags` what stands out."""

    severity: int
    suggestion: SeveritySuggestion
    routed_to: Mailbox
    flags: tuple[Flag, ...]


def route(request: TicketRequest, opened_at: datetime, policy: Policy) -> Routing:
    """Decide about a ticket that was submitted at `opened_at`. Nothing is refused here, and nothing is dropped."""
    routed_to = _mailbox(request, policy)
    flags: list[Flag] = []
    if routed_to != request.via:
        flags.append("rerouted")
    if _short_notice(request, opened_at, policy):
        flags.append("short_notice")
    if request.category == "security":
        flags.append("security")
    if request.severity is None:
        flags.append("default_severity")
    if isinstance(request, SeenTicket):
        flags += request.defaulted
    impact = Impact.model_validate(request.impact.model_dump()) if request.impact else Impact()
    return Routing(
        severity=request.severity or policy.machine_sources[request.source],
        suggestion=suggest_severity(policy, impact),
        routed_to=routed_to,
        flags=tuple(flags),
    )


def _mailbox(request: TicketRequest, policy: Policy) -> Mailbox:
    """Escalations@ is for the customer's IT contact and for its purposes; everything else goes on to Support@."""
    rule = policy.mailboxes.get(request.via)
    if rule is None or not rule.it_contact_only:
        return request.via
    if request.sender_is_it_contact and request.category in rule.purposes:
        return request.via
    return rule.otherwise or "support"


def _short_notice(request: TicketRequest, opened_at: datetime, policy: Policy) -> bool:
    """Whether less elapsed time than the policy asks for lies between the submission and `starts_at`."""
    notice = policy.notice.get(request.category)
    if notice is None or request.starts_at is None:
        return False
    return request.starts_at - opened_at < timedelta(microseconds=notice.micros)
