"""What a request does: load, ask the domain, save. Nothing here commits or asks the time; the edge does."""

from intake.handlers.acknowledgement import Seen, acknowledge, look
from intake.handlers.desk import Desk, TakenEvent, TakenTicket, unknown_ticket
from intake.handlers.events import take_event
from intake.handlers.idempotency import claim, forget_keys
from intake.handlers.publishing import stored_events
from intake.handlers.tickets import take_tickets

__all__ = [
    "Desk",
    "Seen",
    "TakenEvent",
    "TakenTicket",
    "acknowledge",
    "claim",
    "forget_keys",
    "look",
    "stored_events",
    "take_event",
    "take_tickets",
    "unknown_ticket",
]
