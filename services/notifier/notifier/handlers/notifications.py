"""Handles the events that request mails: queues mails, cancels them, stands people down. Never commits."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Exhausted, Notify, ReportReady, StandDown, Withdraw
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import TimeSource

from notifier.domain.delivery import Delivery, Now
from notifier.domain.new_delivery import delivery_for, exhausted_deliveries, report_delivery, stand_down_deliveries
from notifier.store import deliveries, notifications, queue

log = structlog.get_logger(__name__)

_New = Notify | ReportReady
_Other = Withdraw | StandDown | Exhausted


class Handlers:
    """The consumer's `on_batch`. A repeated event changes nothing."""

    def __init__(self, clock: TimeSource) -> None:
        self._clock = clock

    async def on_batch(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        events = [got.event for got in batch if isinstance(got.event, _New | _Other)]
        published = {got.event.event_id: got.published_at for got in batch if isinstance(got.event, _New)}
        if not events:
            return
        ticket_ids = {event.ticket_id for event in events}
        await notifications.add_and_lock_tickets(connection, ticket_ids)
        now = await deliveries.load_now(connection, self._clock)
        for requests, others in _groups(events):
            await _queue(connection, requests, published, now)
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
    events: Sequence[_New | _Other],
) -> Iterator[tuple[list[_New], list[_Other]]]:
    """The events in their order: consecutive new ones, which are stored together, and the others after them."""
    requests: list[_New] = []
    others: list[_Other] = []
    for event in events:
        if isinstance(event, _New):
            if others:
                yield requests, others
                requests, others = [], []
            requests.append(event)
        else:
            others.append(event)
    yield requests, others


async def _queue(
    connection: AsyncConnection, requests: Sequence[_New], published: Mapping[UUID, datetime | None], now: Now
) -> None:
    """`published`: the real instants at which the notifications were published, as far as they are known."""
    if not requests:
        return
    new = await notifications.add_notifications(connection, requests)
    added = {request.event_id: request for request in requests if request.event_id in new}
    await deliveries.add(connection, [_delivery(added[id_], published[id_], now) for id_ in added])
    # A withdrawal may arrive before its notification.
    reasons = await notifications.load_withdrawal_reasons(connection, new) if new else {}
    for notification_id, reason in reasons.items():
        await deliveries.cancel_unsent(connection, [notification_id], reason, now)
    for request in added.values():
        if isinstance(request, ReportReady):
            customer = request.customer.id if request.customer else None
            log.info("report_received", month=request.month, customer=customer, person=request.to)
        else:
            about = {"ticket_id": str(request.ticket_id), "kind": request.kind, "role": request.role}
            log.info("notification_received", **about, withdrawn=request.event_id in reasons)


def _delivery(request: _New, published_at: datetime | None, now: Now) -> Delivery:
    if isinstance(request, ReportReady):
        return report_delivery(request, now, published_at)
    return delivery_for(request, now, published_at)


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
