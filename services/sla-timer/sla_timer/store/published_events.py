"""The published log: every event that was queued for Kafka, once, under its natural key."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import EVENT_TYPES, Event, LadderEvent, event_type
from tocsin.runtime.database import bulk

from sla_timer.domain.published_ladder import PublishedLadder
from sla_timer.domain.reconcile import LadderRunKey
from sla_timer.domain.request_notices import NoticeKind
from sla_timer.domain.ticket_evaluation import PublishedEvent
from sla_timer.domain.timeline_events import LADDER, EventKey, EventKind
from sla_timer.store.tables import OUTBOX, PUBLISHED_EVENTS

_PAGE: Final = 500
_KEY_COLUMNS: Final = ("ticket_id", "cycle", "run", "subject", "kind", "step", "voided")
_REQUEST: Final = "request"
"""The subject of a notice."""


@dataclass(frozen=True, slots=True)
class TicketLog:
    """The published log of one ticket.

    The keys of its timeline events with their effective instants, its notices, and its ladders as the last event of
    each run states them.
    """

    keys: dict[EventKey, datetime] = field(default_factory=dict)
    notices: list[NoticeKind] = field(default_factory=list)
    ladders: dict[LadderRunKey, PublishedLadder | None] = field(default_factory=dict)


async def load_published(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> dict[UUID, TicketLog]:
    """The published log of each ticket."""
    c = PUBLISHED_EVENTS.c
    found = {ticket_id: TicketLog() for ticket_id in ticket_ids}
    run = [c.ticket_id, c.cycle, c.run, c.subject]
    is_last = c.position == func.max(c.position).over(partition_by=run)
    last_of_ladder = case((and_(c.subject == LADDER, is_last), c.event))
    query = select(*(c[name] for name in _KEY_COLUMNS), c.at, c.type, last_of_ladder.label("last_of_ladder"))
    for row in await connection.execute(query.where(bulk.among(c.ticket_id, found))):
        log, key = found[row.ticket_id], _key_of(row)
        if isinstance(key, NoticeKind):
            log.notices.append(key)
            continue
        log.keys[key] = row.at
        if row.last_of_ladder is not None:
            event = EVENT_TYPES[row.type].model_validate_json(row.last_of_ladder)
            assert isinstance(event, LadderEvent)
            log.ladders[row.cycle, row.run] = PublishedLadder.published_by(event)
    return found


async def publish(
    connection: AsyncConnection, events: Sequence[PublishedEvent], published_at: datetime
) -> list[PublishedEvent]:
    """Queue the events whose key is new, in their order, and return them. Hold the row locks of their tickets.

    `published_at` is the business instant of now.
    """
    # Each event is encoded once, for both tables.
    queued = [OUTBOX.row(event) for _, event in events]
    rows = [
        {
            "ticket_id": event.ticket_id,
            **_key_columns(key),
            "at": event.at,
            "published_at": published_at,
            "type": event_type(event),
            "event": row["value"],
        }
        for (key, event), row in zip(events, queued, strict=True)
    ]
    inserted = {(row.ticket_id, _key_of(row)) for row in await bulk.insert_new(connection, PUBLISHED_EVENTS, rows)}
    is_new = [(event.ticket_id, key) in inserted for key, event in events]
    await bulk.insert(connection, OUTBOX.table, [*compress(queued, is_new)])
    return [*compress(events, is_new)]


async def published_since(engine: AsyncEngine, since: datetime) -> AsyncIterator[list[Event]]:
    """Pages of the events that were published at or after a business instant, in their order."""
    c = PUBLISHED_EVENTS.c
    # The minimum of an expression: by the index of positions, PostgreSQL would read every older event first.
    first = select(func.min(c.position + 0)).where(c.published_at >= since)
    async with engine.connect() as connection:
        after = ((await connection.execute(first)).scalar_one() or 0) - 1
    while True:
        query = (
            select(c.position, c.type, c.event)
            .where(c.position > after, c.published_at >= since)
            .order_by(c.position)
            .limit(_PAGE)
        )
        async with engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            return
        yield [EVENT_TYPES[row.type].model_validate_json(row.event) for row in rows]
        after = rows[-1].position


def _key_columns(key: EventKey | NoticeKind) -> dict[str, Any]:
    if isinstance(key, NoticeKind):
        return {"cycle": 1, "run": 1, "subject": _REQUEST, "kind": key.value, "step": 0, "voided": False}
    return key._asdict() | {"kind": key.kind.value}


def _key_of(row: Row[*tuple[Any, ...]]) -> EventKey | NoticeKind:
    if row.subject == _REQUEST:
        return NoticeKind(row.kind)
    return EventKey(
        cycle=row.cycle,
        run=row.run,
        subject=row.subject,
        kind=EventKind(row.kind),
        step=row.step,
        voided=row.voided,
    )
