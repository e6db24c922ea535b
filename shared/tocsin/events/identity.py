"""Deterministic ids: the same input always has the same id (docs/architecture.md#delivery)."""

import re
from functools import lru_cache
from typing import Annotated, Final
from uuid import UUID, uuid5

from pydantic import BeforeValidator, Field

from tocsin.characters import canonical_id

_NAMESPACE: Final = UUID("5ad7a8a5-8f0b-5e0c-9e0e-6b1f7c1f4e11")
_UUID: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def ticket_id(tenant: str, source: str, external_id: str) -> UUID:
    """Return the id of a ticket. `external_id` is its id in the tool `source`, in any spelling (docs/rules.md#1-12)."""
    return _uuid5(_NAMESPACE, tenant, canonical_id(source), canonical_id(external_id))


def report_id(tenant: str, month: str, customer: str | None, person: str) -> UUID:
    """Return the id of the report of a month (`2026-05`) about a customer (None: all) for a person of the directory."""
    return _uuid5(_NAMESPACE, "report", tenant, month, customer, person)


def parse_uuid(text: str) -> UUID:
    """The UUID in its one spelling, lower case with hyphens. Raises ValueError for another, such as `urn:uuid:...`."""
    if not _UUID.fullmatch(text):
        raise ValueError("must be a UUID in lower case with hyphens, as our responses write it")
    return UUID(text)


UuidInput = Annotated[
    UUID,
    BeforeValidator(lambda value: parse_uuid(value) if isinstance(value, str) else value),
    Field(json_schema_extra={"pattern": f"^{_UUID.pattern}$"}),
]
"""A UUID in a request, in its one spelling."""


@lru_cache(maxsize=1024)  # a fact's row and the event that publishes it have the same id
def fact_id(ticket: UUID, event_id: str) -> UUID:
    """Return the id of the event that carries the fact `event_id` of the ticket."""
    return _uuid5(ticket, "fact", event_id)


def derived_id(ticket: UUID, kind: str, /, **parts: str | int | UUID | None) -> UUID:
    """Return the id of something that follows from a ticket's facts, such as an event, a delivery or a mail.

    The values of `parts` and their order make the id. Their names are for the reader only.
    """
    return _uuid5(ticket, kind, *parts.values())


def _uuid5(namespace: UUID, *parts: str | int | UUID | None) -> UUID:
    # Each part follows its length, so that ("a", "b:c") and ("a:b", "c") differ.
    texts = ["" if part is None else str(part) for part in parts]
    return uuid5(namespace, "".join(f"{len(text)}:{text};" for text in texts))
