"""Queries about tickets: their facts, what was told of them, and what lies ahead. Never commits.

Instants go in and come out as aware UTC datetimes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, delete, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.business_time import instant, micros
from tocsin.events import DeadlineEvent, Fact, Ticket, event_type
from tocsin.runtime.database import bulk

from sla_timer.domain.evaluate import Judged, Stored
from sla_timer.domain.reconcile import Planned
from sla_timer.domain.timeline_events import Happening, Item, Kind
from sla_timer.store.tables import AGENDA, CLOCKS, FACTS, OUTBOX, POLICIES, TICKETS, TOLD


@dataclass(frozen=True, slots=True)
class Due:
    """A ticket of which something is due: what is, and the agenda's items that are not yet, as they are stored."""

    ticket: Ticket
    partition: int
    severity: int
    historic_through: datetime | None
    planned: list[Planned]
    later: list[Any]


class Store:
    """Queries of one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add_tickets(self, tickets: Sequence[tuple[Ticket, int, int, datetime | None]]) -> None:
        """Tickets that are not known yet: (ticket, partition, severity, historic_through)."""
        rows = [
            {
                "ticket_id": ticket.ticket_id,
                "tenant": ticket.tenant,
                "partition": partition,
                "customer": ticket.customer.id,
                "channel": ticket.channel,
                "severity": severity,
                "ticket": ticket.model_dump_json().encode(),
                "opened_at": ticket.opened_at,
                "historic_through": historic_through,
            }
            for ticket, partition, severity, historic_through in tickets
        ]
        await bulk.insert_new(self._connection, TICKETS, rows)

    async def lock(self, ticket_ids: Iterable[UUID]) -> None:
        """The row locks of these tickets, in the order of their ids, so that nobody waits in a circle."""
        await self._connection.execute(
            select(TICKETS.c.ticket_id)
            .where(TICKETS.c.ticket_id.in_(sorted(ticket_ids)))
            .order_by(TICKETS.c.ticket_id)
            .with_for_update()
        )

    async def add_facts(self, facts: Mapping[UUID, Sequence[Fact]]) -> set[UUID]:
        """The tickets of which a fact was new."""
        rows = [
            {
                "ticket_id": ticket_id,
                "number": fact.number,
                "fact": fact.model_dump_json().encode(),
                "received_at": fact.received_at,
            }
            for ticket_id in sorted(facts)
            for fact in facts[ticket_id]
        ]
        return {row.ticket_id for row in await bulk.insert_new(self._connection, FACTS, rows)}

    async def load(self, ticket_ids: Iterable[UUID]) -> list[Stored]:
        """These tickets with their facts and what was told. One whose opening is not here yet is left out."""
        wanted = sorted(ticket_ids)
        t, f = TICKETS.c, FACTS.c
        tickets = await self._connection.execute(
            select(t.ticket_id, t.ticket, t.partition, t.historic_through, t.responded_at).where(
                t.ticket_id.in_(wanted)
            )
        )
        facts: dict[UUID, list[Fact]] = {ticket_id: [] for ticket_id in wanted}
        for ticket_id, fact in await self._connection.execute(
            select(f.ticket_id, f.fact).where(f.ticket_id.in_(wanted)).order_by(f.ticket_id, f.number)
        ):
            facts[ticket_id].append(Fact.model_validate_json(fact))
        told: dict[UUID, list[Row[Any]]] = {ticket_id: [] for ticket_id in wanted}
        for row in await self._connection.execute(
            select(*(TOLD.c[name] for name in ("ticket_id", *Item._fields, "at"))).where(TOLD.c.ticket_id.in_(wanted))
        ):
            told[row.ticket_id].append(row)
        return [
            Stored(
                Ticket.model_validate_json(row.ticket),
                row.partition,
                row.historic_through,
                row.responded_at,
                facts[row.ticket_id],
                [_item(told_row[1:-1]) for told_row in told[row.ticket_id]],
                max((told_row.at for told_row in told[row.ticket_id]), default=None),
            )
            for row in tickets
            if facts[row.ticket_id] and facts[row.ticket_id][0].number == 1
        ]

    async def tell(self, told: Sequence[tuple[Item, DeadlineEvent]], now: datetime) -> list[tuple[Item, DeadlineEvent]]:
        """Writes down what is told at the business instant `now`, under its natural keys, and queues what was not told
        before; that is returned.
        """
        rows = [
            {
                "ticket_id": event.ticket_id,
                **item._asdict(),
                "at": event.at,
                "told_at": now,
                "type": event_type(event),
                "event": event.model_dump_json().encode(),
            }
            for item, event in told
        ]
        written = {tuple(row) for row in await bulk.insert_new(self._connection, TOLD, rows)}
        new = [(item, event) for item, event in told if (event.ticket_id, *item) in written]
        await OUTBOX.add(self._connection, [event for _, event in new])
        return new

    async def judged(self, judged: Sequence[Judged]) -> None:
        """What follows from the facts of these tickets takes the place of what stood before."""
        if not judged:
            return
        await bulk.update(
            self._connection,
            TICKETS,
            [
                {
                    "ticket_id": one.ticket_id,
                    "severity": one.severity,
                    "closed_at": one.closed_at,
                    "responded_at": one.responded_at,
                    "policies": one.policies,
                }
                for one in judged
            ],
        )
        ids = [one.ticket_id for one in judged]
        await self._connection.execute(delete(CLOCKS).where(CLOCKS.c.ticket_id.in_(ids)))
        await self._connection.execute(
            text(
                "INSERT INTO clocks (ticket_id, tenant, customer, cycle, clock, severity, state, open, outcome_at)"
                " SELECT t.ticket_id, t.tenant, t.customer, c.cycle, c.clock, c.severity, c.state, c.open, c.outcome_at"
                " FROM unnest(CAST(:ids AS uuid[]), CAST(:cycles AS int[]), CAST(:clocks AS text[]),"
                " CAST(:severities AS smallint[]), CAST(:states AS text[]), CAST(:opens AS boolean[]),"
                " CAST(:outcomes AS timestamptz[]))"
                " AS c (ticket_id, cycle, clock, severity, state, open, outcome_at) JOIN tickets t USING (ticket_id)"
            ),
            {
                "ids": [one.ticket_id for one in judged for _ in one.clocks],
                "cycles": [clock.cycle for one in judged for clock in one.clocks],
                "clocks": [clock.clock for one in judged for clock in one.clocks],
                "severities": [clock.severity for one in judged for clock in one.clocks],
                "states": [clock.state for one in judged for clock in one.clocks],
                "opens": [clock.open for one in judged for clock in one.clocks],
                "outcomes": [clock.outcome_at for one in judged for clock in one.clocks],
            },
        )
        await self._plan(
            (
                one.ticket_id,
                one.partition,
                [[list(planned.item), planned.happening] for planned in one.agenda],
                one.agenda[0].happening.at if one.agenda else None,
            )
            for one in judged
        )

    async def put_off(self, due: Sequence[Due]) -> None:
        """What was due of these tickets has been told: what is left of their agendas stays on them."""
        await self._plan(
            (one.ticket.ticket_id, one.partition, one.later, one.later[0][1]["at"] if one.later else None)
            for one in due
        )

    async def _plan(self, agendas: Iterable[tuple[UUID, int, list[Any], int | None]]) -> None:
        """Agendas anew: ticket, partition, items in order, and when the first is due. Nothing ahead: no row."""
        ordered = sorted(agendas, key=lambda agenda: agenda[0])
        done = [ticket_id for ticket_id, _, _, next_at in ordered if next_at is None]
        if done:
            await self._connection.execute(delete(AGENDA).where(AGENDA.c.ticket_id.in_(done)))
        rows = [
            {
                "ticket_id": ticket_id,
                "partition": partition,
                "next_at": instant(next_at),
                "items": orjson.dumps(items),
            }
            for ticket_id, partition, items, next_at in ordered
            if next_at is not None
        ]
        await bulk.upsert(self._connection, AGENDA, rows)

    async def partitions_due(self, progress: Mapping[int, datetime]) -> list[int]:
        """The partitions on whose agenda something lies at or before their instant in `progress`."""
        found = await self._connection.execute(
            text(
                "SELECT partition FROM unnest(CAST(:partitions AS smallint[]), CAST(:throughs AS timestamptz[]))"
                " AS p (partition, through) WHERE EXISTS (SELECT FROM agenda"
                " WHERE agenda.partition = p.partition AND agenda.next_at <= p.through) ORDER BY partition"
            ),
            {"partitions": list(progress), "throughs": list(progress.values())},
        )
        return list(found.scalars())

    async def lock_due(self, partition: int, through: datetime, limit: int) -> list[Due]:
        """The tickets of a partition with something due by `through`, locked; those that others hold are passed over.

        The agenda is read after the lock, in a statement of its own: what was read before it may be older. One that was
        made before a version of the policy was stored that is in force by `through` is passed over too: the ticket is
        about to be judged anew.
        """
        a, t = AGENDA.c, TICKETS.c
        stored = select(
            POLICIES.c.in_force_from, func.row_number().over(order_by=POLICIES.c.stored_at).label("number")
        ).subquery()
        needed = select(func.max(stored.c.number)).where(stored.c.in_force_from <= through).scalar_subquery()
        locked = await self._connection.execute(
            select(t.ticket_id, t.ticket, t.historic_through, t.severity)
            .join(AGENDA, a.ticket_id == t.ticket_id)
            .where(a.partition == partition, a.next_at <= through, t.policies >= func.coalesce(needed, 0))
            .order_by(a.next_at)
            .limit(limit)
            .with_for_update(of=TICKETS, skip_locked=True)
        )
        tickets = {row.ticket_id: row for row in locked}
        if not tickets:
            return []
        rows = await self._connection.execute(select(a.ticket_id, a["items"]).where(a.ticket_id.in_(tickets)))
        until, due = micros(through), []
        for ticket_id, text_ in rows:
            row, items = tickets[ticket_id], orjson.loads(text_)
            count = sum(happening["at"] <= until for _, happening in items)
            planned = [_planned(item, happening) for item, happening in items[:count]]
            ticket = Ticket.model_validate_json(row.ticket)
            due.append(Due(ticket, partition, row.severity, row.historic_through, planned, items[count:]))
        return due

    async def breached(self, clocks: Sequence[tuple[UUID, Item, datetime]]) -> None:
        """Clocks that breached by the passing of time: (ticket, key, instant)."""
        rows = [
            {
                "ticket_id": ticket_id,
                "cycle": item.cycle,
                "clock": item.subject,
                "state": "breached",
                "outcome_at": at,
            }
            for ticket_id, item, at in clocks
        ]
        await bulk.update(self._connection, CLOCKS, rows)

    async def lock_older_than(self, policies: int, since: datetime | None, after: UUID, limit: int) -> list[UUID]:
        """Tickets that were last judged with fewer versions of the policy, locked; in the order of ids from `after` on.

        Open ones, and those closed at `since` or later. Those that others hold are passed over.
        """
        t = TICKETS.c
        still = t.closed_at.is_(None) if since is None else or_(t.closed_at.is_(None), t.closed_at >= since)
        rows = await self._connection.execute(
            select(t.ticket_id)
            .where(t.policies < policies, still, t.ticket_id > after)
            .order_by(t.ticket_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return list(rows.scalars())


def _item(columns: Sequence[Any]) -> Item:
    return Item(*columns)


def _planned(item: list[Any], happening: dict[str, Any]) -> Planned:
    return Planned(Item(*item), Happening(**happening | {"kind": Kind(happening["kind"])}))
