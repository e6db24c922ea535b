"""Queries about webhooks: deliveries as they came, the sightings in them, and since when integrations are known."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, cast, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from intake.domain.webhooks.update import OF_AN_OPENING, Reason, TicketUpdate
from intake.store.tables import integrations, ticket_snapshots, tickets, webhook_deliveries

WebhookState = Literal["waiting", "taken", "ignored", "unmapped", "forgotten"]
"""waiting: to be taken in, now or again. ignored: it holds no ticket that counts. forgotten: it came long ago; that it
came, and how it showed tickets to stand, is kept.
"""

Spot = tuple[int, int]
"""Where a ticket was seen: a delivery's id, and the place in it, from 0."""

_UNMAPPED: Final[tuple[WebhookState, ...]] = ("unmapped",)
_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """A delivery as it came. `received_at` is business time, `attempts` how often it could not be taken in."""

    id: int
    tenant: str
    provider: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    state: WebhookState
    reason: Reason | None
    detail: str | None
    attempts: int


class WebhookStore:
    """The queries, on one connection whose transaction belongs to the caller."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def keep(
        self,
        tenant: str,
        provider: str,
        key: bytes,
        headers: Mapping[str, str],
        body: bytes,
        received_at: datetime,
        taken_up_within: timedelta,
    ) -> int | None:
        """Store a delivery that is to be taken in at once; its id, or None where its key is known.

        Where that has not happened within `taken_up_within`, it is waiting for whoever looks.
        """
        now = func.clock_timestamp()
        values = {
            "tenant": tenant,
            "provider": provider,
            "key": sha256(key).digest(),
            "headers": dict(headers),
            "body": body,
            "received_at": received_at,
            "stored_at": now,
            "state": "waiting",
            "attempts": 0,
            "next_at": now + taken_up_within,
        }
        new = (
            insert(webhook_deliveries)
            .values(values)
            .on_conflict_do_nothing(index_elements=["tenant", "provider", "key"])
        )
        row = (await self._connection.execute(new.returning(webhook_deliveries.c.id))).one_or_none()
        return int(row.id) if row else None

    async def delivery(self, delivery_id: int, tenant: str | None = None) -> WebhookDelivery | None:
        """That delivery; with a tenant only one of theirs."""
        query = select(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id)
        if tenant is not None:
            query = query.where(webhook_deliveries.c.tenant == tenant)
        row = (await self._connection.execute(query)).one_or_none()
        return _delivery(row) if row else None

    async def claim_waiting(self, limit: int, retry_after: timedelta) -> list[WebhookDelivery]:
        """Deliveries whose time has come, the oldest first; for `retry_after` nobody else is given them."""
        table = webhook_deliveries
        due = select(table.c.id).where(table.c.next_at <= func.clock_timestamp()).order_by(table.c.id).limit(limit)
        due = due.with_for_update(skip_locked=True)
        claimed = update(table).where(table.c.id.in_(due.scalar_subquery()))
        rows = await self._connection.execute(
            claimed.values(next_at=func.clock_timestamp() + retry_after).returning(*table.c)
        )
        return sorted(map(_delivery, rows), key=lambda delivery: delivery.id)

    async def settle(
        self, delivery_id: int, state: WebhookState, reason: Reason | None = None, detail: str | None = None
    ) -> None:
        """What became of a delivery; it waits for nothing more."""
        values = {"state": state, "reason": reason, "detail": detail, "next_at": None}
        await self._update(webhook_deliveries.c.id == delivery_id, values)

    async def postpone(self, delivery_id: int, retry_after: timedelta) -> None:
        """A delivery could not be taken in, for a reason that may pass."""
        next_at = func.clock_timestamp() + retry_after
        await self._update(
            webhook_deliveries.c.id == delivery_id, {"attempts": webhook_deliveries.c.attempts + 1, "next_at": next_at}
        )

    async def replay(
        self,
        tenant: str | None,
        ids: Collection[int] | None = None,
        states: Collection[WebhookState] = _UNMAPPED,
        *,
        provider: str | None = None,
        since: datetime | None = None,
    ) -> list[int]:
        """Have deliveries in these states taken in once more, all or those; their ids.

        No tenant, no provider: everybody's; `since`: received at or after it.
        """
        table = webhook_deliveries
        wanted: ColumnElement[bool] = table.c.state.in_(states)
        if tenant is not None:
            wanted &= table.c.tenant == tenant
        if ids is not None:
            wanted &= table.c.id.in_(ids)
        if provider is not None:
            wanted &= table.c.provider == provider
        if since is not None:
            wanted &= table.c.received_at >= since
        values = {"state": "waiting", "attempts": 0, "next_at": func.clock_timestamp()}
        rows = await self._connection.execute(update(table).where(wanted).values(values).returning(table.c.id))
        return sorted(rows.scalars())

    async def dismiss(self, tenant: str | None, ids: Collection[int], detail: str) -> list[int]:
        """Have unmapped deliveries ignored from now on; their ids. Why they were unmapped stays with them."""
        table = webhook_deliveries
        wanted = table.c.id.in_(ids) & (table.c.state == "unmapped")
        if tenant is not None:
            wanted &= table.c.tenant == tenant
        dismissed = update(table).where(wanted).values(state="ignored", detail=detail)
        return sorted((await self._connection.execute(dismissed.returning(table.c.id))).scalars())

    async def unmapped(self, tenant: str | None, after: int, limit: int) -> list[WebhookDelivery]:
        """Unmapped deliveries with ids above `after`, the oldest first. No tenant: everybody's."""
        table = webhook_deliveries
        query = select(table).where(table.c.state == "unmapped", table.c.id > after)
        if tenant is not None:
            query = query.where(table.c.tenant == tenant)
        rows = await self._connection.execute(query.order_by(table.c.id).limit(limit))
        return [_delivery(row) for row in rows]

    async def counts(self) -> tuple[dict[str, int], int]:
        """How many unmapped deliveries each provider has, and how many deliveries wait."""
        table = webhook_deliveries
        number = func.count().label("number")
        unmapped = select(table.c.provider, number).where(table.c.state == "unmapped").group_by(table.c.provider)
        found = {row.provider: row.number for row in await self._connection.execute(unmapped)}
        waiting = select(func.count()).select_from(table).where(table.c.next_at.is_not(None))
        return found, (await self._connection.execute(waiting)).scalar_one()

    async def forget(self, older_than: timedelta) -> int:
        """Drop what up to 1000 older deliveries said; how many. What is waiting is kept.

        Of one that showed tickets its key stays, and how they stood: so it counts once for ever, and what comes later
        is compared with all that was shown.
        """
        table, seen = webhook_deliveries, ticket_snapshots
        over = table.c.next_at.is_(None) & (table.c.state != "forgotten")
        old = select(table.c.id).where(table.c.stored_at < func.clock_timestamp() - older_than, over).limit(_ROWS)
        ids = (await self._connection.execute(old.with_for_update(skip_locked=True))).scalars().all()
        showed = select(seen.c.delivery_id).where(seen.c.delivery_id.in_(ids))
        emptied = {"state": "forgotten", "body": b"", "headers": {}}
        await self._update(table.c.id.in_(showed), emptied)
        standing = seen.c.shown.op("-")(cast(OF_AN_OPENING, ARRAY(Text)))
        await self._connection.execute(update(seen).where(seen.c.delivery_id.in_(ids)).values(shown=standing))
        await self._connection.execute(delete(table).where(table.c.id.in_(ids), table.c.id.not_in(showed)))
        return len(ids)

    async def lock_ticket(self, ticket_id: UUID) -> None:
        """Wait for whoever takes this ticket in from a webhook, also where it does not exist yet."""
        key = int.from_bytes(ticket_id.bytes[:8], signed=True)
        await self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    async def put_sighting(self, spot: Spot, ticket_id: UUID, shown: TicketUpdate, *, opened_it: bool) -> None:
        """Store what a delivery shows of a ticket, and whether that opened it; again it replaces what was stored."""
        delivery_id, place = spot
        values = {
            "delivery_id": delivery_id,
            "place": place,
            "ticket_id": ticket_id,
            "shown": shown.model_dump(mode="json", exclude_defaults=True),
            "opened_it": opened_it,
        }
        new = insert(ticket_snapshots).values(values)
        changed = {
            "ticket_id": new.excluded.ticket_id,
            "shown": new.excluded.shown,
            "opened_it": ticket_snapshots.c.opened_it | new.excluded.opened_it,
        }
        await self._connection.execute(new.on_conflict_do_update(index_elements=["delivery_id", "place"], set_=changed))

    async def drop_pending(self, delivery_id: int) -> dict[int, UUID]:
        """Drop what an earlier try of a delivery has stored of tickets that nothing has opened so far.

        The others: the tickets of that delivery that are taken in, by their places in it.
        """
        seen = ticket_snapshots.c
        mine = seen.delivery_id == delivery_id
        opened = select(tickets.c.ticket_id).where(tickets.c.ticket_id == seen.ticket_id).exists()
        await self._connection.execute(delete(ticket_snapshots).where(mine, ~opened))
        rows = await self._connection.execute(select(seen.place, seen.ticket_id).where(mine))
        return {row.place: row.ticket_id for row in rows}

    async def settle_opened(self, ticket_id: UUID) -> None:
        """Deliveries that lacked what opens this ticket lack it no more: they told of it what they had to tell."""
        table, seen = webhook_deliveries, ticket_snapshots
        others = select(seen.c.place).where(seen.c.delivery_id == table.c.id, seen.c.ticket_id != ticket_id)
        told = select(seen.c.delivery_id).where(seen.c.ticket_id == ticket_id)
        lacking = table.c.id.in_(told) & (table.c.state == "unmapped") & table.c.reason.startswith("missing_")
        await self._update(lacking & ~others.exists(), {"state": "taken", "reason": None, "detail": None})

    async def sightings(self, ticket_id: UUID) -> tuple[dict[Spot, TicketUpdate], bool]:
        """What is stored of how a ticket was seen, and whether one of these sightings opened it."""
        seen = ticket_snapshots.c
        query = select(seen.delivery_id, seen.place, seen.shown, seen.opened_it).where(seen.ticket_id == ticket_id)
        rows = (await self._connection.execute(query)).all()
        found = {(row.delivery_id, row.place): TicketUpdate.model_validate(row.shown, strict=False) for row in rows}
        return found, any(row.opened_it for row in rows)

    async def made_at(self, tenant: str, provider: str, now: datetime) -> datetime:
        """When this integration was first known, in business time: `now`, where it was not."""
        key = {"tenant": tenant, "provider": provider}
        new = insert(integrations).values(**key, made_at=now).on_conflict_do_nothing()
        await self._connection.execute(new)
        query = select(integrations.c.made_at).filter_by(**key)
        found: datetime = (await self._connection.execute(query)).scalar_one()
        return found

    async def _update(self, wanted: ColumnElement[bool], values: Mapping[str, Any]) -> None:
        await self._connection.execute(update(webhook_deliveries).where(wanted).values(**values))


def _delivery(row: Row[Any]) -> WebhookDelivery:
    return WebhookDelivery(
        id=row.id,
        tenant=row.tenant,
        provider=row.provider,
        headers=row.headers,
        body=row.body,
        received_at=row.received_at,
        state=row.state,
        reason=row.reason,
        detail=row.detail,
        attempts=row.attempts,
    )
