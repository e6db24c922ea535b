"""Queries about tickets and their facts. Rows in, values out; nothing here commits or asks the time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Uuid, and_, any_, bindparam, func, literal_column, not_, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact
from tocsin.runtime.database import bulk

from intake.domain.ticket_state import TELLING, Standing
from intake.store.records import NewTicket, StoredTicket, fact_of, fact_row, ticket_of, ticket_row
from intake.store.tables import facts, outbox, tickets, words


@dataclass(frozen=True, slots=True)
class LockedTicket:
    """A ticket whose row this transaction holds: its next fact's `number`, how it stands, and the database's clock."""

    number: int
    standing: Standing
    clock: datetime


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact of a ticket with the digest of the request that brought it."""

    ticket_id: UUID
    fact: Fact
    digest: bytes


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """Which tickets a list shows; `before` is the position that the page before ended at.

    `opened_from` is inclusive, `opened_to` exclusive. `words` hold no punctuation and no blank; a ticket shows each of
    them, or a word that begins so.
    """

    tenant: str
    severity: int | None = None
    is_open: bool | None = None
    customer: str | None = None
    source: str | None = None
    opened_from: datetime | None = None
    opened_to: datetime | None = None
    words: Sequence[str] = ()
    before: int | None = None


TicketKey = tuple[str, UUID]
"""A ticket as its tenant names it: (tenant, id)."""

_LOCK: Final = text("""
    SELECT tenant, ticket_id, last_number + 1 AS number, severity, is_open, clock_timestamp() AS clock
    FROM tickets
    WHERE (tenant, ticket_id) IN (
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:ids AS uuid[])) AS wanted (tenant, ticket_id)
    )
    ORDER BY ticket_id
    FOR NO KEY UPDATE
""")


