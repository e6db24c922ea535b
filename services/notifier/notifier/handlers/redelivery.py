"""Sends a mail once more because an administrator requested it (docs/rules.md#5-26). Never commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.directory import Directory
from tocsin.runtime.process.clock import TimeSource

from notifier.domain.delivery import Delivery, DeliveryState
from notifier.domain.new_delivery import redelivery, redelivery_id
from notifier.errors import DeliveryNotFoundError, RedeliveryKeyReusedError, RedeliveryRefusedError
from notifier.store import deliveries, journal, notifications

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RedeliveryOrder:
    """Who requests the redelivery, as the mail and the journal show it, and why. `key` makes a repeat harmless."""

    by: str
    reason: str | None = None
    key: str | None = None

    @property
    def reply(self) -> str:
        """The reply of its first journal entry."""
        return f"requested by {self.by}" + (f": {self.reason}" if self.reason else "")


async def redeliver(
    connection: AsyncConnection,
    clock: TimeSource,
    directory: Directory | None,
    tenant: str,
    delivery_id: UUID,
    order: RedeliveryOrder,
) -> tuple[Delivery, bool]:
    """Queue a mail of this tenant once more: to its person, at the first address that they have now.

    Returns the redelivery, and whether it is new (false: the same `key` requested it before). Raises
    DeliveryNotFoundError, RedeliveryRefusedError and RedeliveryKeyReusedError.
    """
    named = await deliveries.load_delivery(connection, tenant, delivery_id)
    if named is None:
        raise DeliveryNotFoundError
    await notifications.lock_tickets(connection, [named.ticket_id])
    ticket = (await deliveries.load_tickets(connection, [named.ticket_id]))[named.ticket_id]
    first = named.redelivery_of or named.fallback_of or named.id
    mails = [row for row in ticket if first in (row.id, row.redelivery_of, row.fallback_of)]
    if order.key is not None:
        repeated = next((row for row in mails if row.id == redelivery_id(mails[0], order.key)), None)
        if repeated is not None:
            requested = (await journal.load_entries(connection, repeated.id))[0].reply
            if (repeated.redelivered_by, requested) != (order.by, order.reply):
                raise RedeliveryKeyReusedError
            return repeated, False
    reasons = await notifications.load_withdrawal_reasons(connection, [named.notification_id])
    if refusal := _refusal(mails, reasons.get(named.notification_id)):
        raise RedeliveryRefusedError(refusal)
    now = await deliveries.load_now(connection, clock)
    made = redelivery(mails, directory, requested_by=order.by, reply=order.reply, key=order.key, now=now)
    (queued,) = await deliveries.add(connection, [made])
    log.info("redelivery_queued", ticket_id=str(queued.ticket_id), delivery_id=str(queued.id), original=str(first))
    return queued, True


def _refusal(mails: Sequence[Delivery], withdrawn: str | None) -> str | None:
    """Why the mail is not sent again; `mails` are its deliveries so far."""
    if open_mail := next((mail for mail in mails if mail.ready_at is not None), None):
        which = "A redelivery of this mail" if open_mail.redelivery_number else "This mail"
        return f"{which} is still on its way ({open_mail.state}). Wait for the result of delivery {open_mail.id}."
    if withdrawn is not None:
        return f"This mail is no longer needed: {withdrawn}."
    if mails[0].state == DeliveryState.CANCELLED:
        return f"This mail was cancelled: {mails[0].reply}."
    return None
