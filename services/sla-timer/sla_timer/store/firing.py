"""Publishes the due events of agendas: into the published log and the outbox, by one statement for many tickets."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.instants import render_instant

from sla_timer.domain.clock import ClockOutcome
from sla_timer.domain.event_mapping import DueEvent
from sla_timer.domain.event_summary import EventSummary
from sla_timer.domain.timeline_events import LADDER, EventKind
from sla_timer.store.tables import OUTBOX

_LOCK_DUE: Final = text(
    """
SELECT due.ticket_id
FROM unnest(CAST(:partitions AS smallint[]), CAST(:throughs AS timestamptz[])) AS p (partition, through)
CROSS JOIN LATERAL (
    SELECT t.ticket_id FROM agenda a JOIN tickets t ON t.ticket_id = a.ticket_id
    WHERE a.partition = p.partition AND a.due IS NOT NULL AND a.next_at <= p.through
        AND t.policy_versions >= (
            SELECT coalesce(max(number), 0)
            FROM (SELECT in_force_from, row_number() OVER (ORDER BY stored_at) AS number FROM policies) AS version
            WHERE in_force_from <= p.through
        )
    ORDER BY a.next_at LIMIT CAST(:limit AS bigint)
    FOR UPDATE OF t SKIP LOCKED
) AS due
"""
)
_LOAD_DUE: Final = text(
    """
SELECT t.ticket_id, a.partition, a.next_at, a.due, t.ticket
FROM agenda a JOIN tickets t ON t.ticket_id = a.ticket_id
JOIN unnest(CAST(:partitions AS smallint[]), CAST(:throughs AS timestamptz[])) AS p (partition, through)
    ON p.partition = a.partition
WHERE t.ticket_id = ANY(CAST(:ticket_ids AS uuid[])) AND a.due IS NOT NULL AND a.next_at <= p.through
ORDER BY a.next_at, t.ticket_id
"""
)
_ROWS: Final = {
    "ticket_id": "uuid",
    "partition": "smallint",
    "at": "timestamptz",
    "cycle": "integer",
    "run": "integer",
    "subject": "text",
    "kind": "text",
    "step": "integer",
    "historic": "boolean",
    "event": "bytea",
    "headers": "bytea",
}
_FIRE: Final = text(
    f"""
