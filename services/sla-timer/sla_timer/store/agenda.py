"""The agenda: for each ticket, the events to publish once they are due. The sweep need not evaluate anything."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import delete, func, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.business_time import micros, to_datetime
from tocsin.events import Assignee, Ticket
from tocsin.runtime.database import bulk
from tocsin.runtime.kafka.client import PARTITIONS

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
from sla_timer.store.tables import AGENDA, POLICIES, TICKETS

StoredEvent = dict[str, Any]
"""An event as the agenda stores it (see `_event_to_json`)."""


@dataclass(frozen=True, slots=True)
class DueTicket:
    """A ticket with events that are due, locked. `later` are the events of its agenda that are not due yet."""

    ticket: Ticket
    partition: int
    severity: int
    historic_through: datetime | None
    due: Sequence[AgendaItem]
    later: Sequence[StoredEvent]


class _AgendaRow(NamedTuple):
    ticket_id: UUID
    partition: int
    events: Sequence[StoredEvent]


async def replace_agendas(connection: AsyncConnection, evaluations: Iterable[TicketEvaluation]) -> None:
    """Store the agendas of these tickets in place of those before."""
    await _store(
        connection,
        [_AgendaRow(one.ticket_id, one.partition, [*map(_event_to_json, one.agenda)]) for one in evaluations],
    )


async def remove_due(connection: AsyncConnection, tickets: Iterable[DueTicket]) -> None:
    """Remove the due events of these tickets from their agendas."""
    await _store(connection, [_AgendaRow(one.ticket.ticket_id, one.partition, one.later) for one in tickets])


async def _store(connection: AsyncConnection, agendas: Iterable[_AgendaRow]) -> None:
    # In the order of ids, as all locks are taken: a consistent lock order avoids deadlock.
    ordered = sorted(agendas, key=lambda agenda: agenda.ticket_id)
    empty = [agenda.ticket_id for agenda in ordered if not agenda.events]
    if empty:
        await connection.execute(delete(AGENDA).where(AGENDA.c.ticket_id.in_(empty)))
    rows = [
        {
            "ticket_id": agenda.ticket_id,
            "partition": agenda.partition,
            "next_at": to_datetime(agenda.events[0]["at"]),
            "events": orjson.dumps(agenda.events),
        }
        for agenda in ordered
        if agenda.events
    ]
    await bulk.upsert(connection, AGENDA, rows)


async def partitions_with_due(connection: AsyncConnection, watermarks: Mapping[int, datetime]) -> list[int]:
    """The partitions in which something is due at or before their watermark."""
    found = await connection.execute(
        text(
            "SELECT partition FROM unnest(CAST(:partitions AS smallint[]), CAST(:throughs AS timestamptz[]))"
            " AS p (partition, through) WHERE EXISTS (SELECT FROM agenda"
            " WHERE agenda.partition = p.partition AND agenda.next_at <= p.through) ORDER BY partition"
        ),
        {"partitions": list(watermarks), "throughs": list(watermarks.values())},
    )
    return list(found.scalars())


async def lock_due(connection: AsyncConnection, *, partition: int, through: datetime, limit: int) -> list[DueTicket]:
    """Lock the tickets of a partition with events due by `through`, and load these. Skips tickets locked by others.

    Also skips a ticket that was not yet evaluated with a policy version in force by `through`: the rollout evaluates it
    first. The agenda is read in a statement after the lock; read before, it could be outdated.
    """
    a, t = AGENDA.c, TICKETS.c
    numbered = select(
        POLICIES.c.in_force_from, func.row_number().over(order_by=POLICIES.c.stored_at).label("number")
    ).subquery()
    in_force = select(func.max(numbered.c.number)).where(numbered.c.in_force_from <= through).scalar_subquery()
    locked = await connection.execute(
        select(t.ticket_id, t.ticket, t.historic_through, t.severity)
        .join(AGENDA, a.ticket_id == t.ticket_id)
        .where(a.partition == partition, a.next_at <= through, t.policy_versions >= func.coalesce(in_force, 0))
        .order_by(a.next_at)
        .limit(limit)
        .with_for_update(of=TICKETS, skip_locked=True)
    )
    tickets = {row.ticket_id: row for row in locked}
    if not tickets:
        return []
    until = micros(through)
    due_tickets = []
    for ticket_id, stored in await connection.execute(select(a.ticket_id, a.events).where(a.ticket_id.in_(tickets))):
        row, events = tickets[ticket_id], orjson.loads(stored)
        due = sum(event["at"] <= until for event in events)
        due_tickets.append(
            DueTicket(
                ticket=Ticket.model_validate_json(row.ticket),
                partition=partition,
                severity=row.severity,
                historic_through=row.historic_through,
                due=[*map(_event_from_json, events[:due])],
                later=events[due:],
            )
        )
    return due_tickets


async def oldest_due_at(connection: AsyncConnection) -> datetime | None:
    """The earliest instant on any agenda."""
    a = AGENDA.c
    # One query per partition follows the index; a single minimum would read every row.
    first = [
        select(a.next_at).where(a.partition == partition).order_by(a.next_at).limit(1).subquery().select()
        for partition in range(PARTITIONS)
    ]
    return min((await connection.execute(union_all(*first))).scalars(), default=None)


def _event_to_json(item: AgendaItem) -> StoredEvent:
    """The stored form of an event on the agenda. Its names are a schema: a change needs a migration."""
    (key, event), details = item
    stored: StoredEvent = {
        "at": event.at,
        "kind": event.kind,
        "cycle": event.cycle,
        "run": key.run,
        "key_step": key.step,
        "severity": event.severity,
        "clock": event.clock,
        "step": event.step,
        "reason": event.reason,
        "held_by": event.held_by,
        "kept": event.kept,
        "started_at": event.started_at,
        "due_at": event.due_at,
        "next_at": event.next_at,
        "held": event.held,
        "exhausted_at": event.exhausted_at,
    }
    if event.actor is not None:
        stored["actor"] = event.actor
    if event.actor_reason is not None:
        stored["actor_reason"] = event.actor_reason
    if event.acknowledgements:
        stored["acknowledgements"] = [tuple(one) for one in event.acknowledgements]
    if details.assignee is not None:
        stored["assignee"] = details.assignee.model_dump()
    if details.suggested_severity is not None:
        stored["suggested_severity"] = details.suggested_severity
    return stored


def _event_from_json(stored: StoredEvent) -> AgendaItem:
    kind, clock = EventKind(stored["kind"]), stored["clock"]
    keyed = KeyedEvent(
        EventKey(cycle=stored["cycle"], run=stored["run"], subject=clock or LADDER, kind=kind, step=stored["key_step"]),
        TimelineEvent(
            at=stored["at"],
            kind=kind,
            cycle=stored["cycle"],
            severity=stored["severity"],
            clock=clock,
            step=stored["step"],
            reason=stored["reason"],
            held_by=stored["held_by"],
            kept=stored["kept"],
            started_at=stored["started_at"],
            due_at=stored["due_at"],
            next_at=stored["next_at"],
            held=stored["held"],
            exhausted_at=stored["exhausted_at"],
            actor=stored.get("actor"),
            actor_reason=stored.get("actor_reason"),
            acknowledgements=tuple(map(LadderAcknowledgement._make, stored.get("acknowledgements", ()))),
        ),
    )
    assignee = stored.get("assignee")
    details = TicketDetails(
        assignee=None if assignee is None else Assignee.model_validate(assignee),
        suggested_severity=stored.get("suggested_severity"),
    )
    return AgendaItem(keyed, details)
