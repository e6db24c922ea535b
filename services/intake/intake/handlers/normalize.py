"""What a stored delivery shows of tickets, by the mapping as it is now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pydantic import ValidationError
from tocsin.events import ticket_id

from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.snapshot import TicketSnapshot, UnreadableError
from intake.domain.webhooks.update import TicketUpdate, UnmappedError, shown
from intake.store.webhooks import Spot, WebhookDelivery

LONGEST_DETAIL: Final = 500


@dataclass(frozen=True, slots=True)
class Read:
    """A ticket as a delivery shows it at `spot`; `source` and `external_id` are what its `ticket_id` is made of."""

    spot: Spot
    source: str
    external_id: str
    ticket_id: UUID
    shown: TicketUpdate


def map_delivery(
    integration: Integration, delivery: WebhookDelivery, tickets: Sequence[TicketSnapshot | UnreadableError]
) -> list[Read | UnmappedError]:
    """What each ticket of a delivery says in our words, or why nobody knows."""
    return [_read(integration, delivery, place, seen) for place, seen in enumerate(tickets)]


def refused(invalid: ValidationError) -> UnmappedError:
    """Why what was shown cannot become a ticket or an event; the first of the reasons."""
    wrong = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in wrong["loc"])
    return UnmappedError("refused", f"{field}: {wrong['msg']}"[:LONGEST_DETAIL])


def _read(
    integration: Integration, delivery: WebhookDelivery, place: int, seen: TicketSnapshot | UnreadableError
) -> Read | UnmappedError:
    if isinstance(seen, UnreadableError):
        return UnmappedError("unreadable", str(seen))
    source = integration.source or delivery.provider
    try:
        # Keys are compared as text.
        now = shown(seen, integration, delivery.received_at, f"{delivery.id:020}")
    except UnmappedError as unmapped:
        return unmapped
    except ValidationError as invalid:
        return refused(invalid)
    key = ticket_id(delivery.tenant, source, seen.external_id)
    return Read((delivery.id, place), source, seen.external_id, key, now)
