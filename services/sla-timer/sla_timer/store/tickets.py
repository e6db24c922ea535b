"""Tickets and their facts. Instants go in and come out as aware UTC datetimes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact, Ticket
from tocsin.runtime.database import bulk

from sla_timer.domain.compliance import ChannelCount, ReportFilter
from sla_timer.domain.ticket_evaluation import TicketEvaluation, TicketRecord
from sla_timer.store.published_events import load_published
from sla_timer.store.tables import FACTS, TICKETS


async def load_tickets(
    connection: AsyncConnection, ticket_ids: Collection[UUID], *, lock: bool = False
) -> list[TicketRecord]:
    """The stored ones of these tickets with their facts, and what was published of them.

    `lock` locks their rows in the order of their ids: a consistent lock order avoids deadlock. What is loaded besides
    is read after that.
    """
    t = TICKETS.c
    query = select(t.ticket_id, t.ticket, t.partition, t.historic_through, t.responded_at)
    query = query.where(bulk.among(t.ticket_id, ticket_ids)).order_by(t.ticket_id)
    tickets = (await connection.execute(query.with_for_update() if lock else query)).all()
    if not tickets:
        return []
    ticket_ids = [row.ticket_id for row in tickets]
    facts = await load_facts(connection, ticket_ids)
    published = await load_published(connection, ticket_ids)
    return [
        TicketRecord(
            ticket=Ticket.model_validate_json(row.ticket),
            partition=row.partition,
            historic_through=row.historic_through,
            responded_at=row.responded_at,
            facts=facts[row.ticket_id],
            published=published[row.ticket_id].keys,
            ladders=published[row.ticket_id].ladders,
            notices=published[row.ticket_id].notices,
        )
        for row in tickets
    ]


async def load_facts(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> dict[UUID, list[Fact]]:
    """The facts of each ticket, by number. Facts that arrived before their opening wait for it."""
    facts: dict[UUID, list[Fact]] = {ticket_id: [] for ticket_id in ticket_ids}
    if not facts:
        return facts
    f = FACTS.c
    rows = await connection.execute(
        select(f.ticket_id, f.fact).where(bulk.among(f.ticket_id, facts)).order_by(f.ticket_id, f.number)
    )
    for ticket_id, fact in rows:
        facts[ticket_id].append(Fact.model_validate_json(fact))
    return facts


async def add_facts(connection: AsyncConnection, facts: Sequence[tuple[UUID, Fact]]) -> None:
    """Store facts that are not stored yet, each with the id of its ticket."""
    rows = [
        {
            "ticket_id": ticket_id,
            "number": fact.number,
            "fact": fact.model_dump_json().encode(),
            "received_at": fact.received_at,
        }
        for ticket_id, fact in facts
    ]
    await bulk.insert(connection, FACTS, rows)


async def add_tickets(connection: AsyncConnection, tickets: Sequence[tuple[TicketRecord, TicketEvaluation]]) -> None:
    """Store tickets that are not stored yet, with their evaluation."""
    rows = [
        {
            "tenant": record.ticket.tenant,
            "partition": record.partition,
            "customer_id": record.ticket.customer.id,
            "channel": record.ticket.channel,
            "category": record.ticket.category,
            "ticket": record.ticket.model_dump_json().encode(),
            "opened_at": record.ticket.opened_at,
            "historic_through": record.historic_through,
            **_evaluated(evaluation),
        }
        for record, evaluation in tickets
    ]
    await bulk.insert(connection, TICKETS, rows)


async def store_evaluations(connection: AsyncConnection, evaluations: Sequence[TicketEvaluation]) -> None:
    """Store severity, response, closing and policy versions of the evaluated tickets."""
    await bulk.update(connection, TICKETS, [_evaluated(evaluation) for evaluation in evaluations])


def _evaluated(evaluation: TicketEvaluation) -> dict[str, Any]:
    return {
        "ticket_id": evaluation.ticket_id,
        "severity": evaluation.severity,
        "closed_at": evaluation.closed_at,
        "responded_at": evaluation.responded_at,
        "policy_versions": evaluation.policy_versions,
        "policies_in_force": evaluation.policies_in_force,
    }


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
