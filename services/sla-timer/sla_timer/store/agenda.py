"""The agenda: for each ticket, the events to publish once they are due. The sweep need not evaluate anything.

The events of a ticket's next instant are stored rendered, so that publishing them costs little (see `firing`); the
later ones are compact until their instant is the next (docs/decisions/0003-agenda-items-are-compact.md).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.business_time import to_datetime
from tocsin.events import Assignee, Ticket
from tocsin.runtime.database import bulk
from tocsin.runtime.kafka.client import PARTITIONS

from sla_timer.domain.event_mapping import DueEvent
from sla_timer.domain.ticket_details import TicketDetails
from sla_timer.domain.ticket_evaluation import AgendaItem, TicketEvaluation
from sla_timer.domain.timeline_events import (
    LADDER,
    EventKey,
    EventKind,
    KeyedEvent,
    LadderAcknowledgement,
    TimelineEvent,
)
from sla_timer.store.tables import AGENDA, TICKETS

_LOCK_UNRENDERED: Final = text(
    """
SELECT unrendered.ticket_id FROM unnest(CAST(:partitions AS smallint[])) AS p (partition)
CROSS JOIN LATERAL (
    SELECT t.ticket_id FROM agenda a JOIN tickets t ON t.ticket_id = a.ticket_id
    WHERE a.partition = p.partition AND a.due IS NULL
    ORDER BY a.next_at LIMIT CAST(:limit AS bigint)
    FOR UPDATE OF t SKIP LOCKED
) AS unrendered
"""
)

StoredEvent = Sequence[Any]
"""A compact event as the agenda stores it (see `_to_stored`)."""


@dataclass(frozen=True, slots=True)
class UnrenderedAgenda:
    """The agenda of a locked ticket whose `next_events` are not rendered yet. `later` are those after that instant."""

    partition: int
    ticket: Ticket
    severity: int
    historic_through: datetime | None
    next_events: Sequence[AgendaItem]
    later: Sequence[StoredEvent]


async def replace_agendas(connection: AsyncConnection, evaluations: Iterable[TicketEvaluation]) -> None:
    """Store the agendas of these tickets in place of those before."""
    # In the order of ids, as all locks are taken: a consistent lock order avoids deadlock.
    ordered = sorted(evaluations, key=lambda evaluation: evaluation.ticket_id)
    empty = [evaluation.ticket_id for evaluation in ordered if not evaluation.agenda]
    if empty:
        await connection.execute(delete(AGENDA).where(AGENDA.c.ticket_id.in_(empty)))
    rows = []
    for evaluation in ordered:
        if evaluation.agenda:
            later = [*map(_to_stored, evaluation.agenda[len(evaluation.due_next) :])]
            row = _row(evaluation.ticket_id, evaluation.agenda[0].keyed.event.at, evaluation.due_next, later)
            rows.append({"partition": evaluation.partition, **row})
    await bulk.upsert(connection, AGENDA, rows)


async def lock_unrendered(connection: AsyncConnection, partitions: Collection[int], *, limit: int) -> list[UUID]:
    """Lock tickets whose next events are not rendered, at most `limit` of each partition, without those locked."""
    locked = await connection.execute(_LOCK_UNRENDERED, {"partitions": sorted(partitions), "limit": limit})
    return list(locked.scalars())


async def load_unrendered(connection: AsyncConnection, ticket_ids: Sequence[UUID]) -> list[UnrenderedAgenda]:
    """Those agendas of these tickets whose next events are not rendered.

    The tickets are locked, by a statement before: what that one read may be older than the lock.
    """
    if not ticket_ids:
        return []
    a, t = AGENDA.c, TICKETS.c
    rows = await connection.execute(
        select(a.partition, t.ticket, t.severity, t.historic_through, a.later)
        .join(AGENDA, a.ticket_id == t.ticket_id)
        .where(t.ticket_id.in_(ticket_ids), a.due.is_(None))
        .order_by(t.ticket_id)
    )
    unrendered = []
    for row in rows:
        stored = orjson.loads(row.later)
        count = sum(_at(event) == _at(stored[0]) for event in stored)
        unrendered.append(
            UnrenderedAgenda(
                partition=row.partition,
                ticket=Ticket.model_validate_json(row.ticket),
                severity=row.severity,
                historic_through=row.historic_through,
                next_events=[*map(_from_stored, stored[:count])],
                later=stored[count:],
            )
        )
    return unrendered


async def store_rendered(
    connection: AsyncConnection, rendered: Iterable[tuple[UnrenderedAgenda, Sequence[DueEvent]]]
) -> None:
    """Store the rendered next events of agendas that this transaction has locked."""
    rows = [
        _row(agenda.ticket.ticket_id, agenda.next_events[0].keyed.event.at, events, agenda.later)
        for agenda, events in rendered
    ]
    await bulk.update(connection, AGENDA, rows)


async def earliest_instants(connection: AsyncConnection, partitions: Collection[int]) -> dict[int, datetime | None]:
    """The earliest instant on the agenda of each of these partitions; None where there is none."""
    # One lookup per partition and index; a single minimum would read every row.
    rows = await connection.execute(
        text(
            "SELECT p AS partition, least("
            "(SELECT next_at FROM agenda WHERE partition = p AND due IS NOT NULL ORDER BY next_at LIMIT 1),"
            "(SELECT next_at FROM agenda WHERE partition = p AND due IS NULL ORDER BY next_at LIMIT 1)) AS earliest"
            " FROM unnest(CAST(:partitions AS smallint[])) AS p"
        ),
        {"partitions": sorted(partitions)},
    )
    return {row.partition: row.earliest for row in rows}


async def oldest_due_at(connection: AsyncConnection) -> datetime | None:
    """The earliest instant on any agenda."""
    earliest = await earliest_instants(connection, range(PARTITIONS))
    return min((at for at in earliest.values() if at is not None), default=None)


def _row(ticket_id: UUID, next_at: int, due: Sequence[DueEvent], later: Sequence[StoredEvent]) -> dict[str, Any]:
    return {
        "ticket_id": ticket_id,
        "next_at": to_datetime(next_at),
        "due": orjson.dumps([*map(tuple, due)]),
        "later": orjson.dumps(later),
        "later_at": to_datetime(_at(later[0])) if later else None,
    }


def _to_stored(item: AgendaItem) -> StoredEvent:
    (key, event), details = item
    assignee = None if details.assignee is None else details.assignee.model_dump()
    acknowledgements = [*map(tuple, event.acknowledgements)]
    return (*event[:-1], acknowledgements, key.run, key.step, assignee, details.suggested_severity)


def _from_stored(stored: StoredEvent) -> AgendaItem:
    at, kind, *others, acknowledgements, run, step, assignee, suggested_severity = stored
    event = TimelineEvent._make(
        [at, EventKind(kind), *others, tuple(map(LadderAcknowledgement._make, acknowledgements))]
    )
    key = EventKey(cycle=event.cycle, run=run, subject=event.clock or LADDER, kind=event.kind, step=step)
    details = TicketDetails(
        assignee=None if assignee is None else Assignee.model_validate(assignee),
        suggested_severity=suggested_severity,
    )
    return AgendaItem(KeyedEvent(key, event), details)


def _at(stored: StoredEvent) -> int:
    at: int = stored[0]
    return at
