"""Queries on tickets and their facts. Nothing here commits or reads business time."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Uuid, and_, any_, bindparam, func, literal_column, not_, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Assignee, Fact, Flag, Impact, fact_id
from tocsin.runtime.database import bulk
from tocsin.runtime.database.bulk import Write

from intake.domain.ticket import NewTicket, RenderedTicketEvent, StoredFact, StoredTicket
from intake.domain.ticket_facts import TicketFacts
from intake.domain.ticket_state import STATE_TYPES, CurrentTicketState
from intake.store.tables import FACTS, OUTBOX, TICKET_WORDS, TICKETS

TicketKey = tuple[str, UUID]
"""A ticket's tenant and id."""


_IN_MEMORY: Final = 50


@dataclass(frozen=True, slots=True)
class LockedTicket:
    """A ticket whose row this transaction has locked; `clock` is the database's clock while it holds the lock."""

    ticket: StoredTicket
    clock: datetime


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """The filters of a list; a ticket must match all that are set.

    `opened_from` is inclusive, `opened_to` exclusive. A ticket must contain each of `words`, or a word that begins with
    it; they contain no punctuation and no blanks. `before` is the position of the last ticket of the previous page.
    """

    tenant: str
    severity: int | None = None
    is_open: bool | None = None
    flag: Flag | None = None
    customer: str | None = None
    source: str | None = None
    opened_from: datetime | None = None
    opened_to: datetime | None = None
    words: Sequence[str] = ()
    before: int | None = None


