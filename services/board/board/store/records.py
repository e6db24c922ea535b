"""Stores the records of the topics, with few statements per batch.

A transaction adds its records and locks their tickets before it reads anything. It then reads everything that other
transactions have stored about these tickets, so no record is left out of a summary.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import (
    EVENT_TYPES,
    DeadlineEvent,
    DeliveryEvent,
    EscalationEvent,
    Fact,
    Ticket,
    event_type,
)
from tocsin.runtime.database.bulk import Write, among, execute

from board.domain.board_ticket import LastMail
from board.domain.facts_summary import FactsSummary
from board.store.tables import DELIVERIES, EVENTS, FACTS, TICKETS
from board.store.versions import begin_changes


@dataclass(frozen=True, slots=True)
class LockedRow:
    """A ticket as it is stored. `ticket` is null until it is known. `opened`: the opening has set it."""

    ticket: Ticket | None
    opened: bool
    historic: bool


async def add_facts(
    connection: AsyncConnection, tenants: Mapping[UUID, str], facts: Mapping[tuple[UUID, int], Fact]
) -> tuple[dict[UUID, LockedRow], set[tuple[UUID, int]]]:
    """Store these facts by (ticket, number). Returns their tickets, locked, and which facts are new.

    `tenants` has the tenant of each ticket of these facts.
    """
    rows = [
        {"ticket_id": ticket_id, "number": number, "fact": fact.model_dump_json()}
        for (ticket_id, number), fact in sorted(facts.items())
    ]
    tickets, new = await _add_and_lock(connection, tenants, Write("insert_new", FACTS, rows))
    return tickets, {(row.ticket_id, row.number) for row in new}


async def add_events(
    connection: AsyncConnection, events: Sequence[DeadlineEvent] | Sequence[EscalationEvent]
) -> tuple[dict[UUID, LockedRow], set[UUID]]:
    """Store these events, in this order. Returns their tickets, locked, and the ids of the new events."""
    rows = [
        {
            "event_id": event.event_id,
            "ticket_id": event.ticket_id,
            "type": event_type(event),
            "at": event.at,
            "event": event.model_dump_json(),
        }
        for event in events
    ]
    tenants = {event.ticket_id: event.ticket.tenant for event in events}
    tickets, new = await _add_and_lock(connection, tenants, Write("insert_new", EVENTS, rows))
    return tickets, {row.event_id for row in new}


async def lock_tickets(connection: AsyncConnection, tenants: Mapping[UUID, str]) -> dict[UUID, LockedRow]:
    """Lock these tickets, and add those that are missing. `tenants` has the tenant of each ticket."""
    tickets, _ = await _add_and_lock(connection, tenants)
    return tickets


async def _add_and_lock(
    connection: AsyncConnection, tenants: Mapping[UUID, str], *added: Write
) -> tuple[dict[UUID, LockedRow], Sequence[Row[Any]]]:
    """Insert, then lock the tickets in the order of their ids: a consistent lock order avoids deadlock."""
    await begin_changes(connection)
    rows = [{"ticket_id": ticket_id, "tenant": tenant} for ticket_id, tenant in sorted(tenants.items())]
    new = await execute(connection, [*added, Write("insert_new", TICKETS, rows)])
    c = TICKETS.c
    query = select(c.ticket_id, c.ticket, c.opened, c.historic).where(among(c.ticket_id, tenants))
    locked = await connection.execute(query.order_by(c.ticket_id).with_for_update())
    tickets = {
        row.ticket_id: LockedRow(
            ticket=None if row.ticket is None else Ticket.model_validate_json(row.ticket),
            opened=row.opened,
            historic=row.historic,
        )
        for row in locked
    }
    return tickets, new


async def load_facts_of(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> dict[UUID, list[Fact]]:
    """All facts of each ticket, by number."""
    facts: dict[UUID, list[Fact]] = defaultdict(list)
    c = FACTS.c
    if ticket_ids:
        query = select(c.ticket_id, c.fact).where(among(c.ticket_id, ticket_ids)).order_by(c.ticket_id, c.number)
        for row in await connection.execute(query):
            facts[row.ticket_id].append(Fact.model_validate_json(row.fact))
    return facts


async def load_latest_tickets(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> dict[UUID, Ticket]:
    """Each ticket as its latest event carries it, by (`at`, id): the order of arrival makes no difference."""
    if not ticket_ids:
        return {}
    c = EVENTS.c
    query = (
        select(c.ticket_id, c.type, c.event)
        .ext(distinct_on(c.ticket_id))
        .where(among(c.ticket_id, ticket_ids))
        .order_by(c.ticket_id, c.at.desc(), c.event_id)
    )
    tickets: dict[UUID, Ticket] = {}
    for row in await connection.execute(query):
        event = EVENT_TYPES[row.type].model_validate_json(row.event)
        if isinstance(event, DeadlineEvent | EscalationEvent):
            tickets[row.ticket_id] = event.ticket
    return tickets


async def load_deliveries_of(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> list[DeliveryEvent]:
    """The stored states of all deliveries of these tickets."""
    c = DELIVERIES.c
    rows = await connection.execute(select(c.delivery).where(among(c.ticket_id, ticket_ids)))
    return [DeliveryEvent.model_validate_json(delivery) for delivery in rows.scalars()]


def delivery_writes(deliveries: Iterable[DeliveryEvent]) -> list[Write]:
    """The writes that store each event as the state of its delivery."""
    rows = [
        {
            "delivery_id": event.delivery_id,
            "ticket_id": event.ticket_id,
            "state": event.state,
            "at": event.at,
            "delivery": event.model_dump_json(),
        }
        for event in deliveries
    ]
    return [Write("upsert", DELIVERIES, rows)]


def summary_writes(
    summaries: Mapping[UUID, tuple[LockedRow, FactsSummary]],
) -> list[Write]:
    """The writes that store these tickets, which must be known, with the summaries of their facts."""
    rows = []
    for ticket_id, (stored, summary) in summaries.items():
        ticket = stored.ticket
        if ticket is None:
            raise ValueError(f"ticket {ticket_id} is not known")
        rows.append(
            {
                "ticket_id": ticket_id,
                "source": ticket.source,
                "external_id": ticket.external_id,
                "customer_id": ticket.customer.id,
                "ticket": ticket.model_dump_json(),
                "opened": stored.opened,
                "historic": stored.historic,
                "severity": summary.severity,
                "state": summary.state,
                "is_open": summary.is_open,
                "assignee": summary.assignee,
                "facts": summary.facts,
                "last_fact": summary.last_fact,
            }
        )
    return [Write("update", TICKETS, rows)]


def ladder_event_writes(latest: Mapping[UUID, UUID]) -> list[Write]:
    """The writes that store, by ticket, the id of the latest event about a ladder."""
    rows = [{"ticket_id": ticket_id, "ladder_event_id": event_id} for ticket_id, event_id in latest.items()]
    return [Write("update", TICKETS, rows)]


def last_mail_writes(mails: Mapping[UUID, LastMail | None]) -> list[Write]:
    """The writes that store, by ticket, the person who was mailed last."""
    rows = [{"ticket_id": ticket_id, "last_mail": _last_mail_json(mail)} for ticket_id, mail in mails.items()]
    return [Write("update", TICKETS, rows)]


def _last_mail_json(mail: LastMail | None) -> str | None:
    return None if mail is None else orjson.dumps({"name": mail.name, "role": mail.role, "at": mail.at}).decode()


async def remove_all(connection: AsyncConnection) -> None:
    """Empty the tables of the read model. Their versions continue."""
    names = ", ".join(table.name for table in (TICKETS, FACTS, EVENTS, DELIVERIES))
    await connection.execute(text(f"TRUNCATE {names}"))
