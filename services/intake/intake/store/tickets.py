"""Queries about tickets and their facts. Rows in, values out; nothing here commits or asks the time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, literal_column, not_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact, fact_id

from intake.standing import TELLING, Standing
from intake.store.stored import NewTicket, StoredTicket, fact_of, fact_row, ticket_of, ticket_row
from intake.store.tables import facts, outbox, tickets, words


@dataclass(frozen=True, slots=True)
class Locked:
    """A ticket whose row this transaction holds: its next fact's `number`, and the database's clock."""

    number: int
    clock: datetime


@dataclass(frozen=True, slots=True)
class Filter:
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


class Store:
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
        statement = insert(tickets).on_conflict_do_nothing().returning(tickets.c.ticket_id)
        rows = await self._connection.execute(statement, [ticket_row(item.ticket) for item in ordered])
        added = set(rows.scalars())
        fact_rows = [
            fact_row(item.ticket.ticket_id, fact, digest)
            for item in ordered
            if item.ticket.ticket_id in added
            for fact, digest in zip(item.facts, item.digests, strict=True)
        ]
        if fact_rows:
            await self._connection.execute(insert(facts), fact_rows)
        return added

    async def lock(self, tenant: str, ticket_id: UUID) -> Locked | None:
        """Lock the ticket; None if this tenant has no such ticket.

        A row that changed while it was waited for is computed again, so the number and the clock are the lock holder's.
        """
        query = select((tickets.c.last_number + 1).label("number"), func.clock_timestamp().label("clock"))
        query = query.where(tickets.c.ticket_id == ticket_id, tickets.c.tenant == tenant)
        row = (await self._connection.execute(query.with_for_update(key_share=True))).one_or_none()
        return Locked(row.number, row.clock) if row else None

    async def add_fact(self, ticket_id: UUID, fact: Fact, digest: bytes, standing: Standing | None) -> bool:
        """Store the next fact of a locked ticket, and how it stands then where that may have changed.

        False, and nothing done, if the fact's event id is known already.
        """
        new = insert(facts).values(fact_row(ticket_id, fact, digest))
        new = new.on_conflict_do_nothing(index_elements=[facts.c.fact_id])
        new_fact = new.returning(facts.c.ticket_id, facts.c.number).cte("new_fact")
        changes: dict[str, Any] = {"last_number": new_fact.c.number}
        if standing is not None:
            changes |= {"severity": standing.severity, "is_open": standing.is_open}
        statement = update(tickets).where(tickets.c.ticket_id == new_fact.c.ticket_id)
        row = await self._connection.execute(statement.values(changes).returning(tickets.c.last_number))
        return row.one_or_none() is not None

    async def fact(self, ticket_id: UUID, event_id: str) -> tuple[Fact, bytes] | None:
        """The fact with that event id, and the digest of the request that brought it."""
        query = select(facts).where(facts.c.fact_id == fact_id(ticket_id, event_id))
        row = (await self._connection.execute(query)).one_or_none()
        return (fact_of(row), row.digest) if row else None

    async def telling_facts(self, ticket_id: UUID) -> list[Fact]:
        """The facts that decide the ticket's severity and state, by number."""
        query = select(facts).where(facts.c.ticket_id == ticket_id, facts.c.type.in_([str(kind) for kind in TELLING]))
        return [fact_of(row) for row in await self._connection.execute(query.order_by(facts.c.number))]

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

    async def page(self, wanted: Filter, limit: int) -> list[StoredTicket]:
        """Up to `limit` tickets, the last received first."""
        query = select(tickets).where(tickets.c.tenant == wanted.tenant)
        if wanted.severity is not None:
            query = query.where(tickets.c.severity == wanted.severity)
        if wanted.is_open is not None:
            query = query.where(tickets.c.is_open if wanted.is_open else not_(tickets.c.is_open))
        for column, text in ((tickets.c.customer_id, wanted.customer), (tickets.c.source, wanted.source)):
            if text is not None:
                query = query.where(func.md5(column) == func.md5(text), column == text)
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