WITH due AS MATERIALIZED (
    SELECT * FROM unnest({", ".join(f"CAST(:{name} AS {type_}[])" for name, type_ in _ROWS.items())})
        WITH ORDINALITY AS due ({", ".join(_ROWS)}, n)
),
fired AS MATERIALIZED (
    SELECT * FROM due WHERE NOT EXISTS (
        SELECT FROM published_events p
        WHERE p.ticket_id = due.ticket_id AND p.cycle = due.cycle AND p.run = due.run
            AND p.subject = due.subject AND p.kind = due.kind AND p.step = due.step AND NOT p.voided
    )
),
published AS (
    INSERT INTO published_events (ticket_id, cycle, run, subject, kind, step, voided, at, published_at, type, event)
    SELECT ticket_id, cycle, run, subject, kind, step, false, at, CAST(:published_at AS timestamptz), kind, event
    FROM fired ORDER BY n
),
queued AS (
    INSERT INTO outbox (partition, key, headers, value)
    SELECT partition, convert_to(CAST(ticket_id AS text), 'UTF8'), headers, event FROM fired ORDER BY n
),
changed AS (
    SELECT ticket_id, cycle, subject, bool_or(historic) AS historic, min(at) AS at,
        bool_or(kind = '{EventKind.WARNED}') AS warned, bool_or(kind = '{EventKind.BREACHED}') AS breached
    FROM fired WHERE kind IN ('{EventKind.WARNED}', '{EventKind.BREACHED}')
    GROUP BY ticket_id, cycle, subject
),
clocks_changed AS (
    UPDATE clocks c SET
        warned = c.warned OR changed.warned,
        state = CASE WHEN breached THEN '{ClockOutcome.BREACHED}' ELSE c.state END,
        historic = CASE WHEN breached THEN changed.historic ELSE c.historic END,
        outcome_at = CASE WHEN breached THEN at ELSE c.outcome_at END
    FROM changed WHERE c.ticket_id = changed.ticket_id AND c.cycle = changed.cycle AND c.clock = subject
),
continued AS (
    UPDATE agenda SET next_at = later_at, due = NULL
    WHERE ticket_id = ANY(CAST(:tickets AS uuid[])) AND later_at IS NOT NULL
),
finished AS (
    DELETE FROM agenda WHERE ticket_id = ANY(CAST(:tickets AS uuid[])) AND later_at IS NULL
)
SELECT coalesce(array_agg(n ORDER BY n), '{{}}') FROM fired
"""
)


class DueTicket(NamedTuple):
    """The events of a locked ticket that are due at the instant `at`. `opened` is the JSON of the ticket."""

    ticket_id: UUID
    partition: int
    at: datetime
    due: bytes
    opened: bytes

    def events(self) -> list[DueEvent]:
        return [*map(DueEvent._make, orjson.loads(self.due))]


async def lock_due(connection: AsyncConnection, throughs: Mapping[int, datetime], *, limit: int) -> list[UUID]:
    """Lock the tickets with rendered events due by the instant of their partition, at most `limit` of each partition.

    Skips tickets locked by others. Also skips a ticket that was not yet evaluated with a policy version in force by
    that instant: the rollout evaluates it first.
    """
    locked = await connection.execute(_LOCK_DUE, _by_partition(throughs) | {"limit": limit})
    return list(locked.scalars())


async def load_due(
    connection: AsyncConnection, ticket_ids: Sequence[UUID], throughs: Mapping[int, datetime]
) -> list[DueTicket]:
    """The rendered events of these tickets due by the instant of their partition, in the order of their instants.

    The tickets are locked, by a statement before: what that one read may be older than the lock.
    """
    rows = await connection.execute(_LOAD_DUE, _by_partition(throughs) | {"ticket_ids": ticket_ids})
    return [DueTicket(*row) for row in rows]


async def publish_due(
    connection: AsyncConnection,
    tickets: Sequence[DueTicket],
    *,
    confirmed_through: datetime | None,
    published_at: datetime,
) -> list[EventSummary]:
    """Publish the events of these tickets whose key is new, and shorten the agendas. The sweep renders the next.

    Also stores which clocks are warned and breached. Events after `confirmed_through` are published as unconfirmed;
    None means that all are confirmed. `published_at` is the current business instant. Returns the published events.
    """
    if not tickets:
        return []
    rows, summaries, headers = [], [], OUTBOX.headers_template
    for ticket in tickets:
        confirmed = confirmed_through is None or ticket.at <= confirmed_through
        time, key = render_instant(ticket.at), str(ticket.ticket_id)
        for event in ticket.events():
            rows.append(
                (
                    ticket.ticket_id,
                    ticket.partition,
                    ticket.at,
                    event.cycle,
                    event.run,
                    event.subject,
                    event.kind,
                    event.step,
                    event.historic,
                    event.json(ticket.opened, confirmed=confirmed),
                    (headers % {"id": event.event_id, "type": event.kind, "subject": key, "time": time}).encode(),
                )
            )
            summaries.append(_summary(ticket, event))
    fired = await connection.execute(
        _FIRE,
        {
            **dict(zip(_ROWS, map(list, zip(*rows, strict=True)), strict=True)),
            "tickets": [ticket.ticket_id for ticket in tickets],
            "published_at": published_at,
        },
    )
    return [summaries[number - 1] for number in fired.scalar_one()]


def _by_partition(throughs: Mapping[int, datetime]) -> dict[str, Any]:
    return {"partitions": [*throughs], "throughs": [*throughs.values()]}


def _summary(ticket: DueTicket, event: DueEvent) -> EventSummary:
    return EventSummary(
        type=event.kind,
        ticket_id=ticket.ticket_id,
        cycle=event.cycle,
        run=event.run,
        at=ticket.at,
        severity=event.severity,
        historic=event.historic,
        clock=None if event.subject == LADDER else event.subject,
        step=event.step or None,
        reason=event.reason,
    )
