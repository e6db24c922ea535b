"""Decisions: every event the escalator publishes, stored for `republish`."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.events import EVENT_TYPES, EscalationEvent, Event, event_type
from tocsin.runtime.database.bulk import Write

from escalator.store.tables import DECISIONS, OUTBOX

_PAGE = 500


def publish_decisions(events: Sequence[EscalationEvent], decided_at: datetime) -> list[Write]:
    """Store the events, decided at that business instant, and add them to the outbox, in order."""
    queued = [OUTBOX.row(event) for event in events]
    decisions = [
        {
            "id": event.event_id,
            "ticket_id": event.ticket_id,
            "decided_at": decided_at,
            "type": event_type(event),
            "data": row["value"].decode(),
        }
        for event, row in zip(events, queued, strict=True)
    ]
    return [Write("insert_new", DECISIONS, decisions), Write("insert", OUTBOX.table, queued)]


async def stored_decisions(engine: AsyncEngine, since: datetime) -> AsyncIterator[Sequence[Event]]:
    """Pages of all events decided at or after the business instant `since`, in the order of deciding."""
    position = 0
    while True:
        query = (
            select(DECISIONS.c.position, DECISIONS.c.type, DECISIONS.c.data)
            .where(DECISIONS.c.decided_at >= since, DECISIONS.c.position > position)
            .order_by(DECISIONS.c.position)
            .limit(_PAGE)
        )
        async with engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            return
        position = rows[-1].position
        yield [EVENT_TYPES[row.type].model_validate_json(row.data) for row in rows]
