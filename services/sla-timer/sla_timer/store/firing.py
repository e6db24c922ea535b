"""Publishes the due events of agendas: into the published log and the outbox, by one statement for many tickets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from sla_timer.domain.clock import ClockOutcome
from sla_timer.domain.event_summary import EventSummary
from sla_timer.domain.timeline_events import EventKind
from sla_timer.store.tables import AGENDA, OUTBOX, POLICIES, TICKETS

_IS_DUE: Final = (
    "a.ticket_id = ANY(CAST(:ticket_ids AS uuid[]))"
    " AND a.due IS NOT NULL AND a.next_at <= CAST(:through AS timestamptz)"
)
_FIRE: Final = text(
    f"""
WITH due AS MATERIALIZED (
    SELECT a.ticket_id, a.partition, a.next_at AS at, e.n, e.kind, e.subject, e.step AS key_step,
        b.event_id, b.at AS time, b.cycle, b.run, b.severity, b.historic, b.clock, b.step, b.reason,
        convert_to('{{"ticket":', 'UTF8')
            || coalesce(convert_to(CAST(e.ticket AS text), 'UTF8'), t.ticket)
            || convert_to(
                ',' || substr(
                    CASE WHEN a.next_at > CAST(:confirmed_through AS timestamptz)
                        THEN replace(CAST(e.body AS text), '"unconfirmed"\\:false', '"unconfirmed"\\:true')
                        ELSE CAST(e.body AS text)
                    END,
                    2
                ),
                'UTF8'
            ) AS event
    FROM agenda a
        JOIN tickets t ON t.ticket_id = a.ticket_id,
        ROWS FROM (
            json_to_recordset(CAST(a.due AS json)) AS (kind text, subject text, step integer, ticket json, body json)
        ) WITH ORDINALITY AS e (kind, subject, step, ticket, body, n),
        json_to_record(e.body) AS b (
            event_id text, at text, cycle integer, run integer, severity smallint, historic boolean,
            clock text, step integer, reason text
        )
    WHERE {_IS_DUE}
),
published AS (
    INSERT INTO published_events
        (ticket_id, cycle, run, subject, kind, step, voided, at, published_at, type, event)
    SELECT ticket_id, cycle, run, subject, kind, key_step, false, at, CAST(:published_at AS timestamptz), kind, event
    FROM due ORDER BY at, ticket_id, n
    ON CONFLICT DO NOTHING
    RETURNING ticket_id, cycle, run, subject, kind, step AS key_step
),
fired AS MATERIALIZED (
    SELECT * FROM due JOIN published USING (ticket_id, cycle, run, subject, kind, key_step)
),
queued AS (
    INSERT INTO {OUTBOX.table.name} (partition, key, headers, value)
    SELECT partition, convert_to(CAST(ticket_id AS text), 'UTF8'),
        convert_to(format(CAST(:headers_format AS text), event_id, kind, ticket_id, time), 'UTF8'), event
    FROM fired ORDER BY at, ticket_id, n
),
changed AS (
    SELECT ticket_id, cycle, clock, bool_or(historic) AS historic, min(at) AS at,
        bool_or(kind = '{EventKind.WARNED}') AS warned, bool_or(kind = '{EventKind.BREACHED}') AS breached
    FROM fired WHERE kind IN ('{EventKind.WARNED}', '{EventKind.BREACHED}')
    GROUP BY ticket_id, cycle, clock
),
clocks_changed AS (
    UPDATE clocks c SET
        warned = c.warned OR f.warned,
        state = CASE WHEN f.breached THEN '{ClockOutcome.BREACHED}' ELSE c.state END,
        historic = CASE WHEN f.breached THEN f.historic ELSE c.historic END,
        outcome_at = CASE WHEN f.breached THEN f.at ELSE c.outcome_at END
    FROM changed f WHERE c.ticket_id = f.ticket_id AND c.cycle = f.cycle AND c.clock = f.clock
),
continued AS (
    UPDATE agenda a SET next_at = later_at, due = NULL WHERE {_IS_DUE} AND later_at IS NOT NULL
),
finished AS (
    DELETE FROM agenda a WHERE {_IS_DUE} AND later_at IS NULL
)
SELECT kind, ticket_id, cycle, run, at, severity, historic, clock, step, reason FROM fired
"""
)


async def lock_due(connection: AsyncConnection, *, partition: int, through: datetime, limit: int) -> list[UUID]:
    """Lock the tickets of a partition with rendered events due by `through`. Skips tickets locked by others.

    Also skips a ticket that was not yet evaluated with a policy version in force by `through`: the rollout evaluates it
    first.
    """
    a, t = AGENDA.c, TICKETS.c
    numbered = select(
        POLICIES.c.in_force_from, func.row_number().over(order_by=POLICIES.c.stored_at).label("number")
    ).subquery()
    in_force = select(func.max(numbered.c.number)).where(numbered.c.in_force_from <= through).scalar_subquery()
    locked = await connection.execute(
        select(t.ticket_id)
        .join(AGENDA, a.ticket_id == t.ticket_id)
        .where(
            a.partition == partition,
            a.due.is_not(None),
            a.next_at <= through,
            t.policy_versions >= func.coalesce(in_force, 0),
        )
        .order_by(a.next_at)
        .limit(limit)
        .with_for_update(of=TICKETS, skip_locked=True)
    )
    return list(locked.scalars())


async def fire(
    connection: AsyncConnection,
    ticket_ids: Sequence[UUID],
    *,
    through: datetime,
    confirmed_through: datetime,
    published_at: datetime,
) -> list[EventSummary]:
    """Publish the rendered events of these tickets that are due by `through`, and shorten their agendas.

    The tickets are locked, by a statement before: what that one read may be older than the lock. Those who have another
    event then are to be rendered. Events after `confirmed_through` are published as unconfirmed. Stores also which
    clocks are warned and breached. Returns the events whose key was new; `published_at` is the business instant of now.
    """
    rows = await connection.execute(
        _FIRE,
        {
            "ticket_ids": ticket_ids,
            "through": through,
            "confirmed_through": confirmed_through,
            "published_at": published_at,
            "headers_format": OUTBOX.headers_format,
        },
    )
    return [EventSummary(*row) for row in rows]
