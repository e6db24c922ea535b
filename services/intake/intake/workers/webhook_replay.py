"""Deliveries that wait to be read again, read together: of a ticket, all are compared at once.

One after the other, each would be compared with others that are still as the old mapping had them, and would add facts
that the next one contradicts.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.config.integrations import Integrations
from intake.domain.webhooks.snapshot import Unreadable
from intake.domain.webhooks.update import Shown, Unmapped
from intake.handlers.normalize import Read, read_sightings
from intake.store.webhooks import Delivery, HookStore, Spot

log = structlog.get_logger(__name__)

_PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class Together:
    """How further deliveries show tickets, by the mapping as it is now.

    `covered` are those that show nothing but these tickets, as before: with these nothing of them is left to be read.
    """

    shown: dict[UUID, dict[Spot, Shown]] = field(default_factory=dict)
    covered: list[int] = field(default_factory=list)


async def read_together(
    engine: AsyncEngine, integrations: Integrations, delivery: Delivery, tickets: Collection[UUID]
) -> Together:
    """What the deliveries say that wait as this one does and have shown one of these tickets before, if it was opened.

    What is unmapped now is left out: it stays as it was until its own turn comes. So is another ticket than before.
    """
    found = Together({ticket: {} for ticket in tickets})
    after = 0
    while tickets:
        async with engine.connect() as connection:
            page = await HookStore(connection).waiting_with(tickets, after, _PAGE)
            spots = await HookStore(connection).spots([other.id for other in page])
        # Not on the loop: they are many, and others wait for their answers.
        for other, reads in await asyncio.to_thread(_read, integrations, page):
            known = {spot: ticket for spot, ticket in spots.items() if spot[0] == other.id}
            clear = [read for read in reads if isinstance(read, Read)]
            same = [read for read in clear if known.get(read.spot) == read.ticket_id and read.ticket_id in found.shown]
            for read in same:
                found.shown[read.ticket_id][read.spot] = read.shown
            if other.id != delivery.id and len(same) == len(reads) == len(known):
                found.covered.append(other.id)
        if len(page) < _PAGE:
            break
        after = page[-1].id
    return found


def _read(integrations: Integrations, deliveries: Sequence[Delivery]) -> list[tuple[Delivery, list[Read | Unmapped]]]:
    """What these say; those that cannot be read are left out."""
    found = []
    for delivery in deliveries:
        integration = integrations.find(delivery.tenant, delivery.provider)
        if integration is None:
            continue
        try:
            delivered = ADAPTERS[integration.adapter].read(delivery.body, integration)
        except Unreadable:
            continue
        except Exception:  # a fault of the adapter's; it is counted in the delivery's own turn
            log.exception("hook_unread", delivery=delivery.id)
            continue
        found.append((delivery, read_sightings(integration, delivery, delivered.tickets)))
    return found
