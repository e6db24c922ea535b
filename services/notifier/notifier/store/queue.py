"""What the delivery worker reads and writes: each query serves many deliveries at once.

The statements are built once: a burst runs them some thousand times a minute.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import ValidationError
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
from tocsin.events import Notify, StandDown

from notifier.domain.delivery import Entering, Held, Key, Noted, Stored
from notifier.store.tables import deliveries, notices, tickets, withdrawals
from notifier.store.writes import COLUMNS, among, lock_tickets, note

log = structlog.get_logger(__name__)

_NOTICES: Final[dict[str, type[Notify] | type[StandDown]]] = {"notify": Notify, "stand_down": StandDown}


async def lock_urgent(connection: AsyncConnection, limit: int, severity: int) -> list[UUID]:
    """The tickets of the `limit` most urgent deliveries whose time has come, locked, without those locked elsewhere.

    Of this severity and more urgent ones. Severity 1 and higher tiers first. Read what is decided on only after this.
    """
    rows = await connection.execute(_URGENT, {"limit": limit, "severity": severity})
    return list(dict.fromkeys(rows.scalars()))


async def of_tickets(
    connection: AsyncConnection, ids: Collection[UUID]
) -> tuple[dict[UUID, list[Stored]], datetime | None]:
    """All deliveries of some tickets by ticket, in the order of events; and the real instant (null: none)."""
    found: dict[UUID, list[Stored]] = {}
    real_now: datetime | None = None
    for row in await connection.execute(_OF_TICKETS, {"ids": list(ids)}):
        *columns, real_now = row
        delivery = Stored(*columns)
        found.setdefault(delivery.ticket_id, []).append(delivery)
    return found, real_now


async def open_notices(connection: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, Notify | StandDown]:
    """Notifies and stand_downs by their ids, without those that cannot be read any more."""
    found: dict[UUID, Notify | StandDown] = {}
    for row in await connection.execute(_BY_ID, {"ids": list(ids)}):
        try:
            found[row.id] = _NOTICES[row.type].model_validate_json(row.event)
        except (KeyError, ValidationError) as error:
            log.error("stored_notice_cannot_be_read", notification_id=str(row.id), error=type(error).__name__)
    return found


async def enter_data(connection: AsyncConnection, entering: Sequence[Entering], lease: timedelta) -> set[UUID]:
    """Claimed -> in_data, with the lease begun anew; the ids of those that may be sent.

    The others were cancelled or taken over.
    """
    await lock_tickets(connection, (one.key.ticket_id for one in entering))
    values = {
        **_given(one.key for one in entering),
        "message_ids": [one.message_id for one in entering],
        "lates": [one.late for one in entering],
        "lease": lease,
    }
    entered = [Stored(*row) for row in await connection.execute(_ENTER, values)]
    await note(connection, [Noted(delivery, "in_data") for delivery in entered])
    return {delivery.id for delivery in entered}


async def held(connection: AsyncConnection, keys: Sequence[Key]) -> dict[UUID, Held]:
    """Those of these attempts whose claim still holds, their tickets locked, as they are now."""
    await lock_tickets(connection, (key.ticket_id for key in keys))
    rows = await connection.execute(_HELD, _given(keys))
    found = [Held(Stored(*columns), real_now, withdrawn, others) for *columns, real_now, withdrawn, others in rows]
    return {one.delivery.id: one for one in found}


async def wake_tickets(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> None:
    """Let those that waited behind another delivery of these tickets, which are locked, be looked at again."""
    if ids := list(set(ticket_ids)):
        await connection.execute(_WAKE, {"ids": ids})


async def renew(connection: AsyncConnection, keys: Sequence[Key], lease: timedelta) -> None:
    """Prolong the leases of attempts that are still going on.

    It waits for no lock, its rows being in no order: where one is held, an outcome or an end is being written.
    """
    await connection.execute(_RENEW, {**_given(keys), "lease": lease})


def _given(keys: Iterable[Key]) -> dict[str, Any]:
    pairs = [(key.id, key.token) for key in keys]
    return {"ids": [id_ for id_, _ in pairs], "tokens": [token for _, token in pairs]}


_IDS: Final = bindparam("ids", type_=ARRAY(Uuid))
_LEASE: Final = bindparam("lease", type_=Interval)
_CLOCK: Final = func.clock_timestamp()
_IN_FLIGHT: Final = deliveries.c.state.in_(("claimed", "in_data"))
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

_URGENT: Final = (
    select(deliveries.c.ticket_id)
    .join(tickets, tickets.c.ticket_id == deliveries.c.ticket_id)
    .where(
        deliveries.c.ready_at.is_not(None),
        deliveries.c.ready_at <= func.statement_timestamp(),
        deliveries.c.severity <= bindparam("severity", type_=SmallInteger),
    )
    .order_by(deliveries.c.severity, text("coalesce(deliveries.tier, 0) DESC"), deliveries.c.seq)
    .limit(bindparam("limit", type_=BigInteger))
    .with_for_update(of=tickets, skip_locked=True)
)
_OF_TICKETS: Final = (
    select(*COLUMNS, func.statement_timestamp()).where(among(deliveries.c.ticket_id, _IDS)).order_by(deliveries.c.seq)
)
_BY_ID: Final = select(notices.c.id, notices.c.type, notices.c.event).where(among(notices.c.id, _IDS))
_ENTER: Final = (
    update(deliveries)
    .where(deliveries.c.id == _MESSAGES.c.id, deliveries.c.token == _MESSAGES.c.token, deliveries.c.state == "claimed")
    .values(state="in_data", ready_at=_CLOCK + _LEASE, message_id=_MESSAGES.c.message_id, late=_MESSAGES.c.late)
    .returning(*COLUMNS)
)
_OTHER: Final = deliveries.alias("other")
_HELD: Final = (
    select(
        *COLUMNS,
        func.statement_timestamp(),
        select(withdrawals.c.event_id).where(withdrawals.c.notification_id == deliveries.c.notification_id).exists(),
        select(_OTHER.c.seq).where(_OTHER.c.ticket_id == deliveries.c.ticket_id, _OTHER.c.state == "queued").exists(),
    )
    .join(_CLAIMS, (_CLAIMS.c.id == deliveries.c.id) & (_CLAIMS.c.token == deliveries.c.token))
    .where(_IN_FLIGHT)
)
_WAKE: Final = (
    update(deliveries)
    .where(among(deliveries.c.ticket_id, _IDS), deliveries.c.state == "queued", deliveries.c.ready_at > _CLOCK)
    .values(ready_at=_CLOCK)
)
_FREE: Final = (
    select(deliveries.c.seq)
    .join(_CLAIMS, (_CLAIMS.c.id == deliveries.c.id) & (_CLAIMS.c.token == deliveries.c.token))
    .where(_IN_FLIGHT)
    .with_for_update(of=deliveries, skip_locked=True)
    .cte("free")
)
_RENEW: Final = update(deliveries).where(deliveries.c.seq == _FREE.c.seq).values(ready_at=_CLOCK + _LEASE)
