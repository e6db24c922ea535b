"""Every query of the notifier. Rows in, values out; nothing here commits or asks the time."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import Delivery, Notify, StandDown, Withdraw

from notifier.delivery import State, Stored, told_event
from notifier.tables import OUTBOX, deliveries, journal, notices, tickets, withdrawals

_COLUMNS: Final = [deliveries.c[field.name] for field in fields(Stored)]
_PAGE: Final = 500
_NOTICES: Final[Mapping[str, type[Notify] | type[StandDown]]] = {"notify": Notify, "stand_down": StandDown}


async def add_tickets(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> None:
    """Rows to lock, for tickets that have none yet."""
    rows = [{"ticket_id": ticket_id} for ticket_id in sorted(set(ticket_ids))]
    if rows:
        await connection.execute(upsert(tickets).on_conflict_do_nothing(), rows)


async def lock_tickets(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> None:
    """Lock these tickets' rows. Read what is decided on only after this."""
    await connection.execute(_tickets(ticket_ids).with_for_update())


async def lock_free_tickets(connection: AsyncConnection, ticket_ids: Iterable[UUID]) -> list[UUID]:
    """Lock those of these tickets that nobody else has locked, and return them."""
    rows = await connection.execute(_tickets(ticket_ids).with_for_update(skip_locked=True))
    return list(rows.scalars())


def _tickets(ticket_ids: Iterable[UUID]) -> Any:
    return select(tickets.c.ticket_id).where(tickets.c.ticket_id.in_(list(ticket_ids))).order_by(tickets.c.ticket_id)


async def add_notices(connection: AsyncConnection, added: Sequence[Notify | StandDown]) -> set[UUID]:
    """Keep notifies and stand_downs; the ids of those that were not taken in before."""
    rows = [
        {
            "id": notice.event_id,
            "ticket_id": notice.ticket_id,
            "type": "notify" if isinstance(notice, Notify) else "stand_down",
            "event": notice.model_dump_json().encode(),
        }
        for notice in added
    ]
    statement = upsert(notices).on_conflict_do_nothing().returning(notices.c.id)
    return set((await connection.execute(statement, rows)).scalars())


async def open_notices(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> dict[UUID, Notify | StandDown]:
    """What the open deliveries of some tickets tell, by its id."""
    query = (
        select(notices.c.id, notices.c.type, notices.c.event)
        .join(deliveries, deliveries.c.notification_id == notices.c.id)
        .where(deliveries.c.ticket_id.in_(list(ticket_ids)), deliveries.c.ready_at.is_not(None))
        .distinct()
    )
    rows = await connection.execute(query)
    return {row.id: _NOTICES[row.type].model_validate_json(row.event) for row in rows}


async def withdraw(connection: AsyncConnection, event: Withdraw | StandDown) -> None:
    """Remember that these notifications are not needed any more; the latest event to say so counts."""
    rows = [
        {"notification_id": id_, "event_id": event.event_id, "reason": event.reason}
        for id_ in sorted(set(event.notifications))
    ]
    if rows:
        statement = upsert(withdrawals)
        changes = {"event_id": statement.excluded.event_id, "reason": statement.excluded.reason}
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["notification_id"], set_=changes), rows
        )


async def withdrawal_reasons(connection: AsyncConnection, notification_ids: Collection[UUID]) -> dict[UUID, str]:
    """Why notifications are not needed any more, of those that are not."""
    query = select(withdrawals.c.notification_id, withdrawals.c.reason).where(
        withdrawals.c.notification_id.in_(list(notification_ids))
    )
    return {row.notification_id: row.reason for row in await connection.execute(query)}


async def add_deliveries(connection: AsyncConnection, added: Sequence[Mapping[str, Any]]) -> None:
    """New deliveries, in this order, as far as their ids are new. All give the same columns."""
    if added:
        statement = upsert(deliveries).values(ready_at=func.clock_timestamp()).on_conflict_do_nothing()
        rows = await connection.execute(statement.returning(*_COLUMNS), list(added))
        await _write_journal(connection, [Stored(**row) for row in rows.mappings()])


