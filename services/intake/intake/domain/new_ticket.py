"""A ticket request becomes a ticket with its first facts. Pure; the policy is the data."""

from datetime import datetime
from typing import Final
from uuid import UUID

from tocsin.events import Fact, FactType, derived_id, ticket_id
from tocsin.policy import Policy

from intake.domain.facts import event_fact, opening_fact, reject_workarounds
from intake.domain.routing import route
from intake.domain.ticket import NewTicket, StoredFact, StoredTicket
from intake.domain.ticket_events import opening_events, render_events
from intake.domain.ticket_request import BatchItemRequest, DerivedTicketRequest, TicketRequest
from intake.domain.ticket_state import Opening, state_of
from intake.errors import EventIdConflictError

_NOT_IN_BODY: Final = {"events", "history", "opened_by", "states_category", "default_flags"}


def new_ticket(policy: Policy, tenant: str, request: TicketRequest, received_at: datetime) -> NewTicket:
    """The ticket that a request opens, received at `received_at`, with its first facts numbered from 1.

    Raises EventIdConflictError, WorkaroundError, RecordTooLargeError.
    """
    key = ticket_id(tenant, request.source, request.external_id)
    opened_at = min(request.opened_at or received_at, received_at)
    routing = route(request, opened_at, policy)
    digest = request.digest()
    stored = _first_facts(key, request, digest, routing.severity, opened_at, received_at)
    facts = [each.fact for each in stored]
    reject_workarounds(facts, new=facts)
    opening = Opening(
        routing.severity,
        request.impact.to_impact() if request.impact else None,
        request.assignee.to_assignee() if request.assignee else None,
    )
    ticket = StoredTicket(
        ticket_id=key,
        position=0,
        tenant=tenant,
        source=request.source,
        external_id=request.external_id,
        opened_at=opened_at,
        received_at=received_at,
        initial_severity=routing.severity,
        routed_to=routing.routed_to,
        flags=routing.flags,
        imported=isinstance(request, BatchItemRequest) and request.imported,
        history=is_history(request),
        body=request.model_dump(mode="json", exclude=_NOT_IN_BODY),
        digest=digest,
        first_facts=len(facts),
        last_number=len(facts),
        state=state_of(policy, opening, facts),
    )
    return NewTicket(ticket, stored, render_events(opening_events(ticket, facts)))


def is_history(request: TicketRequest) -> bool:
    """Whether the ticket is posted as history (docs/rules.md#4-24)."""
    return isinstance(request, BatchItemRequest) and request.history


def _first_facts(
    key: UUID, request: TicketRequest, digest: bytes, severity: int, opened_at: datetime, received_at: datetime
) -> tuple[StoredFact, ...]:
    """The opening, the policy's escalation (docs/rules.md#5-16) and the item's events; equal events count once."""
    opened_by = request.opened_by if isinstance(request, DerivedTicketRequest) else None
    opening = opening_fact(severity, opened_at, received_at, opened_by or request.source)
    facts = {opening.event_id: StoredFact(key, opening, digest)}
    if request.category == "mishandled_request" and request.sender_is_it_contact:
        escalation = _policy_escalation(opened_at, received_at)
        facts[escalation.event_id] = StoredFact(key, escalation, digest)
    events = request.events if isinstance(request, BatchItemRequest) else ()
    for index, event in enumerate(events):
        event_id = event.event_id or str(derived_id(key, "event", index=index))
        if event_id not in facts:
            fact = event_fact(event, len(facts) + 1, event_id, received_at)
            facts[event_id] = StoredFact(key, fact, event.digest())
        elif facts[event_id].digest != event.digest():
            raise EventIdConflictError(index)
    return tuple(facts.values())


def _policy_escalation(opened_at: datetime, received_at: datetime) -> Fact:
    return Fact(
        number=2,
        event_id="policy:mishandled_request",
        type=FactType.ESCALATED,
        occurred_at=opened_at,
        received_at=received_at,
        actor="policy",
        reason="mishandled request",
    )
