"""What has arrived about one ticket: its facts, the events of deadlines and escalations, and its deliveries."""

from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import EVENT_TYPES, DeliveryEvent, Event, Fact

from board.store.tables import DELIVERIES, EVENTS, FACTS

_F: Final = FACTS.c
_E: Final = EVENTS.c
_D: Final = DELIVERIES.c


async def load_facts(connection: AsyncConnection, ticket_id: UUID) -> list[Fact]:
    """The facts of the ticket, by number."""
    rows = await connection.execute(select(_F.fact).where(_F.ticket_id == ticket_id).order_by(_F.number))
    return [Fact.model_validate_json(fact) for fact in rows.scalars()]


async def load_events(connection: AsyncConnection, ticket_id: UUID) -> list[Event]:
    """The events of deadlines and escalations of the ticket, in the order in which they arrived."""
    rows = await connection.execute(select(_E.type, _E.event).where(_E.ticket_id == ticket_id).order_by(_E.position))
    return [EVENT_TYPES[row.type].model_validate_json(row.event) for row in rows]


async def load_deliveries(connection: AsyncConnection, ticket_id: UUID) -> list[DeliveryEvent]:
    """The latest event of each delivery of the ticket, by the instant of its state."""
    rows = await connection.execute(
        select(_D.delivery).where(_D.ticket_id == ticket_id).order_by(_D.at, _D.delivery_id)
    )
    return [DeliveryEvent.model_validate_json(delivery) for delivery in rows.scalars()]
