"""A mail that an address did not take, at once or by a later report, goes on to the next: load, decide, save."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.directory import Directory
from tocsin.runtime.database.engine import on_commit
from tocsin.runtime.process.clock import TimeSource

from notifier import metrics, store
from notifier.domain.delivery import Noted, Stored
from notifier.domain.fallback import addresses, follow_up

log = structlog.get_logger(__name__)


async def bounce(
    connection: AsyncConnection, clock: TimeSource, directory: Directory, delivery: Stored, words: str
) -> Stored | None:
    """A server says in `words` that this mail, which it had taken, did not arrive: it is `bounced`, and goes on.

    The delivery as it is then; a row of its own follows it to the next address, or ends `undeliverable`, unless nobody
    needs the mail any more. None: nothing changed, since it was not sent, bounced before, or is being sent right now.
    Never commits; locks the ticket.
    """
    await store.lock_tickets(connection, [delivery.ticket_id])
    found, real_now = await store.of_tickets(connection, [delivery.ticket_id])
    row = next(row for row in found[delivery.ticket_id] if row.id == delivery.id)
    if real_now is None or not _can_bounce(row):
        return None
    bounced = replace(
        row,
        state="bounced",
        ready_at=None,
        changed_at=clock.business(real_now),
        reply=words,
        token=row.token + 1,
    )
    await store.write(connection, [bounced], [Noted(bounced, "bounced")])
    on_commit(connection, metrics.EMAILS.labels("bounced").inc)
    log.warning("mail_bounced", ticket_id=str(row.ticket_id), delivery_id=str(row.id), reply=words)
    if not await store.withdrawal_reasons(connection, [row.notification_id]):
        await go_on(connection, clock, {row.id: addresses(directory, row)}, [row.ticket_id])
    await store.wake_tickets(connection, [row.ticket_id])
    return bounced


async def go_on(
    connection: AsyncConnection, clock: TimeSource, failed: Mapping[UUID, Sequence[str]], ticket_ids: Sequence[UUID]
) -> None:
    """Queue what follows these deliveries, just written as refused or bounced, whose tickets are locked.

    `failed`: their persons' addresses by their ids.
    """
    if not failed:
        return
    tickets, real_now = await store.of_tickets(connection, ticket_ids)
    assert real_now is not None  # their rows were just written
    rows = [
        follow_up(row, ticket, failed[row.id], business_now=clock.business(real_now), real_now=real_now)
        for ticket in tickets.values()
        for row in ticket
        if row.id in failed
    ]
    for row in await store.add_deliveries(connection, rows):
        about = {"ticket_id": str(row.ticket_id), "delivery_id": str(row.id), "person": row.person}
        if row.state == "undeliverable":
            on_commit(connection, metrics.EMAILS.labels("undeliverable").inc)
            log.error("mail_undeliverable", **about, reply=row.reply)
        else:
            log.info("mail_goes_to_the_next_address", **about, fallback=row.fallback)


def _can_bounce(row: Stored) -> bool:
    """It was taken, or perhaps was; what is in DATA right now bounces anew if it must."""
    return row.state == "sent" or (row.ambiguous and row.state in ("claimed", "deferred", "undeliverable", "cancelled"))
