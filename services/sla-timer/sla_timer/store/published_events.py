"""The published log: every event that was queued for Kafka, once, under its natural key."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import distinct_on
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


class PublishedKey(NamedTuple):
    """The key of a published event, and its effective instant."""

    key: EventKey | NoticeKind
    at: datetime


async def load_published_keys(
    connection: AsyncConnection, ticket_ids: Iterable[UUID]
) -> dict[UUID, list[PublishedKey]]:
    """The published keys of each ticket, in no particular order."""
    c = PUBLISHED_EVENTS.c
    found: dict[UUID, list[PublishedKey]] = {ticket_id: [] for ticket_id in ticket_ids}
    rows = await connection.execute(select(*(c[name] for name in _KEY_COLUMNS), c.at).where(c.ticket_id.in_(found)))
    for row in rows:
        found[row.ticket_id].append(PublishedKey(_key_of(row), row.at))
    return found


async def load_published_ladders(
    connection: AsyncConnection, ticket_ids: Iterable[UUID]
) -> dict[UUID, dict[LadderRunKey, PublishedLadder | None]]:
    """The ladders of each ticket as the last published event of each run states them."""
    c = PUBLISHED_EVENTS.c
    found: dict[UUID, dict[LadderRunKey, PublishedLadder | None]] = {ticket_id: {} for ticket_id in ticket_ids}
    last_of_run = (
        select(c.ticket_id, c.cycle, c.run, c.type, c.event)
        .where(c.ticket_id.in_(found), c.subject == LADDER)
        .ext(distinct_on(c.ticket_id, c.cycle, c.run))
        .order_by(c.ticket_id, c.cycle, c.run, c.position.desc())
    )
    for row in await connection.execute(last_of_run):
        event = EVENT_TYPES[row.type].model_validate_json(row.event)
        assert isinstance(event, LadderEvent)
        found[row.ticket_id][row.cycle, row.run] = PublishedLadder.published_by(event)
    return found


async def publish(
    connection: AsyncConnection, events: Sequence[PublishedEvent], published_at: datetime
) -> list[PublishedEvent]:
    """Queue the events whose key is new, in their order, and return them. Hold the row locks of their tickets.

    `published_at` is the business instant of now.
    """
    rows = [
        {
            "ticket_id": event.ticket_id,
            **_key_columns(key),
            "at": event.at,
            "published_at": published_at,
            "type": event_type(event),
            "event": event.model_dump_json().encode(),
        }
        for key, event in events
    ]
    inserted = {(row.ticket_id, _key_of(row)) for row in await bulk.insert_new(connection, PUBLISHED_EVENTS, rows)}
    new = [published for published in events if (published.event.ticket_id, published.key) in inserted]
    await OUTBOX.add(connection, [event for _, event in new])
    return new


async def published_since(engine: AsyncEngine, since: datetime) -> AsyncIterator[list[Event]]:
    """Pages of the events that were published at or after a business instant, in their order."""
    c = PUBLISHED_EVENTS.c
    after = -1
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
