"""What a posted ticket becomes: its row and its first facts."""

from datetime import datetime
from uuid import UUID

from tocsin.events import Fact, FactType, derived_id, ticket_id
from tocsin.runtime.http.problems import Problem
from tocsin.validation import FieldError

from intake.domain.routing import route
from intake.domain.ticket_request import SeenTicket, TicketItem, TicketRequest
from intake.domain.ticket_state import impossible_workarounds, opening_fact, standing
from intake.handlers.context import Desk, fact_of, workaround_refused
from intake.handlers.outbox_events import first_events, too_large
from intake.store import NewTicket, StoredTicket


def drafted(desk: Desk, tenant: str, request: TicketRequest, received_at: datetime, busy: bool) -> NewTicket | Problem:
    """The ticket that a request becomes if nobody has posted it before, or why it cannot be taken."""
    if busy and is_history(request):
        return Problem(503, "Much waits to be published. Post history later.", headers={"Retry-After": "5"})
    key = ticket_id(tenant, request.source, request.external_id)
    opened_at = min(request.opened_at or received_at, received_at)
    routing = route(request, opened_at, desk.policy)
    told = _first_facts(key, request, routing.severity, opened_at, received_at)
    if isinstance(told, Problem):
        return told
    facts = tuple(fact for fact, _ in told)
    if impossible_workarounds(facts):
        return workaround_refused()
    ticket = StoredTicket(
        ticket_id=key,
        position=0,
        tenant=tenant,
        source=request.source,
        external_id=request.external_id,
        opened_at=opened_at,
        received_at=received_at,
        initial_severity=routing.severity,
        suggested_severity=routing.suggestion.severity,
        fit=routing.suggestion.fit,
        routed_to=routing.routed_to,
        flags=routing.flags,
        imported=isinstance(request, TicketItem) and request.imported,
        history=is_history(request),
        body=request.model_dump(mode="json", exclude={"events", "history", "opened_by", "defaulted"}),
        digest=request.digest(),
        first_facts=len(facts),
        standing=standing(facts),
    )
    draft = NewTicket(ticket, facts, tuple(digest for _, digest in told))
    return too_large(first_events(ticket, facts)) or draft


def is_history(request: TicketRequest) -> bool:
    """Whether the ticket is posted as history, which mails nobody and waits while much is to be published."""
    return isinstance(request, TicketItem) and request.history


def _first_facts(
    key: UUID, request: TicketRequest, severity: int, opened_at: datetime, received_at: datetime
) -> list[tuple[Fact, bytes]] | Problem:
    """The opening, what the policy adds to it (RULES 5) and the item's events, each with its request's digest."""
    opener = request.opened_by if isinstance(request, SeenTicket) else None
    opened = opening_fact(severity, opened_at, received_at, opener or request.source)
    told = {opened.event_id: (opened, request.digest())}
    if request.category == "mishandled_request" and request.sender_is_it_contact:
        escalated = Fact(
            number=2,
            event_id="policy:mishandled_request",
            type=FactType.ESCALATED,
            occurred_at=opened_at,
            received_at=received_at,
            actor="policy",
            reason="mishandled request",
        )
        told[escalated.event_id] = (escalated, request.digest())
    for index, event in enumerate(request.events if isinstance(request, TicketItem) else ()):
        event_id = event.event_id or str(derived_id(key, "event", index))
        if event_id not in told:
            told[event_id] = (fact_of(event, len(told) + 1, event_id, received_at), event.digest())
        elif told[event_id][1] != event.digest():
            field = FieldError(field=f"events[{index}].event_id", message="is used twice, for different events")
            return Problem(409, "Two events of this ticket have the same event_id.", errors=[field])
    return list(told.values())