async def of_notifications(connection: AsyncConnection, ids: Collection[UUID]) -> list[Stored]:
    """The deliveries of some notifications, in the order of events."""
    return await _select(connection, deliveries.c.notification_id.in_(list(ids)))


async def of_tickets(connection: AsyncConnection, ids: Collection[UUID]) -> list[Stored]:
    """All deliveries of some tickets, in the order of events."""
    return await _select(connection, deliveries.c.ticket_id.in_(list(ids)))


async def cancel_unsent(connection: AsyncConnection, ids: Collection[UUID], reason: str, at: datetime) -> list[Stored]:
    """Cancel what of these notifications was not handed to a server yet. What is in DATA is left to its attempt.

    A claimed one is taken from its worker, which finds that out before DATA.
    """
    statement = (
        update(deliveries)
        .where(
            deliveries.c.notification_id.in_(list(ids)),
            deliveries.c.state.in_(("queued", "deferred", "claimed")),
        )
        .values(state="cancelled", ready_at=None, changed_at=at, reply=reason, token=deliveries.c.token + 1)
        .returning(*_COLUMNS)
    )
    cancelled = [Stored(**row) for row in (await connection.execute(statement)).mappings()]
    await tell(connection, sorted(cancelled, key=lambda delivery: delivery.seq))
    return cancelled


async def tickets_with_work(connection: AsyncConnection, limit: int) -> list[UUID]:
    """The tickets of the most urgent deliveries whose time has come: severity 1 and higher tiers first."""
    query = (
        select(deliveries.c.ticket_id)
        .where(deliveries.c.ready_at.is_not(None), deliveries.c.ready_at <= func.clock_timestamp())
        .order_by(deliveries.c.severity, text("coalesce(tier, 0) DESC"), deliveries.c.seq)
        .limit(limit)
    )
    return list(dict.fromkeys((await connection.execute(query)).scalars()))


async def change(connection: AsyncConnection, delivery: Stored, **changes: Any) -> Stored:
    """Write changes of a delivery whose ticket is locked, and return it as it is then."""
    await connection.execute(update(deliveries).where(deliveries.c.id == delivery.id).values(**changes))
    return replace(delivery, **changes)


async def wake_ticket(connection: AsyncConnection, ticket_id: UUID) -> None:
    """Let those that waited behind another delivery of the ticket be looked at again."""
    await connection.execute(
        update(deliveries)
        .where(
            deliveries.c.ticket_id == ticket_id,
            deliveries.c.state == "queued",
            deliveries.c.ready_at > func.clock_timestamp(),
        )
        .values(ready_at=func.clock_timestamp())
    )


async def enter_data(
    connection: AsyncConnection, delivery: Stored, lease: timedelta, message: Mapping[str, Any]
) -> bool:
    """Claimed -> in_data, with the lease begun anew. False: it was cancelled or taken over, and must not be sent."""
    entered = (
        update(deliveries)
        .where(deliveries.c.id == delivery.id, deliveries.c.token == delivery.token, deliveries.c.state == "claimed")
        .values(state="in_data", ready_at=func.clock_timestamp() + lease, **message)
        .returning(*_COLUMNS)
    )
    row = (await connection.execute(entered)).mappings().first()
    if row is None:
        return False
    await _write_journal(connection, [Stored(**row)])
    return True


async def in_flight(connection: AsyncConnection, delivery: Stored) -> tuple[Stored, datetime, bool] | None:
    """The delivery as it is now, when that is (real time), and whether it is not needed any more.

    None where its claim was lost.
    """
    unneeded = select(withdrawals.c.event_id).where(withdrawals.c.notification_id == deliveries.c.notification_id)
    query = select(*_COLUMNS, func.clock_timestamp().label("now"), unneeded.exists().label("withdrawn")).where(
        deliveries.c.id == delivery.id,
        deliveries.c.token == delivery.token,
        deliveries.c.state.in_(("claimed", "in_data")),
    )
    row = (await connection.execute(query)).mappings().first()
    if row is None:
        return None
    columns = dict(row)
    now, withdrawn = columns.pop("now"), columns.pop("withdrawn")
    return Stored(**columns), now, withdrawn


