"""The escalator's tables and every query. Nothing here commits: the edge does."""

from escalator.store.queries import (
    Filter,
    Listed,
    current,
    listed,
    load,
    lock,
    publish,
    save,
    stored_decisions,
    unhandled,
)
from escalator.store.tables import dead_letters, key_uses, metadata, offsets, outbox

__all__ = [
    "Filter",
    "Listed",
    "current",
    "dead_letters",
    "key_uses",
    "listed",
    "load",
    "lock",
    "metadata",
    "offsets",
    "outbox",
    "publish",
    "save",
    "stored_decisions",
    "unhandled",
]
