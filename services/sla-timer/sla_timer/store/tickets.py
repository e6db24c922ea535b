"""Tickets and their facts. Instants go in and come out as aware UTC datetimes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact, Ticket
from tocsin.runtime.database import bulk

from sla_timer.domain.compliance import ChannelCount, ReportFilter
from sla_timer.domain.request_notices import NoticeKind
from sla_timer.domain.ticket_evaluation import TicketEvaluation, TicketRecord
from sla_timer.domain.timeline_events import EventKey
from sla_timer.store.published_events import load_published_keys, load_published_ladders
from sla_timer.store.tables import FACTS, TICKETS


@dataclass(frozen=True, slots=True)
class ArrivedTicket:
    """A ticket that was opened or imported. `historic_through` is the receipt of one posted as history."""

    ticket: Ticket
    partition: int
    historic_through: datetime | None


async def add_tickets(connection: AsyncConnection, tickets: Sequence[ArrivedTicket]) -> None:
    """Store the tickets that are not known yet."""
    rows = [
        {
            "ticket_id": new.ticket.ticket_id,
            "tenant": new.ticket.tenant,
            "partition": new.partition,
            "customer_id": new.ticket.customer.id,
            "channel": new.ticket.channel,
            "category": new.ticket.category,
            "severity": new.ticket.initial_severity,
            "ticket": new.ticket.model_dump_json().encode(),
            "opened_at": new.ticket.opened_at,
            "historic_through": new.historic_through,
        }
        for new in tickets
    ]
    await bulk.insert_new(connection, TICKETS, rows)


async def lock_tickets(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> None:
    """Lock the rows of these tickets, in the order of their ids: a consistent lock order avoids deadlock."""
    await connection.execute(
        select(TICKETS.c.ticket_id)
        .where(TICKETS.c.ticket_id.in_(sorted(ticket_ids)))
        .order_by(TICKETS.c.ticket_id)
        .with_for_update()
    )


async def add_facts(connection: AsyncConnection, facts: Mapping[UUID, Sequence[Fact]]) -> dict[UUID, list[Fact]]:
    """Store the facts that are not known yet, and return them by ticket."""
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
    new = {(row.ticket_id, row.number) for row in await bulk.insert_new(connection, FACTS, rows)}
    found = {ticket_id: [fact for fact in facts[ticket_id] if (ticket_id, fact.number) in new] for ticket_id in facts}
    return {ticket_id: added for ticket_id, added in found.items() if added}


async def load_tickets(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> list[TicketRecord]:
    """The tickets with their facts and published keys. Leaves out a ticket whose opening has not arrived."""
    wanted = sorted(ticket_ids)
    t = TICKETS.c
    tickets = await connection.execute(
        select(t.ticket_id, t.ticket, t.partition, t.historic_through, t.responded_at).where(t.ticket_id.in_(wanted))
    )
    facts = await _load_facts(connection, wanted)
    published = await load_published_keys(connection, wanted)
    ladders = await load_published_ladders(connection, wanted)
    return [
        TicketRecord(
            ticket=Ticket.model_validate_json(row.ticket),
            partition=row.partition,
            historic_through=row.historic_through,
            responded_at=row.responded_at,
            facts=facts[row.ticket_id],
            published={key: at for key, at in published[row.ticket_id] if isinstance(key, EventKey)},
            ladders=ladders[row.ticket_id],
            notices=[key for key, _ in published[row.ticket_id] if isinstance(key, NoticeKind)],
        )
        for row in tickets
        if facts[row.ticket_id] and facts[row.ticket_id][0].number == 1
    ]


async def _load_facts(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> dict[UUID, list[Fact]]:
    """The facts of each ticket, by number."""
    f = FACTS.c
    facts: dict[UUID, list[Fact]] = {ticket_id: [] for ticket_id in ticket_ids}
    for ticket_id, fact in await connection.execute(
        select(f.ticket_id, f.fact).where(f.ticket_id.in_(facts)).order_by(f.ticket_id, f.number)
    ):
        facts[ticket_id].append(Fact.model_validate_json(fact))
    return facts


async def store_evaluations(connection: AsyncConnection, evaluations: Sequence[TicketEvaluation]) -> None:
    """Store severity, response, closing and policy versions of the evaluated tickets."""
    rows = [
        {
            "ticket_id": evaluation.ticket_id,
            "severity": evaluation.severity,
            "closed_at": evaluation.closed_at,
            "responded_at": evaluation.responded_at,
            "policy_versions": evaluation.policy_versions,
            "policies_in_force": evaluation.policies_in_force,
        }
        for evaluation in evaluations
    ]
    await bulk.update(connection, TICKETS, rows)


async def lock_outdated(
    connection: AsyncConnection,
    *,
    policy_versions: int,
    closed_since: datetime | None,
    policies_in_force: int | None,
    after: UUID,
    limit: int,
) -> list[UUID]:
    """Lock tickets that were last evaluated with fewer policy versions, in the order of their ids from `after` on.

    Open ones, those closed at `closed_since` or later, and open ones that were last evaluated when fewer than
    `policies_in_force` versions were in force. Waits for tickets that others have locked: none may be left out.
    """
    t = TICKETS.c
    is_open = t.closed_at.is_(None)
    is_outdated = t.policy_versions < policy_versions
    conditions = [and_(is_open, is_outdated)]
    if closed_since is not None:
        conditions.append(and_(is_outdated, t.closed_at >= closed_since))
    if policies_in_force is not None:
        conditions.append(and_(is_open, t.policies_in_force < policies_in_force))
    rows = await connection.execute(
        select(t.ticket_id)
        .where(or_(*conditions), t.ticket_id > after)
        .order_by(t.ticket_id)
        .limit(limit)
        .with_for_update()
    )
    return list(rows.scalars())


async def count_channel_tickets(
    connection: AsyncConnection,
    wanted: ReportFilter,
    *,
    channels: Sequence[str],
    begin: datetime,
    end: datetime,
    zone: str,
    now: datetime,
) -> list[ChannelCount]:
    """The tickets of these channels that were opened in `[begin, end)`, by channel, customer and month in `zone`.

    A ticket without a response counts with its age at `now`, or at its closing.
    """
    t = TICKETS.c
    month = func.to_char(func.timezone(zone, t.opened_at), "YYYY-MM").label("month")
    unanswered = func.count().filter(t.responded_at.is_(None), t.closed_at.is_(None))
    waited = func.sum(func.coalesce(t.responded_at, t.closed_at, now) - t.opened_at)
    query = select(t.channel, t.customer_id, month, func.count(), unanswered, waited).where(
        t.channel.in_(channels), t.opened_at >= begin, t.opened_at < end
    )
    filters = {
        t.tenant: wanted.tenant,
        t.customer_id: wanted.customer,
        t.severity: wanted.severity,
        t.channel: wanted.channel,
        t.category: wanted.category,
    }
    for column, value in filters.items():
        if value is not None:
            query = query.where(column == value)
    if wanted.historic is not None:
        query = query.where(t.historic_through.is_not(None) == wanted.historic)
    rows = await connection.execute(query.group_by(t.channel, t.customer_id, month))
    return [ChannelCount(*row) for row in rows]
