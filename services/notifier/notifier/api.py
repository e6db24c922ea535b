"""The notifier's calls: what became of every mail."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.events import Instant
from tocsin.events.notifications import MailKind
from tocsin.runtime.http import require
from tocsin.runtime.keys import TICKETS_READ, Caller

from notifier import store
from notifier.delivery import State, Stored


class Delivery(BaseModel):
    """One mail to one recipient. `recipient` is the address; null: nobody has been chosen or found yet.

    `ambiguous`: an attempt ended between the message and the server's answer, and was or will be repeated with the same
    `message_id`. `reply` has the server's last words, or ours where no server was asked.
    """

    id: UUID
    notification_id: UUID
    ticket_id: UUID
    kind: MailKind
    cycle: int
    run: int | None
    step: int | None
    tier: int | None
    severity: int
    role: str
    recipient: str | None
    person: str | None
    name: str | None
    rule: str | None
    state: State
    attempts: int
    scheduled_at: Instant
    queued_at: Instant
    changed_at: Instant
    sent_at: Instant | None
    late: bool
    ambiguous: bool
    message_id: str | None
    reply: str | None


class Deliveries(BaseModel):
    """A page. `next_cursor` null: there are no more."""

    items: tuple[Delivery, ...]
    next_cursor: str | None


Reader = Annotated[Caller, Depends(require(TICKETS_READ))]


def router(reader: AsyncEngine) -> APIRouter:
    """The routes, reading by `reader`."""
    routes = APIRouter(prefix="/v1", tags=["deliveries"])

    @routes.get("/deliveries", summary="Mails, sent or not, the oldest first")
    async def deliveries(
        caller: Reader,
        ticket_id: UUID | None = None,
        recipient: Annotated[
            str | None, Query(max_length=320, description="an address, or a person of the directory")
        ] = None,
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$")] = None,
    ) -> Deliveries:
        async with reader.connect() as connection:
            found = await store.listed(
                connection,
                caller.tenant,
                ticket_id=ticket_id,
                recipient=recipient,
                state=state,
                after=int(cursor) if cursor is not None else 0,
                limit=limit + 1,
            )
        page = found[:limit]
        return Deliveries(
            items=tuple(_shown(delivery) for delivery in page),
            next_cursor=str(page[-1].seq) if len(found) > limit else None,
        )

    return routes


def _shown(delivery: Stored) -> Delivery:
    return Delivery(
        id=delivery.id,
        notification_id=delivery.notification_id,
        ticket_id=delivery.ticket_id,
        kind=delivery.kind,
        cycle=delivery.cycle,
        run=delivery.run,
        step=delivery.step,
        tier=delivery.tier,
        severity=delivery.severity,
        role=delivery.role,
        recipient=delivery.email,
        person=delivery.person,
        name=delivery.name,
        rule=delivery.rule,
        state=delivery.state,
        attempts=delivery.attempts,
        scheduled_at=delivery.scheduled_at,
        queued_at=delivery.queued_at,
        changed_at=delivery.changed_at,
        sent_at=delivery.sent_at,
        late=delivery.late,
        ambiguous=delivery.ambiguous,
        message_id=delivery.message_id,
        reply=delivery.reply,
    )
