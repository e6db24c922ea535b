"""Intake's tables and every query on them. Nothing here commits: the edge does."""

from intake.store.idempotency import HeldKey, KeyUse, forget_keys, free_keys, use_keys
from intake.store.records import NewTicket, StoredTicket
from intake.store.tables import PUNCTUATION, dead_letters, key_uses, metadata, outbox
from intake.store.tickets import Filter, Locked, NewFact, Store, TicketKey
from intake.store.webhooks import Delivery, DeliveryState, HookStore, Spot

__all__ = [
    "PUNCTUATION",
    "Delivery",
    "DeliveryState",
    "Filter",
    "HeldKey",
    "HookStore",
    "KeyUse",
    "Locked",
    "NewFact",
    "NewTicket",
    "Spot",
    "Store",
    "StoredTicket",
    "TicketKey",
    "dead_letters",
    "forget_keys",
    "free_keys",
    "key_uses",
    "metadata",
    "outbox",
    "use_keys",
]