async def renew(connection: AsyncConnection, claims: Collection[tuple[UUID, int]], lease: timedelta) -> None:
    """Prolong the leases of attempts that are still going on."""
    held = [and_(deliveries.c.id == id_, deliveries.c.token == token) for id_, token in claims]
    if held:
        renewed = update(deliveries).where(or_(*held), deliveries.c.state.in_(("claimed", "in_data")))
        await connection.execute(renewed.values(ready_at=func.clock_timestamp() + lease))


async def tell(connection: AsyncConnection, told: Sequence[Stored]) -> None:
    """Journal the states these deliveries have reached, and queue the events that tell of them."""
    events = [told_event(delivery) for delivery in told]
    await _write_journal(connection, told, events)
    await OUTBOX.add(connection, events)


async def journal_ambiguous(connection: AsyncConnection, delivery: Stored) -> None:
    """Note that the server may have taken this attempt."""
    await connection.execute(insert(journal), [_entry(delivery, "ambiguous", None)])


async def note(connection: AsyncConnection, delivery: Stored) -> None:
    """Journal the state a delivery has reached, without an event."""
    await _write_journal(connection, [delivery])


async def _write_journal(
    connection: AsyncConnection, reached: Sequence[Stored], events: Sequence[Delivery] | None = None
) -> None:
    told: Sequence[Delivery | None] = events or [None] * len(reached)
    rows = [_entry(delivery, delivery.state, event) for delivery, event in zip(reached, told, strict=True)]
    if rows:
        await connection.execute(insert(journal), rows)


def _entry(delivery: Stored, entry: str, event: Delivery | None) -> dict[str, Any]:
    return {
        "delivery_id": delivery.id,
        "entry": entry,
        "attempts": delivery.attempts,
        "at": delivery.changed_at,
        "reply": delivery.reply,
        "event": event.model_dump_json().encode() if event else None,
    }


async def listed(
    connection: AsyncConnection,
    tenant: str,
    *,
    ticket_id: UUID | None,
    recipient: str | None,
    state: State | None,
    after: int,
    limit: int,
) -> list[Stored]:
    """A page of a tenant's deliveries, oldest first. `recipient` is an address or a person of the directory."""
    where = and_(deliveries.c.tenant == tenant, deliveries.c.seq > after)
    if ticket_id is not None:
        where = and_(where, deliveries.c.ticket_id == ticket_id)
    if recipient is not None:
        where = and_(where, or_(func.lower(deliveries.c.email) == recipient.lower(), deliveries.c.person == recipient))
    if state is not None:
        where = and_(where, deliveries.c.state == state)
    return await _select(connection, where, limit)


async def queue(connection: AsyncConnection) -> tuple[dict[str, int], float]:
    """How many deliveries are open, by state, and the real age in seconds of the oldest (0 when none)."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(deliveries.c.created_at))
    query = (
        select(deliveries.c.state, func.count().label("count"), age.label("age"))
        .where(deliveries.c.ready_at.is_not(None))
        .group_by(deliveries.c.state)
    )
    rows = (await connection.execute(query)).all()
    return {row.state: row[1] for row in rows}, max((float(row.age) for row in rows), default=0.0)


async def told_since(engine: AsyncEngine, since: datetime) -> AsyncIterator[list[Delivery]]:
    """The delivery events told at or after the business instant `since`, in order, page by page."""
    after = 0
    while True:
        query = (
            select(journal.c.id, journal.c.event)
            .where(journal.c.event.is_not(None), journal.c.at >= since, journal.c.id > after)
            .order_by(journal.c.id)
            .limit(_PAGE)
        )
        async with engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            return
        after = rows[-1].id
        yield [Delivery.model_validate_json(row.event) for row in rows]


async def _select(connection: AsyncConnection, where: ColumnElement[bool], limit: int | None = None) -> list[Stored]:
    rows = await connection.execute(select(*_COLUMNS).where(where).order_by(deliveries.c.seq).limit(limit))
    return [Stored(**row) for row in rows.mappings()]