class TicketStore:
    """The queries, on one connection whose transaction belongs to the caller."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add_tickets(self, new: Sequence[NewTicket]) -> set[UUID]:
        """Store tickets with their facts and return the ids of those that were new; the others stay as they are.

        Ids must differ; they are locked in their order, so that two batches cannot wait for each other.
        """
        if not new:
            return set()
        ordered = sorted(new, key=lambda item: item.ticket.ticket_id)
        rows = await bulk.insert_new(self._connection, tickets, [ticket_row(item.ticket) for item in ordered])
        added = {row.ticket_id for row in rows}
        fact_rows = [
            fact_row(item.ticket.ticket_id, fact, digest)
            for item in ordered
            if item.ticket.ticket_id in added
            for fact, digest in zip(item.facts, item.digests, strict=True)
        ]
        await bulk.insert(self._connection, facts, fact_rows)
        return added

    async def lock(self, wanted: Collection[TicketKey]) -> dict[TicketKey, LockedTicket]:
        """Lock tickets by (tenant, id), in the order of their ids; those that the tenant does not have are left out.

        A row that changed while it was waited for is computed again, so the number and the clock are the lock holder's.
        """
        pairs = {"tenants": [tenant for tenant, _ in wanted], "ids": [key for _, key in wanted]}
        rows = await self._connection.execute(_LOCK, pairs)
        return {
            (row.tenant, row.ticket_id): LockedTicket(row.number, Standing(row.severity, row.is_open), row.clock)
            for row in rows
        }

    async def add_facts(self, new: Sequence[NewFact], standings: Mapping[UUID, Standing]) -> None:
        """Store further facts of locked tickets, none of them known, and how each ticket stands then."""
        rows = [fact_row(each.ticket_id, each.fact, each.digest) for each in new]
        await bulk.insert(self._connection, facts, rows)
        last = {each.ticket_id: each.fact.number for each in new}
        changes = [
            {"ticket_id": key, "last_number": number, **standings[key]._asdict()} for key, number in last.items()
        ]
        await bulk.update(self._connection, tickets, changes)

    async def known_facts(self, telling: Collection[UUID], fact_ids: Collection[UUID]) -> list[NewFact]:
        """The stored facts of those ids, and those that decide severity and state of the `telling` tickets, by number,
        each with the digest of the request that brought it.
        """
        wanted = facts.c.fact_id == any_(bindparam("fact_ids", type_=ARRAY(Uuid)))
        parameters: dict[str, list[UUID]] = {"fact_ids": list(fact_ids)}
        if telling:
            of_ticket = facts.c.ticket_id == any_(bindparam("telling", type_=ARRAY(Uuid)))
            wanted = or_(wanted, and_(of_ticket, facts.c.type.in_([str(kind) for kind in TELLING])))
            parameters["telling"] = list(telling)
        rows = await self._connection.execute(select(facts).where(wanted).order_by(facts.c.number), parameters)
        return [NewFact(row.ticket_id, fact_of(row), row.digest) for row in rows]

    async def ticket(self, tenant: str, ticket_id: UUID) -> StoredTicket | None:
        """This tenant's ticket of that id."""
        query = select(tickets).where(tickets.c.ticket_id == ticket_id, tickets.c.tenant == tenant)
        row = (await self._connection.execute(query)).one_or_none()
        return ticket_of(row) if row else None

    async def tickets(self, ids: Collection[UUID]) -> dict[UUID, StoredTicket]:
        """The tickets of those ids that are there."""
        rows = await self._connection.execute(select(tickets).where(tickets.c.ticket_id.in_(ids)))
        return {row.ticket_id: ticket_of(row) for row in rows}

    async def facts(self, ids: Collection[UUID]) -> dict[UUID, list[Fact]]:
        """All facts of those tickets, by number."""
        query = select(facts).where(facts.c.ticket_id.in_(ids)).order_by(facts.c.ticket_id, facts.c.number)
        found: dict[UUID, list[Fact]] = {ticket_id: [] for ticket_id in ids}
        for row in await self._connection.execute(query):
            found[row.ticket_id].append(fact_of(row))
        return found

    async def page(self, wanted: TicketFilter, limit: int) -> list[StoredTicket]:
        """Up to `limit` tickets, the last received first."""
        query = select(tickets).where(tickets.c.tenant == wanted.tenant)
        if wanted.severity is not None:
            query = query.where(tickets.c.severity == wanted.severity)
        if wanted.is_open is not None:
            query = query.where(tickets.c.is_open if wanted.is_open else not_(tickets.c.is_open))
        for column, value in ((tickets.c.customer_id, wanted.customer), (tickets.c.source, wanted.source)):
            if value is not None:
                query = query.where(func.md5(column) == func.md5(value), column == value)
        if wanted.opened_from is not None:
            query = query.where(tickets.c.opened_at >= wanted.opened_from)
        if wanted.opened_to is not None:
            query = query.where(tickets.c.opened_at < wanted.opened_to)
        if wanted.words:
            found = " & ".join(f"'{word}':*" for word in wanted.words)
            query = query.where(words.bool_op("@@")(func.to_tsquery(literal_column("'simple'::regconfig"), found)))
        if wanted.before is not None:
            query = query.where(tickets.c.position < wanted.before)
        rows = await self._connection.execute(query.order_by(tickets.c.position.desc()).limit(limit))
        return [ticket_of(row) for row in rows]

    async def outbox_longer_than(self, limit: int) -> bool:
        """Whether more than `limit` events wait to be published."""
        query = select(func.count()).select_from(
            select(literal_column("1")).select_from(outbox.table).limit(limit + 1).subquery()
        )
        return bool((await self._connection.execute(query)).scalar_one() > limit)

    async def positions_since(self, since: datetime) -> list[int]:
        """Positions of all tickets with a fact received at or after `since`, ascending."""
        told = select(facts.c.ticket_id).where(facts.c.received_at >= since)
        query = select(tickets.c.position).where(tickets.c.ticket_id.in_(told)).order_by(tickets.c.position)
        return list((await self._connection.execute(query)).scalars())

    async def at_positions(self, positions: Collection[int]) -> list[StoredTicket]:
        """The tickets at those positions, by position."""
        query = select(tickets).where(tickets.c.position.in_(positions)).order_by(tickets.c.position)
        return [ticket_of(row) for row in await self._connection.execute(query)]
