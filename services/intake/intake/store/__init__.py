"""Intake's tables and every query on them. Nothing here commits: the edge does."""

from intake.store.idempotency import KeyUse, forget_keys, use_key
from intake.store.stored import NewTicket, StoredTicket
from intake.store.tables import PUNCTUATION, dead_letters, metadata, outbox
from intake.store.tickets import Filter, Locked, Store

__all__ = [
    "PUNCTUATION",
    "Filter",
    "KeyUse",
    "Locked",
    "NewTicket",
    "Store",
    "StoredTicket",
    "dead_letters",
    "forget_keys",
    "metadata",
    "outbox",
    "use_key",
]
