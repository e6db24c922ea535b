"""Republish: put stored events into the outbox again, with the same ids."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.events import Event
from tocsin.runtime.database.outbox import Outbox


async def republish(engine: AsyncEngine, outbox: Outbox, pages: AsyncIterator[Sequence[Event]]) -> int:
    """Put every page of stored events (in order per ticket) into the outbox, and return the number of events.

    Each page is one transaction. `engine` must carry the writers' application name, so that the watermark waits for it.
    The running service's relay publishes the events; consumers recognise the ids that they have handled.
    """
    total = 0
    async for events in pages:
        async with engine.begin() as connection:
            await outbox.add(connection, events)
        total += len(events)
    return total
