"""Every query: rows in, values out."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.events import EVENT_TYPES, DeadlineEvent, EscalationEvent, Event, Ticket, Tier, event_type
from tocsin.runtime.database.bulk import insert_new, upsert

from escalator.domain.tiers import Case, Ladder, LadderKey, LadderState, Notification, Told
from escalator.store.tables import decisions, handled, ladders, notifications, outbox, steps, tickets

_PAGE = 500


async def lock(connection: AsyncConnection, concerned: Mapping[UUID, Ticket]) -> None:
    """Lock the tickets' rows until the transaction ends, in the order of their ids; new ones are made."""
    rows = [
        {"ticket_id": ticket_id, "tenant": ticket.tenant, "customer_id": ticket.customer.id}
        for ticket_id, ticket in sorted(concerned.items())
    ]
    await upsert(connection, tickets, rows)


async def unhandled(connection: AsyncConnection, events: Sequence[DeadlineEvent]) -> set[UUID]:
    """The ids of those events that were never decided on; from now on they were. Their tickets are locked."""
    rows = {event.event_id: {"event_id": event.event_id, "ticket_id": event.ticket_id} for event in events}
    return {row.event_id for row in await insert_new(connection, handled, list(rows.values()))}


async def load(connection: AsyncConnection, ticket_ids: Collection[UUID]) -> dict[UUID, Case]:
    """What was decided about each ticket; of one that is not known, nothing."""
    wanted = any_(literal(list(ticket_ids), ARRAY(Uuid)))
    told: dict[tuple[UUID, int, int], list[Told]] = defaultdict(list)
    query = select(steps).where(steps.c.ticket_id == wanted).order_by(steps.c.tier["number"].as_integer())
    for row in await connection.execute(query):
        told[row.ticket_id, row.cycle, row.run].append(_told(row))
    found: dict[UUID, dict[LadderKey, Ladder]] = defaultdict(dict)
    for row in await connection.execute(select(ladders).where(ladders.c.ticket_id == wanted)):
        ladder = _ladder(row, told[row.ticket_id, row.cycle, row.run])
        found[row.ticket_id][ladder.key] = ladder
    notified: dict[UUID, list[Notification]] = defaultdict(list)
    about = notifications.c
    query = select(notifications).where(about.ticket_id == wanted).order_by(about.position)
    for row in await connection.execute(query):
        notified[row.ticket_id].append(
            Notification(row.id, row.source, row.cycle, row.run, row.kind, row.clock, row.open, row.stood_down)
        )
    return {ticket_id: Case(found[ticket_id], tuple(notified[ticket_id])) for ticket_id in ticket_ids}


async def save(connection: AsyncConnection, before: Mapping[UUID, Case], after: Mapping[UUID, Case]) -> None:
    """Store where `after` differs from `before`."""
    changed = [
        (ticket_id, ladder, before[ticket_id].ladders.get(ladder.key))
        for ticket_id, case in after.items()
        for ladder in case.ladders.values()
        if before[ticket_id].ladders.get(ladder.key) != ladder
    ]
    await upsert(connection, ladders, [_ladder_row(ticket_id, ladder) for ticket_id, ladder, _ in changed])
    await upsert(
        connection,
        steps,
        [
            _step_row(ticket_id, ladder, told)
            for ticket_id, ladder, known in changed
            for told in ladder.told
            if known is None or told not in known.told
        ],
    )
    await upsert(
        connection,
        notifications,
        [
            _notification_row(ticket_id, notification)
            for ticket_id, case in after.items()
            for notification in case.notifications
            if notification not in before[ticket_id].notifications
        ],
    )


async def publish(connection: AsyncConnection, decided: Sequence[EscalationEvent], at: datetime) -> None:
    """Keep the decisions, made at the business instant `at`, and queue them for the bus, in their order."""
    if not decided:
        return
    rows = [
        {
            "id": event.event_id,
            "ticket_id": event.ticket_id,
            "decided_at": at,
            "type": event_type(event),
            "data": event.model_dump_json(),
        }
        for event in decided
    ]
    await insert_new(connection, decisions, rows)
    await outbox.add(connection, decided)


