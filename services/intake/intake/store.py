"""Intake's tables and every query on them. Rows in, values out; nothing here commits or asks the time."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnClause,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Row,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    delete,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact, FactType, Flag, Mailbox, Ticket, fact_id
from tocsin.runtime.database import new_metadata
from tocsin.runtime.dead_letters import dead_letters_table
from tocsin.runtime.kafka import TICKETS
from tocsin.runtime.outbox import Outbox, lease_table, outbox_table

from intake.standing import TELLING, Standing

metadata = new_metadata()
outbox = Outbox(outbox_table(metadata), lease_table(metadata), TICKETS, "intake")
dead_letters = dead_letters_table(metadata)

tickets = Table(
    "tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("tenant", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("initial_severity", SmallInteger, nullable=False),
    Column("suggested_severity", SmallInteger),
    Column("fit", Boolean),
    Column("routed_to", Text, nullable=False),
    Column("flags", ARRAY(Text), nullable=False),
    Column("imported", Boolean, nullable=False),
    Column("history", Boolean, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("first_facts", Integer, nullable=False),
    Column("last_number", Integer, nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Index("tickets_tenant_position_idx", "tenant", "position", unique=True),
    # A customer's id may be too long for an index row, its hash never is.
    Index("tickets_customer_idx", "tenant", func.md5(literal_column("customer_id")), "position"),
    postgresql_with={"fillfactor": 85},
)

facts = Table(
    "facts",
    metadata,
    Column("fact_id", Uuid, primary_key=True),
    Column("ticket_id", Uuid, ForeignKey("tickets.ticket_id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("actor", Text),
    Column("severity", SmallInteger),
    Column("reason", Text),
    Column("resolution_kind", Text),
    Column("digest", LargeBinary, nullable=False),
    UniqueConstraint("ticket_id", "number"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("holder", Text, primary_key=True),
    Column("key_digest", LargeBinary, primary_key=True),
    Column("request_digest", LargeBinary, nullable=False),
    Column("event_id", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, index=True),
)

_LIFE_OF_A_KEY: ColumnClause[timedelta] = literal_column("interval '24 hours'")


@dataclass(frozen=True, slots=True)
class StoredTicket:
    """A row of `tickets`. `body` is the validated request; `first_facts` is how many facts came with it."""

    ticket_id: UUID
    position: int
    tenant: str
    source: str
    external_id: str
    opened_at: datetime
    received_at: datetime
    initial_severity: int
    suggested_severity: int | None
    fit: bool | None
    routed_to: Mailbox
    flags: tuple[Flag, ...]
    imported: bool
    history: bool
    body: Mapping[str, Any]
    digest: bytes
    first_facts: int
    standing: Standing

    def summary(self) -> Ticket:
        """What every event about the ticket carries of it."""
        return Ticket.model_validate(
            {
                **{name: self.body[name] for name in _SUMMARISED},
                "tenant": self.tenant,
                "ticket_id": self.ticket_id,
                "source": self.source,
                "external_id": self.external_id,
                "opened_at": self.opened_at,
                "initial_severity": self.initial_severity,
                "routed_to": self.routed_to,
                "flags": self.flags,
            }
        )


_SUMMARISED = ("summary", "affected_services", "contact", "customer", "channel", "category")


@dataclass(frozen=True, slots=True)
class NewTicket:
    """A ticket to be stored, with its first facts; `position` of `ticket` is not known yet."""

    ticket: StoredTicket
    facts: tuple[Fact, ...]
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Locked:
    """A ticket whose row this transaction holds: its next fact's `number`, and the database's clock."""

    number: int
    clock: datetime


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What an Idempotency-Key was first used for, and the event id made for it, if it was an event's."""

    request_digest: bytes
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tickets a list shows; `before` is the position that the page before ended at."""

    tenant: str
    severity: int | None = None
    is_open: bool | None = None
    customer: str | None = None
    source: str | None = None
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
        rows = await self._connection.execute(statement, [_ticket_row(item.ticket) for item in ordered])
        added = set(rows.scalars())
        fact_rows = [
            _fact_row(item.ticket.ticket_id, fact, digest)
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
        new = insert(facts).values(_fact_row(ticket_id, fact, digest))
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
        return (_fact(row), row.digest) if row else None

    async def telling_facts(self, ticket_id: UUID) -> list[Fact]:
        """The facts that decide the ticket's severity and state, by number."""
        query = select(facts).where(facts.c.ticket_id == ticket_id, facts.c.type.in_([str(kind) for kind in TELLING]))
        return [_fact(row) for row in await self._connection.execute(query.order_by(facts.c.number))]

    async def ticket(self, tenant: str, ticket_id: UUID) -> StoredTicket | None:
        """This tenant's ticket of that id."""
        query = select(tickets).where(tickets.c.ticket_id == ticket_id, tickets.c.tenant == tenant)
        row = (await self._connection.execute(query)).one_or_none()
        return _ticket(row) if row else None

    async def tickets(self, ids: Collection[UUID]) -> dict[UUID, StoredTicket]:
        """The tickets of those ids that are there."""
        rows = await self._connection.execute(select(tickets).where(tickets.c.ticket_id.in_(ids)))
        return {row.ticket_id: _ticket(row) for row in rows}

    async def facts(self, ids: Collection[UUID]) -> dict[UUID, list[Fact]]:
        """All facts of those tickets, by number."""
        query = select(facts).where(facts.c.ticket_id.in_(ids)).order_by(facts.c.ticket_id, facts.c.number)
        found: dict[UUID, list[Fact]] = {ticket_id: [] for ticket_id in ids}
        for row in await self._connection.execute(query):
            found[row.ticket_id].append(_fact(row))
        return found

    async def page(self, wanted: Filter, limit: int) -> list[StoredTicket]:
        """Up to `limit` tickets, the last received first."""
        query = select(tickets).where(tickets.c.tenant == wanted.tenant)
        if wanted.severity is not None:
            query = query.where(tickets.c.severity == wanted.severity)
        if wanted.is_open is not None:
            query = query.where(tickets.c.is_open == wanted.is_open)
        if wanted.customer is not None:
            query = query.where(
                func.md5(tickets.c.customer_id) == func.md5(wanted.customer), tickets.c.customer_id == wanted.customer
            )
        if wanted.source is not None:
            query = query.where(tickets.c.source == wanted.source)
        if wanted.before is not None:
            query = query.where(tickets.c.position < wanted.before)
        rows = await self._connection.execute(query.order_by(tickets.c.position.desc()).limit(limit))
        return [_ticket(row) for row in rows]

    async def use_key(self, holder: str, key_digest: bytes, use: KeyUse) -> KeyUse:
        """Claim an Idempotency-Key for 24 h and return its first use, which is `use` where it was free.

        A second user waits here until the first one's transaction has ended.
        """
        statement = insert(idempotency_keys).values(
            holder=holder,
            key_digest=key_digest,
            request_digest=use.request_digest,
            event_id=use.event_id,
            created_at=func.clock_timestamp(),
        )
        excluded = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=[idempotency_keys.c.holder, idempotency_keys.c.key_digest],
            set_={name: excluded[name] for name in ("request_digest", "event_id", "created_at")},
            where=idempotency_keys.c.created_at < func.clock_timestamp() - _LIFE_OF_A_KEY,
        )
        if (await self._connection.execute(statement.returning(literal_column("1")))).one_or_none():
            return use
        query = select(idempotency_keys.c.request_digest, idempotency_keys.c.event_id).where(
            idempotency_keys.c.holder == holder, idempotency_keys.c.key_digest == key_digest
        )
        row = (await self._connection.execute(query)).one()
        return KeyUse(row.request_digest, row.event_id)

    async def forget_keys(self) -> int:
        """Remove the Idempotency-Keys that have expired; how many."""
        expired = idempotency_keys.c.created_at < func.clock_timestamp() - _LIFE_OF_A_KEY
        return (await self._connection.execute(delete(idempotency_keys).where(expired))).rowcount

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
        return [_ticket(row) for row in await self._connection.execute(query)]


