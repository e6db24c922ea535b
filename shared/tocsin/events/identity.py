"""Deterministic ids: who computes the same thing twice computes the same id twice (DESIGN, Delivery)."""

from uuid import UUID, uuid5

NAMESPACE = UUID("5ad7a8a5-8f0b-5e0c-9e0e-6b1f7c1f4e11")


def ticket_id(tenant: str, source: str, external_id: str) -> UUID:
    """The ticket's id, from the natural key that its PSA tool gave it."""
    return _uuid5(NAMESPACE, tenant, source, external_id)


def fact_id(ticket: UUID, event_id: str) -> UUID:
    """The id of the record that carries the fact `event_id` of `ticket`."""
    return _uuid5(ticket, "fact", event_id)


def derived_id(ticket: UUID, kind: str, *parts: str | int | None) -> UUID:
    """The id of what follows from facts: `parts` are cycle, clock, run, step ... as far as they apply."""
    return _uuid5(ticket, kind, *parts)


def _uuid5(namespace: UUID, *parts: str | int | None) -> UUID:
    # Lengths stand before the parts, so that ("a", "b:c") and ("a:b", "c") differ.
    texts = ["" if part is None else str(part) for part in parts]
    return uuid5(namespace, "".join(f"{len(text)}:{text};" for text in texts))
