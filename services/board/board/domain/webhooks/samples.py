"""An event of each kind, to check templates and to test endpoints. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tocsin.events import Assignee, Contact, Customer, Ticket, Tier, UpcomingStep

from board.domain.webhooks.occurrence import WEBHOOK_EVENTS, VoidedEvent, WebhookEvent, WebhookOccurrence

_AT: Final = datetime(2026, 6, 8, 12, tzinfo=UTC)
_TIER: Final = Tier(number=2, role="senior_it_operations_manager", title="Senior IT Operations Manager")
_SOME_ID: Final = UUID(int=1)


def example_occurrence(tenant: str, at: datetime, event: WebhookEvent) -> WebhookOccurrence:
    """An event of a ticket that does not exist, for a test of an endpoint."""
    ticket = _ticket(tenant, at, "EXAMPLE-1", "This is a test of the webhook. Nothing has to be done.")
    return _occurrence(event, ticket, at)


def sample_occurrences() -> Iterator[WebhookOccurrence]:
    """Each kind of event, with all its fields and with none that may be missing, and texts that must be escaped."""
    full = _ticket("default", _AT, "SR-1042", 'Mail <is> "down" & {{ slow }} *now*\nline \\ two')
    bare = full.model_copy(update={"assignee": None})
    for event in WEBHOOK_EVENTS:
        yield _occurrence(event, full, _AT)
        yield WebhookOccurrence(event=event, event_id=_SOME_ID, ticket=bare, severity=4, at=_AT)
    yield _occurrence("tier", full, _AT, upcoming=UpcomingStep(at=_AT))
    yield _occurrence("voided", full, _AT, clock=None, step=2, voids=VoidedEvent("tier", None))


def _occurrence(event: WebhookEvent, ticket: Ticket, at: datetime, **fields: Any) -> WebhookOccurrence:
    about: dict[str, Any] = {"clock": "resolution", "target": "24 hours", "started_at": at - timedelta(days=1)}
    about |= {"due_at": at, "cycle": 1}
    match event:
        case "tier":
            about |= {"run": 1, "step": 1, "tier": _TIER, "reason": "resolution_breached"}
            about |= {"upcoming": UpcomingStep(at=at + timedelta(hours=1), tier=_TIER)}
        case "acknowledged":
            about = {"acknowledged_by": "Dana Whitfield", "reason": "I am on it."}
        case "exhausted":
            about |= {"run": 1, "reason": "ladder"}
        case "ended":
            about = {"cycle": 1, "run": 1, "reason": "resolved"}
        case "voided":
            about |= {"voids": VoidedEvent("breached", _SOME_ID)}
    return WebhookOccurrence(event=event, event_id=_SOME_ID, ticket=ticket, severity=1, at=at, **about | fields)


def _ticket(tenant: str, at: datetime, external_id: str, summary: str) -> Ticket:
    return Ticket(
        tenant=tenant,
        ticket_id=UUID(int=0),
        source="psa",
        external_id=external_id,
        summary=summary,
        affected_services=("Mail",),
        contact=Contact(name="Ida Jones", email="ida@example.com"),
        customer=Customer(id="example", name="Example Ltd & <Sons>"),
        channel="portal",
        category="incident",
        opened_at=at - timedelta(days=1),
        initial_severity=1,
        assignee=Assignee(name="Ruth Meyer"),
    )
