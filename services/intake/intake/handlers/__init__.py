"""What a request does: load, ask the domain, save. Nothing here commits or asks the time; the edge does."""

from intake.handlers.acknowledgement import Seen, acknowledge, look
from intake.handlers.context import Desk, TakenEvent, TakenTicket, unknown_ticket
from intake.handlers.events import EventAsked, take_event, take_events
from intake.handlers.idempotency import claim, forget_keys, held_key
from intake.handlers.ingest import Asked, HeldEvent, HeldTwiceError, Outcome, TicketAsked, take_asked
from intake.handlers.normalize import Read, read_sightings
from intake.handlers.outbox_events import stored_events
from intake.handlers.tickets import take_tickets
from intake.handlers.webhooks import Looked, keep_delivery, take_sighting

__all__ = [
    "Asked",
    "Desk",
    "EventAsked",
    "HeldEvent",
    "HeldTwiceError",
    "Looked",
    "Outcome",
    "Read",
    "Seen",
    "TakenEvent",
    "TakenTicket",
    "TicketAsked",
    "acknowledge",
    "claim",
    "forget_keys",
    "held_key",
    "keep_delivery",
    "look",
    "read_sightings",
    "stored_events",
    "take_asked",
    "take_event",
    "take_events",
    "take_sighting",
    "take_tickets",
    "unknown_ticket",
]
