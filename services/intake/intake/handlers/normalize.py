"""What a stored delivery shows of tickets, by the mapping as it is now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pydantic import ValidationError
from tocsin.events import ticket_id

from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.snapshot import Sighting, Unreadable
from intake.domain.webhooks.update import Shown, Unmapped, shown
from intake.store.webhooks import Delivery, Spot

LONGEST_DETAIL: Final = 500


@dataclass(frozen=True, slots=True)
class Read:
    """A ticket as a delivery shows it at `spot`; `source` and `external_id` are what its `ticket_id` is made of."""

    spot: Spot
    source: str
    external_id: str
    ticket_id: UUID
    shown: Shown


def read_sightings(
    integration: Integration, delivery: Delivery, tickets: Sequence[Sighting | Unreadable]
) -> list[Read | Unmapped]:
    """What each ticket of a delivery says in our words, or why nobody knows."""
    return [_read(integration, delivery, place, seen) for place, seen in enumerate(tickets)]


def refused(invalid: ValidationError) -> Unmapped:
    """Why what was shown cannot become a ticket or an event; the first of the reasons."""
    wrong = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in wrong["loc"])
    return Unmapped("refused", f"{field}: {wrong['msg']}"[:LONGEST_DETAIL])


def _read(integration: Integration, delivery: Delivery, place: int, seen: Sighting | Unreadable) -> Read | Unmapped:
    if isinstance(seen, Unreadable):
        return Unmapped("unreadable", str(seen))
    source = integration.source or delivery.provider
    try:
        # Keys are compared as text.
        now = shown(seen, integration, delivery.received_at, f"{delivery.id:020}")
    except Unmapped as unmapped:
        return unmapped
    except ValidationError as invalid:
        return refused(invalid)
    key = ticket_id(delivery.tenant, source, seen.external_id)
    return Read((delivery.id, place), source, seen.external_id, key, now)