def _ticket_row(ticket: StoredTicket) -> dict[str, Any]:
    return {
        "ticket_id": ticket.ticket_id,
        "tenant": ticket.tenant,
        "source": ticket.source,
        "external_id": ticket.external_id,
        "customer_id": ticket.body["customer"]["id"],
        "opened_at": ticket.opened_at,
        "received_at": ticket.received_at,
        "initial_severity": ticket.initial_severity,
        "suggested_severity": ticket.suggested_severity,
        "fit": ticket.fit,
        "routed_to": ticket.routed_to,
        "flags": list(ticket.flags),
        "imported": ticket.imported,
        "history": ticket.history,
        "body": ticket.body,
        "digest": ticket.digest,
        "first_facts": ticket.first_facts,
        "last_number": ticket.first_facts,
        "severity": ticket.standing.severity,
        "is_open": ticket.standing.is_open,
    }


def _ticket(row: Row[Any]) -> StoredTicket:
    return StoredTicket(
        ticket_id=row.ticket_id,
        position=row.position,
        tenant=row.tenant,
        source=row.source,
        external_id=row.external_id,
        opened_at=row.opened_at,
        received_at=row.received_at,
        initial_severity=row.initial_severity,
        suggested_severity=row.suggested_severity,
        fit=row.fit,
        routed_to=row.routed_to,
        flags=tuple(row.flags),
        imported=row.imported,
        history=row.history,
        body=row.body,
        digest=row.digest,
        first_facts=row.first_facts,
        standing=Standing(row.severity, row.is_open),
    )


def _fact_row(ticket_id: UUID, fact: Fact, digest: bytes) -> dict[str, Any]:
    return {
        "fact_id": fact_id(ticket_id, fact.event_id),
        "ticket_id": ticket_id,
        "number": fact.number,
        "event_id": fact.event_id,
        "type": str(fact.type),
        "occurred_at": fact.occurred_at,
        "received_at": fact.received_at,
        "actor": fact.actor,
        "severity": fact.severity,
        "reason": fact.reason,
        "resolution_kind": fact.resolution_kind,
        "digest": digest,
    }


def _fact(row: Row[Any]) -> Fact:
    return Fact(
        number=row.number,
        event_id=row.event_id,
        type=FactType(row.type),
        occurred_at=row.occurred_at,
        received_at=row.received_at,
        actor=row.actor,
        severity=row.severity,
        reason=row.reason,
        resolution_kind=row.resolution_kind,
    )
