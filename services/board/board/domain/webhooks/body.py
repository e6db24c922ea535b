"""The standard JSON body of a webhook, which templates also read. Pure."""

from datetime import datetime
from typing import Any, Final

from tocsin.events import Tier
from tocsin.instants import render_instant

from board.domain.ticket_links import TicketLinks
from board.domain.webhooks.occurrence import WebhookOccurrence

_CLOCKS: Final = {"response": "Response", "resolution": "Resolution", "answer": "Answer"}
_ENDINGS: Final = {
    "resolved": "the ticket is resolved",
    "workaround": "a workaround was provided",
    "cancelled": "the ticket is cancelled",
    "voided": "its cause did not happen",
}


def standard_body(occurrence: WebhookOccurrence, links: TicketLinks, *, is_example: bool = False) -> dict[str, Any]:
    """The body: every field is always present, null if the event does not have it (docs/integrations/webhooks.md)."""
    ticket = occurrence.ticket
    upcoming, voids = occurrence.upcoming, occurrence.voids
    return {
        "type": f"sla.{occurrence.event}",
        "timestamp": render_instant(occurrence.at),
        "data": {
            "headline": headline(occurrence),
            "event": occurrence.event,
            "event_id": str(occurrence.event_id),
            "example": is_example,
            "tenant": ticket.tenant,
            "ticket": {
                "id": str(ticket.ticket_id),
                "source": ticket.source,
                "external_id": ticket.external_id,
                "summary": ticket.summary,
                "customer": {"id": ticket.customer.id, "name": ticket.customer.name},
                "category": ticket.category,
                "assignee": None if ticket.assignee is None else ticket.assignee.name,
                "opened_at": render_instant(ticket.opened_at),
                "url": links.tool_page(ticket),
                "board_url": links.board_page(ticket),
            },
            "severity": occurrence.severity,
            "cycle": occurrence.cycle,
            "run": occurrence.run,
            "clock": occurrence.clock,
            "target": occurrence.target,
            "started_at": _instant(occurrence.started_at),
            "due_at": _instant(occurrence.due_at),
            "tier": _tier(occurrence.tier),
            "step": occurrence.step,
            "next": None if upcoming is None else {"at": render_instant(upcoming.at), "tier": _tier(upcoming.tier)},
            "reason": occurrence.reason,
            "acknowledged_by": occurrence.acknowledged_by,
            "voids": None
            if voids is None
            else {"event": voids.event, "event_id": None if voids.event_id is None else str(voids.event_id)},
            "unconfirmed": occurrence.unconfirmed,
        },
    }


def headline(occurrence: WebhookOccurrence) -> str:
    """The event in a few words, without the ticket."""
    clock = _CLOCKS.get(occurrence.clock or "", "")
    match occurrence.event:
        case "warned":
            return f"{clock} deadline is close"
        case "breached":
            return f"{clock} deadline missed"
        case "tier":
            tier = occurrence.tier
            return "Escalated" if tier is None else f"Escalated to tier {tier.number}: {tier.title}"
        case "acknowledged":
            return f"Acknowledged by {occurrence.acknowledged_by}" if occurrence.acknowledged_by else "Acknowledged"
        case "exhausted":
            return "No tier is left to escalate to"
        case "ended":
            return f"Escalation ended: {_ENDINGS.get(occurrence.reason or '', 'no further action is needed')}"
        case "voided":
            return _voided(occurrence, clock)


def _voided(occurrence: WebhookOccurrence, clock: str) -> str:
    if occurrence.voids is not None and occurrence.voids.event == "tier":
        return f"Correction: escalation step {occurrence.step} was not due"
    if occurrence.voids is not None and occurrence.voids.event == "warned":
        return f"Correction: the warning about the {clock.lower()} deadline was not due"
    return f"Correction: {clock.lower()} deadline was not missed"


def _tier(tier: Tier | None) -> dict[str, Any] | None:
    return None if tier is None else {"number": tier.number, "role": tier.role, "title": tier.title}


def _instant(at: datetime | None) -> str | None:
    return None if at is None else render_instant(at)
