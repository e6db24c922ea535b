"""Sends a refused or bounced mail to the next address (docs/rules.md#5-27). Never commits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.directory import Directory

from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry, Now
from notifier.domain.new_delivery import addresses, next_address
from notifier.store import deliveries, notifications, queue

log = structlog.get_logger(__name__)

_STATES_AFTER_AMBIGUOUS = (
    DeliveryState.CLAIMED,
    DeliveryState.DEFERRED,
    DeliveryState.UNDELIVERABLE,
    DeliveryState.CANCELLED,
)


async def bounce(
    connection: AsyncConnection, directory: Directory, delivery: Delivery, reply: str, now: Now
) -> Delivery | None:
    """Mark a mail that a server had accepted as `bounced`, and queue its next address. Its ticket is locked.

    Returns the bounced delivery; None if nothing changed, because it was not sent, has bounced before, or is being
    sent right now. If the mail is no longer needed, nothing is queued.
    """
    if not _can_bounce(delivery):
        return None
    bounced = replace(
        delivery,
        state=DeliveryState.BOUNCED,
        ready_at=None,
        changed_at=now.business,
        reply=reply,
        token=delivery.token + 1,
    )
    await deliveries.save(connection, [bounced], [JournalEntry.of(bounced)])
    log.warning("mail_bounced", ticket_id=str(delivery.ticket_id), delivery_id=str(delivery.id), reply=reply)
    if not await notifications.load_withdrawal_reasons(connection, [delivery.notification_id]):
        await queue_next_addresses(connection, {bounced: addresses(directory, bounced)}, now)
    await queue.wake(connection, [delivery.ticket_id])
    return bounced


async def queue_next_addresses(connection: AsyncConnection, failed: Mapping[Delivery, Sequence[str]], now: Now) -> None:
    """Queue the next address of deliveries just saved as refused or bounced; the values are all addresses of each.

    Their tickets are locked.
    """
    if not failed:
        return
    tickets = await deliveries.load_tickets(connection, {delivery.ticket_id for delivery in failed})
    followers = [next_address(delivery, tickets[delivery.ticket_id], known, now) for delivery, known in failed.items()]
    for follower in await deliveries.add(connection, followers):
        about = {"ticket_id": str(follower.ticket_id), "delivery_id": str(follower.id), "person": follower.person}
        if follower.state == DeliveryState.UNDELIVERABLE:
            log.error("mail_undeliverable", **about, reply=follower.reply)
        else:
            log.info("next_address_queued", **about, fallback_number=follower.fallback_number)


def _can_bounce(delivery: Delivery) -> bool:
    """Whether a server accepted it, or may have. In DATA it cannot bounce yet: the report must be repeated later."""
    return delivery.state == DeliveryState.SENT or (delivery.ambiguous and delivery.state in _STATES_AFTER_AMBIGUOUS)