class TicketStore:
    """The queries, on one connection whose transaction belongs to the caller."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add_tickets(self, new: Sequence[NewTicket], received_at: datetime) -> set[UUID]:
        """Store tickets with different ids, their facts and the unpublished events, received at `received_at` (real).

        Returns the ids that were new; the other tickets stay unchanged. Rows are inserted in the order of the tickets'
        ids: a consistent lock order avoids deadlocks.
        """
        ordered = sorted(new, key=lambda item: item.ticket.ticket_id)
        rows = await bulk.execute(
            self._connection,
            [
                Write("insert_new", TICKETS, [_ticket_row(item.ticket) for item in ordered]),
                Write("insert", FACTS, [_fact_row(stored) for item in ordered for stored in item.facts], "ticket_id"),
                Write(
                    "insert",
                    OUTBOX.table,
                    [_outbox_row(each, received_at) for item in ordered for each in item.events],
                    "ticket_id",
                ),
            ],
        )
        return {row.ticket_id for row in rows}

    async def lock(self, wanted: Collection[TicketKey]) -> dict[TicketKey, LockedTicket]:
        """Lock tickets in the order of their ids, which avoids deadlocks; tickets that do not exist are left out.

        PostgreSQL evaluates a row again after waiting for its lock, so the ticket and the clock are current.
        """
        keys = {"tenants": [tenant for tenant, _ in wanted], "ids": [ticket_id for _, ticket_id in wanted]}
        rows = await self._connection.execute(_LOCK, keys)
        return {(row.tenant, row.ticket_id): LockedTicket(_ticket(row), row.clock) for row in rows}

    async def add_facts(self, changed: Sequence[TicketFacts], received_at: datetime) -> None:
        """Store the new facts of locked tickets, each ticket's state after them, and the unpublished events.

        `received_at` is that of the events, in real time.
        """
        changes = [
            {
                "ticket_id": facts.ticket.ticket_id,
                "last_number": facts.ticket.last_number,
                **_state_columns(facts.ticket.state),
            }
            for facts in changed
        ]
        events = [_outbox_row(each, received_at) for facts in changed for each in facts.events]
        await bulk.execute(
            self._connection,
            [
                Write("insert", FACTS, [_fact_row(stored) for facts in changed for stored in facts.new]),
                Write("update", TICKETS, changes),
                Write("insert", OUTBOX.table, events),
            ],
        )

    async def load_known_facts(self, *, with_state: Collection[UUID], fact_ids: Collection[UUID]) -> list[StoredFact]:
        """The facts with these ids, and all facts of STATE_TYPES of the tickets `with_state`, by number."""
        wanted = FACTS.c.fact_id == any_(bindparam("fact_ids", type_=ARRAY(Uuid)))
        parameters: dict[str, list[UUID]] = {"fact_ids": list(fact_ids)}
        if with_state:
            of_ticket = FACTS.c.ticket_id == any_(bindparam("with_state", type_=ARRAY(Uuid)))
            wanted = or_(wanted, and_(of_ticket, FACTS.c.type.in_([str(kind) for kind in STATE_TYPES])))
            parameters["with_state"] = list(with_state)
        rows = await self._connection.execute(select(FACTS).where(wanted).order_by(FACTS.c.number), parameters)
        return [StoredFact(row.ticket_id, _fact(row), row.digest) for row in rows]

    async def load_ticket(self, tenant: str, ticket_id: UUID) -> StoredTicket | None:
        """The tenant's ticket, if it exists."""
        query = select(TICKETS).where(TICKETS.c.ticket_id == ticket_id, TICKETS.c.tenant == tenant)
        row = (await self._connection.execute(query)).one_or_none()
        return _ticket(row) if row else None

    async def load_tickets(self, ids: Collection[UUID]) -> dict[UUID, StoredTicket]:
        """The tickets with these ids."""
        rows = await self._connection.execute(select(TICKETS).where(TICKETS.c.ticket_id.in_(ids)))
        return {row.ticket_id: _ticket(row) for row in rows}

    async def load_facts(self, ids: Collection[UUID]) -> dict[UUID, list[Fact]]:
        """All facts of these tickets, by number."""
        query = select(FACTS).where(FACTS.c.ticket_id.in_(ids)).order_by(FACTS.c.ticket_id, FACTS.c.number)
        found: dict[UUID, list[Fact]] = {ticket_id: [] for ticket_id in ids}
        for row in await self._connection.execute(query):
            found[row.ticket_id].append(_fact(row))
        return found

    async def stream_page(self, wanted: TicketFilter, limit: int) -> AsyncIterator[StoredTicket]:
        """Up to `limit` tickets, the last received first, a few in memory at a time: each may have a megabyte."""
        query = select(TICKETS).where(TICKETS.c.tenant == wanted.tenant)
        if wanted.severity is not None:
            query = query.where(TICKETS.c.severity == wanted.severity)
        if wanted.is_open is not None:
            query = query.where(TICKETS.c.is_open if wanted.is_open else not_(TICKETS.c.is_open))
        if wanted.flag == "severity_disputed":
            query = query.where(TICKETS.c.is_disputed)
        elif wanted.flag is not None:
            query = query.where(TICKETS.c.flags.contains([wanted.flag]))
        for column, value in ((TICKETS.c.customer_id, wanted.customer), (TICKETS.c.source, wanted.source)):
            if value is not None:
                query = query.where(func.md5(column) == func.md5(value), column == value)
        if wanted.opened_from is not None:
            query = query.where(TICKETS.c.opened_at >= wanted.opened_from)
        if wanted.opened_to is not None:
            query = query.where(TICKETS.c.opened_at < wanted.opened_to)
        if wanted.words:
            prefixes = " & ".join(f"'{word}':*" for word in wanted.words)
            matches = func.to_tsquery(literal_column("'simple'::regconfig"), prefixes)
            query = query.where(TICKET_WORDS.bool_op("@@")(matches))
        if wanted.before is not None:
            query = query.where(TICKETS.c.position < wanted.before)
        query = query.order_by(TICKETS.c.position.desc()).limit(limit).execution_options(yield_per=_IN_MEMORY)
        async with self._connection.stream(query) as rows:
            async for row in rows:
                yield _ticket(row)

    async def count_disputed(self) -> int:
        """How many open tickets of all tenants have a disputed severity (docs/rules.md#1-6)."""
        query = select(func.count()).select_from(TICKETS).where(TICKETS.c.is_disputed, TICKETS.c.is_open)
        return int((await self._connection.execute(query)).scalar_one())

    async def load_sources(self, limit: int) -> list[str]:
        """Up to `limit` sources of stored tickets."""
        return list((await self._connection.execute(_SOURCES, {"limit": limit})).scalars())

    async def is_outbox_longer_than(self, limit: int) -> bool:
        """Whether more than `limit` events are unpublished."""
        query = select(func.count()).select_from(
            select(literal_column("1")).select_from(OUTBOX.table).limit(limit + 1).subquery()
        )
        return bool((await self._connection.execute(query)).scalar_one() > limit)

    async def load_positions_since(self, since: datetime) -> list[int]:
        """The positions of all tickets with a fact received at or after `since`, ascending."""
        ids = select(FACTS.c.ticket_id).where(FACTS.c.received_at >= since)
        query = select(TICKETS.c.position).where(TICKETS.c.ticket_id.in_(ids)).order_by(TICKETS.c.position)
        return list((await self._connection.execute(query)).scalars())

    async def load_tickets_at(self, positions: Collection[int]) -> list[StoredTicket]:
        """The tickets at these positions, by position."""
        query = select(TICKETS).where(TICKETS.c.position.in_(positions)).order_by(TICKETS.c.position)
        return [_ticket(row) for row in await self._connection.execute(query)]


