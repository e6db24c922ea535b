"""What an event of the escalator does: load, decide, save. Runs in the batch's transaction; never commits."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Notify, StandDown, Withdraw
from tocsin.runtime.database.engine import clock_timestamp, on_commit
from tocsin.runtime.kafka.consumer import Received
from tocsin.runtime.process.clock import TimeSource

from notifier import metrics, store
from notifier.domain.delivery import Stored, notify_delivery_id, occasion, stand_down_delivery_id

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Now:
    real: datetime
    business: datetime


class Handlers:
    """The consumer's `on_batch`. An event taken in before changes nothing."""

    def __init__(self, clock: TimeSource) -> None:
        self._clock = clock

    async def on_batch(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        events = [got.event for got in batch if isinstance(got.event, Notify | Withdraw | StandDown)]
        if not events:
            return
        ticket_ids = {event.ticket_id for event in events}
        await store.add_tickets(connection, ticket_ids)
        await store.lock_tickets(connection, ticket_ids)
        real = await clock_timestamp(connection)
        now = _Now(real, self._clock.business(real))
        for notifies, others in _runs(events):
            await _queue(connection, notifies, now)
            for event in others:
                with structlog.contextvars.bound_contextvars(ticket_id=str(event.ticket_id)):
                    if isinstance(event, Withdraw):
                        await _withdraw(connection, event, now)
                    else:
                        await _stand_down(connection, event, now)


def _runs(events: Sequence[Notify | Withdraw | StandDown]) -> Iterator[tuple[list[Notify], list[Withdraw | StandDown]]]:
    """The events in their order, as notifies in a row (they are stored together) and what follows them."""
    notifies: list[Notify] = []
    others: list[Withdraw | StandDown] = []
    for event in events:
        if isinstance(event, Notify):
            if others:
                yield notifies, others
                notifies, others = [], []
            notifies.append(event)
        else:
            others.append(event)
    yield notifies, others


async def _queue(connection: AsyncConnection, notifies: Sequence[Notify], now: _Now) -> None:
    if not notifies:
        return
    new = await store.add_notices(connection, notifies)
    added = {notify.event_id: notify for notify in notifies if notify.event_id in new}
    rows = [
        _row(notify, now)
        | {
            "id": notify_delivery_id(notify.ticket_id, notify.event_id),
            "kind": notify.kind,
            "step": notify.step,
            "tier": notify.tier.number if notify.tier else None,
            "role": notify.role,
            "role_title": notify.role_title,
        }
        for notify in added.values()
    ]
    await store.add_deliveries(connection, rows)
    reasons = await store.withdrawal_reasons(connection, new) if new else {}
    for notification_id, reason in reasons.items():
        await _cancel(connection, [notification_id], reason, now)
    for notify in added.values():
        needed = notify.event_id not in reasons
        log.info(
            "notification_taken_in", ticket_id=str(notify.ticket_id), kind=notify.kind, role=notify.role, needed=needed
        )


async def _withdraw(connection: AsyncConnection, event: Withdraw | StandDown, now: _Now) -> None:
    await store.withdraw(connection, event)
    cancelled = await _cancel(connection, event.notifications, event.reason, now)
    await store.wake_tickets(connection, [event.ticket_id])
    log.info("notifications_withdrawn", reason=event.reason, cancelled=cancelled)


async def _cancel(connection: AsyncConnection, notifications: Collection[UUID], reason: str, now: _Now) -> int:
    cancelled = len(await store.cancel_unsent(connection, notifications, reason, now.business))
    on_commit(connection, lambda: metrics.EMAILS.labels("cancelled").inc(cancelled))
    return cancelled


async def _stand_down(connection: AsyncConnection, event: StandDown, now: _Now) -> None:
    """One mail to each mailbox that was mailed; where one is being mailed right now, it waits for what comes of that.

    A person may have been mailed at more than one address, the group address of their role among them.
    """
    if not await store.add_notices(connection, [event]):
        return
    await _withdraw(connection, event, now)
    mailed: dict[tuple[str, str], Stored] = {}
    for delivery in await store.of_notifications(connection, event.notifications):
        if delivery.addressee is not None and (delivery.may_have_arrived or delivery.state == "in_data"):
            mailed[delivery.addressee.person, delivery.addressee.email.lower()] = delivery
    rows = [
        _row(event, now)
        | {
            "id": stand_down_delivery_id(event.ticket_id, event.event_id, person, mailbox),
            "kind": "stand_down",
            "occasion": f"{occasion(event)}/{mailbox}",
            "tier": delivery.tier,
            "role": delivery.role,
            "role_title": delivery.role_title,
            "person": person,
            "name": delivery.name,
            "email": delivery.email,
            "rule": delivery.rule,
        }
        for (person, mailbox), delivery in mailed.items()
    ]
    await store.add_deliveries(connection, rows)


def _row(notice: Notify | StandDown, now: _Now) -> dict[str, Any]:
    return {
        "notification_id": notice.event_id,
        "tenant": notice.ticket.tenant,
        "ticket_id": notice.ticket_id,
        "customer_id": notice.ticket.customer.id,
        "cycle": notice.cycle,
        "run": notice.run,
        "severity": notice.severity,
        "occasion": occasion(notice),
        "scheduled_at": notice.at,
        "state": "queued",
        "ready_at": now.real,
        "queued_at": now.business,
        "changed_at": now.business,
    }
