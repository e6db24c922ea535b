"""The queue of open deliveries. Each query serves many deliveries; nothing here commits."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Interval,
    SmallInteger,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    column,
    func,
    literal,
    null,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from notifier.domain.delivery import IN_FLIGHT, Delivery, DeliveryState
from notifier.domain.digest import KINDS, MOST_URGENT, PERIOD, AddressLoad, DueDigests
from notifier.store.deliveries import COLUMNS
from notifier.store.tables import DELIVERIES, NOTIFICATIONS, TICKETS, is_any_of


@dataclass(frozen=True, slots=True)
class QueueSize:
    """The number of open deliveries by state, and real seconds.

    `oldest`: since the oldest of them was queued. `overdue`: since an attempt could have started that has not; 0 if
    there is none.
    """

    counts: Mapping[str, int]
    oldest: float
    overdue: float


@dataclass(frozen=True, slots=True)
class QueuedTickets:
    """Locked tickets. `deliveries`: by ticket, in the order of events. `events`: type and event of the notifications of
    all open ones, as stored, by notification id. `now`: the database's clock.
    """

    deliveries: dict[UUID, list[Delivery]]
    events: dict[UUID, tuple[str, bytes]]
    now: datetime


async def lock_most_urgent(connection: AsyncConnection, *, limit: int, severity: int) -> tuple[list[UUID], bool]:
    """Lock the tickets of the `limit` most urgent deliveries that are ready, without those locked elsewhere.

    Of this severity or a more urgent one; severity 1 and higher tiers first. Load what decisions depend on after this.
    Of the reports, which come last and may be large, only the first. Returns the tickets, and whether there may be
    further deliveries that are ready.
    """
    rows = (await connection.execute(_MOST_URGENT, {"limit": limit, "severity": severity})).all()
    reports = [row.ticket_id for row in rows if row.kind == "report"]
    tickets = [row.ticket_id for row in rows if row.kind != "report"]
    return list(dict.fromkeys([*tickets, *reports[:1]])), len(rows) == limit or len(reports) > 1


async def load_tickets(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> QueuedTickets | None:
    """What is known about tickets that are locked; None if they have no deliveries."""
    rows = (await connection.execute(_TICKETS, {"ids": list(ticket_ids)})).all()
    if not rows:
        return None
    found: dict[UUID, list[Delivery]] = {ticket_id: [] for ticket_id in ticket_ids}
    for row in rows:
        delivery = Delivery(*row[: len(COLUMNS)])
        found[delivery.ticket_id].append(delivery)
    events = {row.notification_id: (row.type, row.event) for row in rows if row.event is not None}
    return QueuedTickets(found, events, rows[0].now)


async def lock_items(connection: AsyncConnection, due: DueDigests, *, limit: int) -> list[UUID]:
    """Lock the tickets of up to `limit` mails that leave in these digests, without those locked elsewhere."""
    parameters = {"addresses": list(due.addresses), "ids": list(due.repeated), "limit": limit}
    rows = await connection.execute(_ITEMS, parameters)
    return list(dict.fromkeys(rows.scalars()))


async def count_items(connection: AsyncConnection, digest_ids: Collection[UUID]) -> dict[UUID | None, int]:
    """How many open deliveries each of these digests has that it must be repeated with."""
    if not digest_ids:
        return {}
    return dict((await connection.execute(_SIZES, {"ids": list(digest_ids)})).all())


async def lock_loads(connection: AsyncConnection, addresses: Collection[str]) -> dict[str, AddressLoad]:
    """What these addresses get now. Until the transaction ends, no other one may decide what they get.

    Lock tickets first, and afterwards only those that are not locked elsewhere; this avoids deadlock.
    """
    if not addresses:
        return {}
    parameters = {"addresses": sorted(addresses), "period": PERIOD}
    await connection.execute(_LOCK_ADDRESSES, parameters)
    loads = dict.fromkeys(addresses, AddressLoad())
    for row in await connection.execute(_LOADS, parameters):
        loads[row.address] = AddressLoad(row.singles, row.leaves_at)
    return loads


async def wake(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> None:
    """Make those deliveries of these locked tickets ready that waited for another delivery of the ticket."""
    if ids := list(set(ticket_ids)):
        await connection.execute(_WAKE, {"ids": ids})


async def renew_leases(connection: AsyncConnection, claims: Sequence[Delivery], lease: timedelta) -> None:
    """Prolong the leases of attempts in flight, except where the row is locked: then its result is being saved."""
    await connection.execute(_RENEW, _claims(claims) | {"lease": lease})


async def measure(connection: AsyncConnection) -> QueueSize:
    """The open deliveries."""
    now = func.clock_timestamp()
    is_due = (DELIVERIES.c.ready_at <= now) & DELIVERIES.c.state.not_in(IN_FLIGHT)
    columns = [
        func.count(),
        func.max(func.extract("epoch", now - DELIVERIES.c.created_at)),
        func.max(func.extract("epoch", now - DELIVERIES.c.ready_at)).filter(is_due),
    ]
    query = select(DELIVERIES.c.state, *columns).where(DELIVERIES.c.ready_at.is_not(None)).group_by(DELIVERIES.c.state)
    rows = (await connection.execute(query)).all()
    return QueueSize(
        counts={state: count for state, count, *_ in rows},
        oldest=max((float(age) for _, _, age, _ in rows), default=0.0),
        overdue=max((float(overdue) for *_, overdue in rows if overdue is not None), default=0.0),
    )


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
_IS_CLAIM: Final = (_CLAIMS.c.id == DELIVERIES.c.id) & (_CLAIMS.c.token == DELIVERIES.c.token)
_TICKETS: Final = (
    select(*COLUMNS, NOTIFICATIONS.c.type, NOTIFICATIONS.c.event, func.clock_timestamp().label("now"))
    .outerjoin(NOTIFICATIONS, (NOTIFICATIONS.c.id == DELIVERIES.c.notification_id) & DELIVERIES.c.ready_at.is_not(None))
    .where(is_any_of(DELIVERIES.c.ticket_id, _IDS))
    .order_by(DELIVERIES.c.seq)
)
_MOST_URGENT: Final = (
    select(DELIVERIES.c.ticket_id, DELIVERIES.c.kind)
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
_ADDRESS: Final = func.lower(DELIVERIES.c.email)
_ADDRESSES: Final = bindparam("addresses", type_=ARRAY(Text))
_IS_OPEN: Final = DELIVERIES.c.ready_at.is_not(None)
# Also those of an interrupted attempt that are not marked as ambiguous yet.
_REPEATS: Final = is_any_of(DELIVERIES.c.digest_id, _IDS) & _IS_OPEN
_ITEMS: Final = (
    select(DELIVERIES.c.ticket_id)
    .join(TICKETS, TICKETS.c.ticket_id == DELIVERIES.c.ticket_id)
    .where(or_(_REPEATS, _IS_OPEN & (DELIVERIES.c.state == DeliveryState.HELD) & (any_(_ADDRESSES) == _ADDRESS)))
    .order_by(DELIVERIES.c.seq)
    .limit(bindparam("limit", type_=BigInteger))
    .with_for_update(of=TICKETS, skip_locked=True)
)
_SIZES: Final = select(DELIVERIES.c.digest_id, func.count()).where(_REPEATS).group_by(DELIVERIES.c.digest_id)
_LOCK_ADDRESSES: Final = select(func.pg_advisory_xact_lock(func.hashtextextended(column("address"), 0))).select_from(
    func.unnest(_ADDRESSES).table_valued(column("address", Text)).render_derived(name="addresses")
)
_IS_SINGLE: Final = (
    DELIVERIES.c.digest_id.is_(None)
    & (DELIVERIES.c.severity >= MOST_URGENT)
    & DELIVERIES.c.kind.in_(KINDS)
    & (DELIVERIES.c.redelivery_number == 0)
    & (any_(_ADDRESSES) == _ADDRESS)
)
# Apart, so that each part has its index. A held mail has no `sent_real_at`, one in flight was perhaps ambiguous before.
_RECENT: Final = union_all(
    select(_ADDRESS.label("address"), literal(1).label("single"), null().label("leaves_at")).where(
        _IS_SINGLE,
        DELIVERIES.c.sent_real_at > _NOW - bindparam("period", type_=Interval),
        DELIVERIES.c.state.not_in(IN_FLIGHT),
    ),
    select(
        _ADDRESS,
        case((DELIVERIES.c.state == DeliveryState.HELD, 0), else_=1),
        case((DELIVERIES.c.state == DeliveryState.HELD, DELIVERIES.c.ready_at)),
    ).where(_IS_SINGLE, _IS_OPEN, DELIVERIES.c.state.in_((*IN_FLIGHT, DeliveryState.HELD))),
).subquery()
_LOADS: Final = select(
    _RECENT.c.address,
    func.sum(_RECENT.c.single).label("singles"),
    func.min(_RECENT.c.leaves_at).label("leaves_at"),
).group_by(_RECENT.c.address)
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
