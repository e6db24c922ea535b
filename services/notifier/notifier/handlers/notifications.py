"""Handles the escalator's events: queues mails, cancels them, stands people down. Never commits."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Exhausted, Notify, StandDown, Withdraw
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import TimeSource

from notifier.domain.delivery import Now
from notifier.domain.new_delivery import delivery_for, exhausted_deliveries, stand_down_deliveries
from notifier.store import deliveries, notifications, queue

log = structlog.get_logger(__name__)

_Other = Withdraw | StandDown | Exhausted


class Handlers:
    """The consumer's `on_batch`. A repeated event changes nothing."""

    def __init__(self, clock: TimeSource) -> None:
        self._clock = clock

    async def on_batch(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        events = [got.event for got in batch if isinstance(got.event, Notify | _Other)]
        published = {got.event.event_id: got.published_at for got in batch if isinstance(got.event, Notify)}
        if not events:
            return
        ticket_ids = {event.ticket_id for event in events}
        await notifications.add_and_lock_tickets(connection, ticket_ids)
        now = await deliveries.load_now(connection, self._clock)
        for notifies, others in _groups(events):
            await _queue(connection, notifies, published, now)
            for event in others:
                with structlog.contextvars.bound_contextvars(ticket_id=str(event.ticket_id)):
                    match event:
                        case Withdraw():
                            await _withdraw(connection, event, now)
                        case StandDown():
                            await _stand_down(connection, event, now)
                        case Exhausted():
                            await _exhaust(connection, event, now)


def _groups(
    events: Sequence[Notify | _Other],
) -> Iterator[tuple[list[Notify], list[_Other]]]:
    """The events in their order: consecutive notifies, which are stored together, and the others after them."""
    notifies: list[Notify] = []
    others: list[_Other] = []
    for event in events:
        if isinstance(event, Notify):
            if others:
                yield notifies, others
                notifies, others = [], []
            notifies.append(event)
        else:
            others.append(event)
    yield notifies, others


async def _queue(
    connection: AsyncConnection, notifies: Sequence[Notify], published: Mapping[UUID, datetime | None], now: Now
) -> None:
    """`published`: the real instants at which the notifications were published, as far as they are known."""
    if not notifies:
        return
    new = await notifications.add_notifications(connection, notifies)
    added = {notify.event_id: notify for notify in notifies if notify.event_id in new}
    await deliveries.add(connection, [delivery_for(added[id_], now, published[id_]) for id_ in added])
    # A withdrawal may arrive before its notification.
    reasons = await notifications.load_withdrawal_reasons(connection, new) if new else {}
    for notification_id, reason in reasons.items():
        await deliveries.cancel_unsent(connection, [notification_id], reason, now)
    for notify in added.values():
        about = {"ticket_id": str(notify.ticket_id), "kind": notify.kind, "role": notify.role}
        log.info("notification_received", **about, withdrawn=notify.event_id in reasons)


async def _withdraw(connection: AsyncConnection, event: Withdraw | StandDown, now: Now) -> None:
    await notifications.withdraw(connection, event)
    cancelled = await deliveries.cancel_unsent(connection, event.notifications, event.reason, now)
    await queue.wake(connection, [event.ticket_id])
    log.info("notifications_withdrawn", reason=event.reason, cancelled=cancelled)


async def _stand_down(connection: AsyncConnection, event: StandDown, now: Now) -> None:
    if not await notifications.add_notifications(connection, [event]):
        return
    await _withdraw(connection, event, now)
    mailed = await deliveries.load_of_notifications(connection, event.notifications)
    await deliveries.add(connection, stand_down_deliveries(event, mailed, now))


async def _exhaust(connection: AsyncConnection, event: Exhausted, now: Now) -> None:
    if not event.mail or not await notifications.add_notifications(connection, [event]):
        return
    mails = await deliveries.load_of_notifications(connection, event.notifications)
    await deliveries.add(connection, exhausted_deliveries(event, mails, now))
    reasons = await notifications.load_withdrawal_reasons(connection, [event.event_id])
    for reason in reasons.values():
        await deliveries.cancel_unsent(connection, [event.event_id], reason, now)
    log.info("exhaustion_received", reason=event.reason, notifications=len(event.notifications))
