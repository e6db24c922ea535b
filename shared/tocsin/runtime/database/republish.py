"""Queue stored facts or decisions again, with the same ids: the databases are the record, topics are the way."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.events import Event
from tocsin.runtime.database.outbox import Outbox


async def republish(engine: AsyncEngine, outbox: Outbox, pages: AsyncIterator[Sequence[Event]]) -> int:
    """Put every page (some hundred stored events, in order per ticket) into the outbox; how many events it was.

    Each page is a transaction; `engine` must carry the writers' application name. The running service's relay publishes
    them; whoever reads them knows their ids already or needs them.
    """
    total = 0
    async for events in pages:
        async with engine.begin() as connection:
            await outbox.add(connection, events)
        total += len(events)
    return total
