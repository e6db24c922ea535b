"""The queue of open deliveries. Each query serves many deliveries; nothing here commits."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Interval,
    SmallInteger,
    Text,
    Uuid,
    bindparam,
    column,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.domain.delivery import IN_FLIGHT, Delivery, DeliveryState, JournalEntry
from notifier.store import journal
from notifier.store.deliveries import COLUMNS
from notifier.store.notifications import lock_tickets
from notifier.store.tables import DELIVERIES, TICKETS, is_any_of


async def lock_most_urgent(connection: AsyncConnection, *, limit: int, severity: int) -> list[UUID]:
    """Lock the tickets of the `limit` most urgent deliveries that are ready, without those locked elsewhere.

    Of this severity or a more urgent one; severity 1 and higher tiers first. Load what decisions depend on after this.
    """
    rows = await connection.execute(_MOST_URGENT, {"limit": limit, "severity": severity})
    return list(dict.fromkeys(rows.scalars()))


async def enter_data(connection: AsyncConnection, claims: Sequence[Delivery], lease: timedelta) -> set[UUID]:
    """Move claimed deliveries to `in_data`, with a new lease, `message_id` and `late`.

    Returns the ids of those that may be sent; the others were cancelled, or claimed by another process.
    """
    await lock_tickets(connection, (claim.ticket_id for claim in claims))
    messages = {
        "message_ids": [claim.message_id for claim in claims],
        "lates": [claim.late for claim in claims],
        "lease": lease,
    }
    entered = [Delivery(*row) for row in await connection.execute(_ENTER_DATA, _claims(claims) | messages)]
    await journal.record(connection, [JournalEntry.of(delivery) for delivery in entered])
    return {delivery.id for delivery in entered}


async def load_claimed(connection: AsyncConnection, claims: Sequence[Delivery]) -> dict[UUID, Delivery]:
    """The deliveries whose claims still hold, as they are now, by id; their tickets are locked."""
    await lock_tickets(connection, (claim.ticket_id for claim in claims))
    return {row[0]: Delivery(*row) for row in await connection.execute(_CLAIMED, _claims(claims))}


async def wake(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> None:
    """Make those deliveries of these locked tickets ready that waited for another delivery of the ticket."""
    if ids := list(set(ticket_ids)):
        await connection.execute(_WAKE, {"ids": ids})


async def renew_leases(connection: AsyncConnection, claims: Sequence[Delivery], lease: timedelta) -> None:
    """Prolong the leases of attempts in flight, except where the row is locked: then its result is being saved."""
    await connection.execute(_RENEW, _claims(claims) | {"lease": lease})


async def measure(connection: AsyncConnection) -> tuple[dict[str, int], float]:
    """The number of open deliveries by state, and the real age of the oldest in seconds (0 if there is none)."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(DELIVERIES.c.created_at))
    query = (
        select(DELIVERIES.c.state, func.count(), age)
        .where(DELIVERIES.c.ready_at.is_not(None))
        .group_by(DELIVERIES.c.state)
    )
    rows = (await connection.execute(query)).all()
    return {state: count for state, count, _ in rows}, max((float(age) for *_, age in rows), default=0.0)


def _claims(claims: Sequence[Delivery]) -> dict[str, Any]:
    return {"ids": [claim.id for claim in claims], "tokens": [claim.token for claim in claims]}


# Built once: a burst runs these statements some thousand times a minute.
_IDS: Final = bindparam("ids", type_=ARRAY(Uuid))
_LEASE: Final = bindparam("lease", type_=Interval)
_NOW: Final = func.clock_timestamp()
_CLAIMS: Final = (
    func.unnest(_IDS, bindparam("tokens", type_=ARRAY(BigInteger)))
    .table_valued(column("id", Uuid), column("token", BigInteger))
    .render_derived(name="claims")
)
_MESSAGES: Final = (
    func.unnest(
        _IDS,
        bindparam("tokens", type_=ARRAY(BigInteger)),
        bindparam("message_ids", type_=ARRAY(Text)),
        bindparam("lates", type_=ARRAY(Boolean)),
    )
    .table_valued(column("id", Uuid), column("token", BigInteger), column("message_id", Text), column("late", Boolean))
    .render_derived(name="messages")
)
_IS_CLAIM: Final = (_CLAIMS.c.id == DELIVERIES.c.id) & (_CLAIMS.c.token == DELIVERIES.c.token)
_MOST_URGENT: Final = (
    select(DELIVERIES.c.ticket_id)
    .join(TICKETS, TICKETS.c.ticket_id == DELIVERIES.c.ticket_id)
    .where(
        DELIVERIES.c.ready_at.is_not(None),
        DELIVERIES.c.ready_at <= func.statement_timestamp(),
        DELIVERIES.c.severity <= bindparam("severity", type_=SmallInteger),
    )
    .order_by(DELIVERIES.c.severity, text("coalesce(deliveries.tier, 0) DESC"), DELIVERIES.c.seq)
    .limit(bindparam("limit", type_=BigInteger))
    .with_for_update(of=TICKETS, skip_locked=True)
)
_ENTER_DATA: Final = (
    update(DELIVERIES)
    .where(
        DELIVERIES.c.id == _MESSAGES.c.id,
        DELIVERIES.c.token == _MESSAGES.c.token,
        DELIVERIES.c.state == DeliveryState.CLAIMED,
    )
    .values(
        state=DeliveryState.IN_DATA,
        ready_at=_NOW + _LEASE,
        message_id=_MESSAGES.c.message_id,
        late=_MESSAGES.c.late,
    )
    .returning(*COLUMNS)
)
_CLAIMED: Final = select(*COLUMNS).join(_CLAIMS, _IS_CLAIM).where(DELIVERIES.c.state.in_(IN_FLIGHT))
_WAKE: Final = (
    update(DELIVERIES)
    .where(
        is_any_of(DELIVERIES.c.ticket_id, _IDS),
        DELIVERIES.c.state == DeliveryState.QUEUED,
        DELIVERIES.c.ready_at > _NOW,
    )
    .values(ready_at=_NOW)
)
_UNLOCKED: Final = (
    select(DELIVERIES.c.seq)
    .join(_CLAIMS, _IS_CLAIM)
    .where(DELIVERIES.c.state.in_(IN_FLIGHT))
    .with_for_update(of=DELIVERIES, skip_locked=True)
    .cte("unlocked")
)
_RENEW: Final = update(DELIVERIES).where(DELIVERIES.c.seq == _UNLOCKED.c.seq).values(ready_at=_NOW + _LEASE)
