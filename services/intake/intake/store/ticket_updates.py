"""Queries about the ticket updates in webhook deliveries. Nothing here commits."""

from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from intake.domain.webhooks.update import TicketUpdate
from intake.errors import MISSING_FIELDS
from intake.store.tables import TICKET_UPDATES, TICKETS, WEBHOOK_DELIVERIES
from intake.store.webhooks import WebhookState


class TicketUpdateStore:
    """The queries, on one connection whose transaction belongs to the caller."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def lock_ticket(self, ticket_id: UUID) -> None:
        """Wait for other transactions that apply updates to this ticket, even if it does not exist yet."""
        key = int.from_bytes(ticket_id.bytes[:8], signed=True)
        await self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    async def load_updates(self, ticket_id: UUID) -> tuple[dict[tuple[int, int], TicketUpdate], bool]:
        """The updates of a ticket by (delivery id, position), and whether one of them opened the ticket."""
        table = TICKET_UPDATES.c
        query = select(table.delivery_id, table.position, table.content, table.opened_ticket)
        rows = (await self._connection.execute(query.where(table.ticket_id == ticket_id))).all()
        updates = {
            (row.delivery_id, row.position): TicketUpdate.model_validate(row.content, strict=False) for row in rows
        }
        return updates, any(row.opened_ticket for row in rows)

    async def store_update(
        self, delivery_id: int, position: int, ticket_id: UUID, content: TicketUpdate, *, opened_ticket: bool
    ) -> None:
        """Store or replace the update at a position of a delivery, and whether it opened the ticket."""
        table = TICKET_UPDATES
        new = insert(table).values(
            delivery_id=delivery_id,
            position=position,
            ticket_id=ticket_id,
            content=content.model_dump(mode="json", exclude_defaults=True),
            opened_ticket=opened_ticket,
        )
        replaced = {
            "ticket_id": new.excluded.ticket_id,
            "content": new.excluded.content,
            "opened_ticket": table.c.opened_ticket | new.excluded.opened_ticket,
        }
        await self._connection.execute(
            new.on_conflict_do_update(index_elements=["delivery_id", "position"], set_=replaced)
        )

    async def drop_unapplied(self, delivery_id: int) -> dict[int, UUID]:
        """Delete a delivery's updates of tickets that do not exist. Returns the tickets of the others by position."""
        table = TICKET_UPDATES.c
        is_applied = select(TICKETS.c.ticket_id).where(TICKETS.c.ticket_id == table.ticket_id).exists()
        await self._connection.execute(delete(TICKET_UPDATES).where(table.delivery_id == delivery_id, ~is_applied))
        query = select(table.position, table.ticket_id).where(table.delivery_id == delivery_id)
        return {row.position: row.ticket_id for row in await self._connection.execute(query)}

    async def finish_waiting_for(self, ticket_id: UUID) -> None:
        """Finish the unmapped deliveries that only waited for this ticket to be opened: their updates count now."""
        table, updates = WEBHOOK_DELIVERIES, TICKET_UPDATES
        with_update = select(updates.c.delivery_id).where(updates.c.ticket_id == ticket_id)
        other_tickets = select(updates.c.position).where(
            updates.c.delivery_id == table.c.id, updates.c.ticket_id != ticket_id
        )
        is_missing_field = (table.c.state == WebhookState.UNMAPPED) & table.c.reason.in_(MISSING_FIELDS)
        finished = update(table).where(table.c.id.in_(with_update) & is_missing_field & ~other_tickets.exists())
        await self._connection.execute(finished.values(state=WebhookState.TAKEN, reason=None, detail=None))