async def stored_decisions(engine: AsyncEngine, since: datetime) -> AsyncIterator[Sequence[Event]]:
    """Pages of everything that was decided at or after the business instant `since`, in the order of deciding."""
    position = 0
    while True:
        query = (
            select(decisions.c.position, decisions.c.type, decisions.c.data)
            .where(decisions.c.decided_at >= since, decisions.c.position > position)
            .order_by(decisions.c.position)
            .limit(_PAGE)
        )
        async with engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            return
        position = rows[-1].position
        yield [EVENT_TYPES[row.type].model_validate_json(row.data) for row in rows]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which ladders: null does not filter. Of one tenant only. `before` is the position that a cursor names."""

    tenant: str
    ticket_id: UUID | None = None
    customer_id: str | None = None
    tier: int | None = None
    state: LadderState | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A ladder in a list: its place there, and whose it is."""

    position: int
    ticket_id: UUID
    key: LadderKey
    customer_id: str


async def listed(connection: AsyncConnection, which: Filter, limit: int) -> list[Listed]:
    """At most `limit` ladders, the newest first."""
    wanted = {
        ladders.c.ticket_id: which.ticket_id,
        tickets.c.customer_id: which.customer_id,
        ladders.c.tier: which.tier,
        ladders.c.state: which.state,
    }
    query = _LISTED.where(tickets.c.tenant == which.tenant)
    query = query.where(*(column == value for column, value in wanted.items() if value is not None))
    if which.before is not None:
        query = query.where(ladders.c.position < which.before)
    rows = await connection.execute(query.order_by(ladders.c.position.desc()).limit(limit))
    return [Listed(row.position, row.ticket_id, (row.cycle, row.run), row.customer_id) for row in rows]


async def current(connection: AsyncConnection, tenant: str, ticket_id: UUID) -> Listed | None:
    """The ladder of the ticket's last cycle and run; None where it has none, or is another tenant's."""
    query = _LISTED.where(tickets.c.tenant == tenant, ladders.c.ticket_id == ticket_id)
    query = query.order_by(ladders.c.cycle.desc(), ladders.c.run.desc()).limit(1)
    row = (await connection.execute(query)).first()
    return Listed(row.position, row.ticket_id, (row.cycle, row.run), row.customer_id) if row else None


_LISTED = select(ladders.c.position, ladders.c.ticket_id, ladders.c.cycle, ladders.c.run, tickets.c.customer_id).join(
    tickets, tickets.c.ticket_id == ladders.c.ticket_id
)


def _ladder_row(ticket_id: UUID, ladder: Ladder) -> dict[str, Any]:
    return {
        "ticket_id": ticket_id,
        "cycle": ladder.cycle,
        "run": ladder.run,
        "state": ladder.state,
        "kept": ladder.kept,
        "tier": ladder.tier,
        "tiers": _dumped(ladder.tiers),
        "held": ladder.held,
        "next_at": ladder.next_at,
        "exhausted": ladder.exhausted,
        "skipped": _dumped(ladder.skipped),
        "ended_at": ladder.ended_at,
        "end_reason": ladder.end_reason,
    }


def _ladder(row: Row[Any], told: Iterable[Told]) -> Ladder:
    return Ladder(
        cycle=row.cycle,
        run=row.run,
        kept=row.kept,
        tier=row.tier,
        tiers=_tiers(row.tiers),
        told=tuple(told),
        held=row.held,
        next_at=row.next_at,
        exhausted=row.exhausted,
        skipped=_tiers(row.skipped),
        ended_at=row.ended_at,
        end_reason=row.end_reason,
    )


def _step_row(ticket_id: UUID, ladder: Ladder, told: Told) -> dict[str, Any]:
    return {
        "ticket_id": ticket_id,
        "cycle": ladder.cycle,
        "run": ladder.run,
        "step": told.step,
        "tier": told.tier.model_dump(),
        "at": told.at,
        "reason": told.reason,
        "skipped": _dumped(told.skipped),
        "notification": told.notification,
        "voided": told.voided,
    }


def _told(row: Row[Any]) -> Told:
    return Told(
        step=row.step,
        tier=Tier.model_validate(row.tier),
        at=row.at,
        reason=row.reason,
        skipped=_tiers(row.skipped),
        notification=row.notification,
        voided=row.voided,
    )


def _notification_row(ticket_id: UUID, notification: Notification) -> dict[str, Any]:
    return {
        "id": notification.id,
        "ticket_id": ticket_id,
        "source": notification.source,
        "cycle": notification.cycle,
        "run": notification.run,
        "kind": notification.kind,
        "clock": notification.clock,
        "open": notification.open,
        "stood_down": notification.stood_down,
    }


def _dumped(tiers: Iterable[Tier]) -> list[dict[str, Any]]:
    return [tier.model_dump() for tier in tiers]


def _tiers(dumped: Iterable[Any]) -> tuple[Tier, ...]:
    return tuple(Tier.model_validate(tier) for tier in dumped)
