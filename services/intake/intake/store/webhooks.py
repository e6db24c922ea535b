"""Queries about webhook deliveries and the creation of integrations. Nothing here commits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, Text, cast, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from intake.domain.mail import IgnoredReason
from intake.domain.webhooks.no_ticket import WebhookIgnoredReason
from intake.domain.webhooks.update import OPENING_FIELDS
from intake.errors import UnmappedReason
from intake.store.tables import INTEGRATIONS, TICKET_UPDATES, WEBHOOK_DELIVERIES

_FORGET_ROWS: Final = 1000
EXCERPT_BYTES: Final = 8_000
"""How many bytes of a body a list shows."""


class WebhookState(StrEnum):
    """The state of a stored delivery.

    waiting: to be processed, for the first time or again. taken: processed. ignored: it has no ticket in scope.
    unmapped: the configuration does not say what it means. forgotten: the retention period has ended, and only its key
    and its ticket states are kept.
    """

    WAITING = "waiting"
    TAKEN = "taken"
    IGNORED = "ignored"
    UNMAPPED = "unmapped"
    FORGOTTEN = "forgotten"


DeliveryReason = UnmappedReason | IgnoredReason | WebhookIgnoredReason
"""Why a delivery is unmapped, or a mail or a webhook ignored."""


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """A delivery as it came. `received_at` is business time; `attempts` counts the failed attempts to process it."""

    id: int
    tenant: str
    provider: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    state: WebhookState
    reason: DeliveryReason | None
    detail: str | None
    attempts: int


class UnmappedCount(NamedTuple):
    """The number of unmapped deliveries, and how many of them say that the tool has switched its webhook off."""

    unmapped: int = 0
    deactivated: int = 0


class LastDelivery(NamedTuple):
    """When the last delivery was stored, and the last one with a ticket, in real time; None if there is none."""

    stored_at: datetime | None
    with_ticket: datetime | None


class WebhookStore:
    """The queries, on one connection whose transaction belongs to the caller."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add_delivery(
        self,
        tenant: str,
        provider: str,
        key: bytes,
        headers: Mapping[str, str],
        body: bytes,
        received_at: datetime,
        retry_after: timedelta,
    ) -> WebhookDelivery | None:
        """Store a delivery that the caller processes now; None if its key is known.

        After `retry_after`, `claim_due` returns it, unless it has been finished by then.
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
            "state": WebhookState.WAITING,
            "attempts": 0,
            "next_attempt_at": now + retry_after,
        }
        unique = ["tenant", "provider", "key"]
        new = insert(WEBHOOK_DELIVERIES).values(values).on_conflict_do_nothing(index_elements=unique)
        row = (await self._connection.execute(new.returning(*WEBHOOK_DELIVERIES.c))).one_or_none()
        return _delivery(row) if row else None

    async def load_delivery(self, delivery_id: int, tenant: str) -> WebhookDelivery | None:
        """That delivery of the tenant, or None."""
        table = WEBHOOK_DELIVERIES
        query = select(table).where(table.c.id == delivery_id, table.c.tenant == tenant)
        row = (await self._connection.execute(query)).one_or_none()
        return _delivery(row) if row else None

    async def claim_due(self, limit: int, retry_after: timedelta) -> list[WebhookDelivery]:
        """Deliveries that are due for an attempt, the oldest first; nobody else claims them for `retry_after`."""
        table = WEBHOOK_DELIVERIES
        due = select(table.c.id).where(table.c.next_attempt_at <= func.clock_timestamp())
        due = due.order_by(table.c.id).limit(limit).with_for_update(skip_locked=True)
        claimed = update(table).where(table.c.id.in_(due.scalar_subquery()))
        rows = await self._connection.execute(
            claimed.values(next_attempt_at=func.clock_timestamp() + retry_after).returning(*table.c)
        )
        return sorted(map(_delivery, rows), key=lambda delivery: delivery.id)

    async def finish(
        self, delivery_id: int, state: WebhookState, reason: DeliveryReason | None, detail: str | None
    ) -> None:
        """Set the state of a processed delivery; it is not attempted again."""
        values = {"state": state, "reason": reason, "detail": detail, "next_attempt_at": None}
        await self._update(WEBHOOK_DELIVERIES.c.id == delivery_id, values)

    async def reschedule(self, delivery_id: int, retry_after: timedelta) -> None:
        """Count a failed attempt, and schedule the next one."""
        table = WEBHOOK_DELIVERIES
        next_attempt_at = func.clock_timestamp() + retry_after
        await self._update(
            table.c.id == delivery_id, {"attempts": table.c.attempts + 1, "next_attempt_at": next_attempt_at}
        )

    async def requeue(
        self,
        tenant: str | None,
        ids: Collection[int] | None,
        states: Collection[WebhookState],
        *,
        provider: str | None = None,
        since: datetime | None = None,
    ) -> list[int]:
        """Schedule the deliveries in these states for processing; returns their ids.

        None selects all tenants, ids, providers and times; `since` is compared with `received_at`.
        """
        table = WEBHOOK_DELIVERIES
        selected: ColumnElement[bool] = table.c.state.in_(states)
        if tenant is not None:
            selected &= table.c.tenant == tenant
        if ids is not None:
            selected &= table.c.id.in_(ids)
        if provider is not None:
            selected &= table.c.provider == provider
        if since is not None:
            selected &= table.c.received_at >= since
        values = {"state": WebhookState.WAITING, "attempts": 0, "next_attempt_at": func.clock_timestamp()}
        rows = await self._connection.execute(update(table).where(selected).values(values).returning(table.c.id))
        return sorted(rows.scalars())

    async def dismiss(self, tenant: str | None, ids: Collection[int], detail: str) -> list[int]:
        """Ignore unmapped deliveries from now on; returns their ids. The reason is kept."""
        table = WEBHOOK_DELIVERIES
        selected = table.c.id.in_(ids) & (table.c.state == WebhookState.UNMAPPED)
        if tenant is not None:
            selected &= table.c.tenant == tenant
        dismissed = update(table).where(selected).values(state=WebhookState.IGNORED, detail=detail)
        return sorted((await self._connection.execute(dismissed.returning(table.c.id))).scalars())

    async def list_in_state(
        self, state: WebhookState, tenant: str | None, reason: DeliveryReason | None, *, after: int, limit: int
    ) -> list[WebhookDelivery]:
        """The deliveries in a state with ids above `after`, the oldest first.

        None selects all tenants or all reasons. Each has the first EXCERPT_BYTES of its body: a mail may have ten
        megabytes.
        """
        table = WEBHOOK_DELIVERIES
        others = [column for column in table.c if column is not table.c.body]
        excerpt = func.substring(table.c.body, 1, EXCERPT_BYTES).label("body")
        query: Select[Any] = select(*others, excerpt).where(table.c.state == state, table.c.id > after)
        if reason is not None:
            query = query.where(table.c.reason == reason)
        if tenant is not None:
            query = query.where(table.c.tenant == tenant)
        rows = await self._connection.execute(query.order_by(table.c.id).limit(limit))
        return [_delivery(row) for row in rows]

    async def count_backlog(self) -> tuple[dict[str, UnmappedCount], int]:
        """The unmapped deliveries by provider, and the number of waiting deliveries."""
        table = WEBHOOK_DELIVERIES
        deactivated = func.count().filter(table.c.reason == UnmappedReason.DEACTIVATED)
        unmapped = select(table.c.provider, func.count().label("unmapped"), deactivated.label("deactivated"))
        unmapped = unmapped.where(table.c.state == WebhookState.UNMAPPED).group_by(table.c.provider)
        waiting = select(func.count()).select_from(table).where(table.c.next_attempt_at.is_not(None))
        rows = await self._connection.execute(unmapped)
        counts = {row.provider: UnmappedCount(row.unmapped, row.deactivated) for row in rows}
        return counts, (await self._connection.execute(waiting)).scalar_one()

    async def last_stored(self, tenant: str, provider: str) -> LastDelivery:
        """When the last delivery of an integration was stored, and the last one that was about a ticket."""
        table = WEBHOOK_DELIVERIES.c
        latest = select(table.stored_at).where(table.tenant == tenant, table.provider == provider)
        latest = latest.order_by(table.stored_at.desc()).limit(1)
        with_ticket = latest.where(table.state.in_((WebhookState.TAKEN, WebhookState.FORGOTTEN)))
        row = (await self._connection.execute(select(latest.scalar_subquery(), with_ticket.scalar_subquery()))).one()
        return LastDelivery(*row)

    async def forget(self, older_than: timedelta) -> int:
        """Drop the content of up to 1000 finished deliveries that are older; returns how many.

        A delivery with ticket updates keeps its key and the stated ticket states. So a late copy of it is still a
        duplicate, and later updates are compared with all states.
        """
        table, updates = WEBHOOK_DELIVERIES, TICKET_UPDATES
        finished = table.c.next_attempt_at.is_(None) & (table.c.state != WebhookState.FORGOTTEN)
        old = select(table.c.id).where(table.c.stored_at < func.clock_timestamp() - older_than, finished)
        old = old.limit(_FORGET_ROWS).with_for_update(skip_locked=True)
        ids = (await self._connection.execute(old)).scalars().all()
        with_updates = select(updates.c.delivery_id).where(updates.c.delivery_id.in_(ids))
        await self._update(table.c.id.in_(with_updates), {"state": WebhookState.FORGOTTEN, "body": b"", "headers": {}})
        state_only = updates.c.content.op("-")(cast(OPENING_FIELDS, ARRAY(Text)))
        await self._connection.execute(update(updates).where(updates.c.delivery_id.in_(ids)).values(content=state_only))
        await self._connection.execute(delete(table).where(table.c.id.in_(ids), table.c.id.not_in(with_updates)))
        return len(ids)

    async def record_integration(self, tenant: str, provider: str, now: datetime) -> datetime:
        """Record an integration as created at `now` if it is new; returns when it was created, in business time."""
        key = {"tenant": tenant, "provider": provider}
        await self._connection.execute(insert(INTEGRATIONS).values(**key, created_at=now).on_conflict_do_nothing())
        query = select(INTEGRATIONS.c.created_at).filter_by(**key)
        created_at: datetime = (await self._connection.execute(query)).scalar_one()
        return created_at

    async def _update(self, selected: ColumnElement[bool], values: Mapping[str, Any]) -> None:
        await self._connection.execute(update(WEBHOOK_DELIVERIES).where(selected).values(**values))


def _delivery(row: Row[Any]) -> WebhookDelivery:
    return WebhookDelivery(
        id=row.id,
        tenant=row.tenant,
        provider=row.provider,
        headers=row.headers,
        body=row.body,
        received_at=row.received_at,
        state=WebhookState(row.state),
        reason=delivery_reason(row.reason) if row.reason else None,
        detail=row.detail,
        attempts=row.attempts,
    )


def delivery_reason(text: str) -> DeliveryReason:
    """The reason with that name. Raises ValueError."""
    kinds = (IgnoredReason, WebhookIgnoredReason)
    return next((kind(text) for kind in kinds if text in set(kind)), None) or UnmappedReason(text)
