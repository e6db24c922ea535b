"""Tickets whose clocks and ladder are outdated: mark them, claim them, and store the responses of the owners.

`refresh_at` is the next attempt, `stale_at` the instant since which a record has arrived that no response includes yet;
both are real time. A claim moves `refresh_at`, and so does every record that arrives: a response counts only if
`refresh_at` is still that of its claim. No lock is held during a request.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from board.store.versions import begin_changes

SETTLE: Final = timedelta(milliseconds=50)
"""The pause between a record and the requests about it, in which the owners handle the record."""
RECENT: Final = timedelta(hours=1)
"""The age up to which an outdated ticket may wait for its owners as others do."""


@dataclass(frozen=True, slots=True)
class StaleTicket:
    """A ticket to be read again, as it was claimed. `clocks` and `ladder` are JSON, null if there are none yet."""

    ticket_id: UUID
    tenant: str
    is_open: bool
    last_fact: int
    ladder_event_id: UUID | None
    clocks: str | None
    ladder: str | None
    refresh_at: datetime
    failures: int


@dataclass(frozen=True, slots=True)
class RefreshedTicket:
    """A claimed ticket after the requests to its owners. `clocks` and `ladder` are JSON.

    `is_fresh`: they include everything that had arrived. `pause`: until the next attempt; null: with the next record.
    """

    claimed: StaleTicket
    clocks: str | None
    ladder: str | None
    is_fresh: bool
    pause: timedelta | None


@dataclass(frozen=True, slots=True)
class Staleness:
    """How many tickets are outdated, and for how long the oldest has been.

    `recent_...`: only those that became outdated within `RECENT`. An older one has a fault that concerns it alone.
    `old_unevaluated`: open ones that are older, and that no owner has evaluated yet.
    """

    tickets: int
    age: timedelta
    recent_tickets: int
    recent_age: timedelta
    old_unevaluated: int = 0


async def mark_stale(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> None:
    """Mark these tickets, which are locked, as changed and outdated."""
    if ticket_ids:
        await connection.execute(_MARK_STALE, {"ticket_ids": list(ticket_ids), "settle": SETTLE})


async def mark_changed(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> None:
    """Mark these tickets, which are locked, as changed."""
    if ticket_ids:
        await connection.execute(_MARK_CHANGED, {"ticket_ids": list(ticket_ids)})


async def claim(
    connection: AsyncConnection, tenants: Collection[str], *, most: int, lease: timedelta
) -> list[StaleTicket]:
    """Up to `most` tickets of these tenants that are due: outdated ones first, closed and historic ones last.

    No other replica claims them until `lease` has passed.
    """
    parameters = {"tenants": list(tenants), "most": most, "lease": lease}
    return [StaleTicket(*row) for row in await connection.execute(_CLAIM, parameters)]


async def store_refreshed(connection: AsyncConnection, refreshed: Sequence[RefreshedTicket]) -> int:
    """Store the responses of the owners. Returns for how many tickets they still counted."""
    ticket_ids = [each.claimed.ticket_id for each in refreshed]
    await begin_changes(connection)
    rows = await connection.execute(_LOCK, {"ticket_ids": ticket_ids})
    locked = {row.ticket_id: row.refresh_at for row in rows}
    held = [each for each in refreshed if locked.get(each.claimed.ticket_id) == each.claimed.refresh_at]
    if held:
        await connection.execute(_STORE, _columns(held))
    return len(held)


def _columns(refreshed: Sequence[RefreshedTicket]) -> dict[str, list[Any]]:
    return {
        "ticket_ids": [each.claimed.ticket_id for each in refreshed],
        "clocks": [each.clocks for each in refreshed],
        "ladders": [each.ladder for each in refreshed],
        "changed": [each.clocks != each.claimed.clocks or each.ladder != each.claimed.ladder for each in refreshed],
        "fresh": [each.is_fresh for each in refreshed],
        "pauses": [each.pause for each in refreshed],
        "failures": [0 if each.is_fresh else each.claimed.failures + 1 for each in refreshed],
    }


async def load_staleness(connection: AsyncConnection, tenants: Collection[str]) -> dict[str, Staleness]:
    """How outdated the tickets of these tenants are, for each that has any."""
    rows = await connection.execute(_STALENESS, {"tenants": list(tenants), "recent": RECENT})
    return {
        row.tenant: Staleness(
            row.tickets, row.age, row.recent_tickets, row.recent_age or timedelta(0), row.old_unevaluated
        )
        for row in rows
    }


async def count_without_key(connection: AsyncConnection, tenants: Collection[str]) -> dict[str, int]:
    """The open tickets of all other tenants, by tenant."""
    rows = await connection.execute(_WITHOUT_KEY, {"tenants": list(tenants)})
    return {row.tenant: row.tickets for row in rows}


_MARK_STALE: Final = text(
    """
    UPDATE tickets SET
        stale_at = coalesce(stale_at, clock_timestamp()),
        refresh_at = clock_timestamp() + CAST(:settle AS interval),
        refresh_failures = 0,
        version = nextval('ticket_versions')
    WHERE ticket_id = ANY(CAST(:ticket_ids AS uuid[]))
    """
)
_MARK_CHANGED: Final = text(
    "UPDATE tickets SET version = nextval('ticket_versions') WHERE ticket_id = ANY(CAST(:ticket_ids AS uuid[]))"
)
# With `clock_timestamp()`, which is volatile, the index on `refresh_at` would not be used.
_CLAIM: Final = text(
    """
    WITH due AS (
        SELECT ticket_id FROM tickets
        WHERE refresh_at <= statement_timestamp() AND ticket IS NOT NULL AND tenant = ANY(CAST(:tenants AS text[]))
        ORDER BY historic OR NOT is_open, stale_at IS NULL, refresh_at
        LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE tickets AS t SET refresh_at = clock_timestamp() + CAST(:lease AS interval)
    FROM due WHERE t.ticket_id = due.ticket_id
    RETURNING t.ticket_id, t.tenant, t.is_open, t.last_fact, t.ladder_event_id, t.clocks, t.ladder, t.refresh_at,
        t.refresh_failures
    """
)
_LOCK: Final = text(
    """
    SELECT ticket_id, refresh_at FROM tickets WHERE ticket_id = ANY(CAST(:ticket_ids AS uuid[]))
    ORDER BY ticket_id FOR UPDATE
    """
)
_STORE: Final = text(
    """
    UPDATE tickets AS t SET
        clocks = given.clocks,
        ladder = given.ladder,
        stale_at = CASE WHEN given.fresh THEN NULL ELSE t.stale_at END,
        refresh_at = clock_timestamp() + given.pause,
        refresh_failures = given.failures,
        version = CASE WHEN given.changed THEN nextval('ticket_versions') ELSE t.version END
    FROM unnest(
        CAST(:ticket_ids AS uuid[]), CAST(:clocks AS text[]), CAST(:ladders AS text[]), CAST(:changed AS boolean[]),
        CAST(:fresh AS boolean[]), CAST(:pauses AS interval[]), CAST(:failures AS integer[])
    ) AS given (ticket_id, clocks, ladder, changed, fresh, pause, failures)
    WHERE t.ticket_id = given.ticket_id
    """
)
_STALENESS: Final = text(
    """
    SELECT
        tenant,
        count(*) AS tickets,
        clock_timestamp() - min(stale_at) AS age,
        count(*) FILTER (WHERE is_recent) AS recent_tickets,
        clock_timestamp() - min(stale_at) FILTER (WHERE is_recent) AS recent_age,
        count(*) FILTER (WHERE NOT is_recent AND is_open AND clocks IS NULL) AS old_unevaluated
    FROM tickets, LATERAL (SELECT stale_at > clock_timestamp() - CAST(:recent AS interval)) AS recent (is_recent)
    WHERE refresh_at IS NOT NULL AND stale_at IS NOT NULL AND ticket IS NOT NULL
        AND tenant = ANY(CAST(:tenants AS text[]))
    GROUP BY tenant
    """
)
_WITHOUT_KEY: Final = text(
    """
    SELECT tenant, count(*) AS tickets FROM tickets
    WHERE is_open AND tenant <> ALL(CAST(:tenants AS text[])) GROUP BY tenant
    """
)