_WANTED: Final = text("""
    (tenant, ticket_id) IN (
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:ids AS uuid[])) AS wanted (tenant, ticket_id)
    )
""")
_LOCK: Final = (
    select(TICKETS, func.clock_timestamp().label("clock"))
    .where(_WANTED)
    .order_by(TICKETS.c.ticket_id)
    .with_for_update(key_share=True)  # FOR NO KEY UPDATE
)
# A skip scan: each step finds the next entry of tickets_source_idx, so it reads as many rows as there are sources.
_SOURCES: Final = text("""
    WITH RECURSIVE entries AS (
        (SELECT tenant, md5(source) AS hash, source FROM tickets ORDER BY tenant, md5(source) LIMIT 1)
        UNION ALL
        SELECT following.* FROM entries, LATERAL (
            SELECT tenant, md5(source), source FROM tickets
            WHERE (tenant, md5(source)) > (entries.tenant, entries.hash)
            ORDER BY tenant, md5(source) LIMIT 1
        ) AS following
    )
    SELECT DISTINCT source FROM (SELECT source FROM entries LIMIT :limit) AS found
""")
_STATE_FIELDS: Final = tuple(field.name for field in fields(CurrentTicketState))
_TICKET_FIELDS: Final = tuple(field.name for field in fields(StoredTicket) if field.name != "state")


def _ticket_row(ticket: StoredTicket) -> dict[str, Any]:
    row = {name: getattr(ticket, name) for name in _TICKET_FIELDS if name != "position"}
    return row | _state_columns(ticket.state) | {"customer_id": ticket.body["customer"]["id"]}


def _state_columns(state: CurrentTicketState) -> dict[str, Any]:
    columns = {name: getattr(state, name) for name in _STATE_FIELDS}
    impact, assignee = state.impact, state.assignee
    return columns | {
        "impact": impact.model_dump() if impact else None,
        "assignee": assignee.model_dump() if assignee else None,
    }


def _ticket(row: Row[Any]) -> StoredTicket:
    state = {name: getattr(row, name) for name in _STATE_FIELDS}
    state["impact"] = Impact.model_validate(row.impact) if row.impact else None
    state["assignee"] = Assignee.model_validate(row.assignee) if row.assignee else None
    return StoredTicket(**{name: getattr(row, name) for name in _TICKET_FIELDS}, state=CurrentTicketState(**state))


def _fact_row(stored: StoredFact) -> dict[str, Any]:
    return stored.fact.model_dump() | {
        "fact_id": fact_id(stored.ticket_id, stored.fact.event_id),
        "ticket_id": stored.ticket_id,
        "digest": stored.digest,
    }


def _outbox_row(rendered: RenderedTicketEvent, received_at: datetime) -> dict[str, Any]:
    """The row of the outbox, and the ticket's id."""
    row = OUTBOX.row(rendered.event, rendered.value)
    return row | {"received_at": received_at, "ticket_id": rendered.event.ticket_id}


def _fact(row: Row[Any]) -> Fact:
    return Fact.model_validate(row, from_attributes=True)
