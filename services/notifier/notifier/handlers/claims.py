"""Claims the most urgent deliveries for this process, and chooses their recipients at that moment. Never commits.

Everything about a ticket's deliveries is decided under the lock of its row. A claim is a lease in real time with a
fencing token, so a worker that lost its claim can change nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.directory import Directory
from tocsin.runtime.database.engine import on_commit
from tocsin.runtime.process.clock import TimeSource

from notifier import metrics
from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry, JournalNote, Notification, Now
from notifier.domain.delivery_order import decide, recover
from notifier.domain.mail_history import EarlierMail, earlier_mails, earlier_message_ids, same_mail
from notifier.domain.new_delivery import addresses, is_group_address
from notifier.domain.on_call import involved_people
from notifier.domain.template_context import Involved, Reader
from notifier.store import deliveries, notifications, queue

log = structlog.get_logger(__name__)

Tickets = Mapping[UUID, Sequence[Delivery]]
"""Deliveries by ticket, in the order of events."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this process may attempt while it renews the lease, with the content of its mail.

    `references`: the Message-IDs of the reader's earlier mails in this cycle. `addresses`: where this mail may go, in
    order. `involved`: the people of the directory whom it names.
    """

    delivery: Delivery
    notification: Notification
    reader: Reader
    earlier: Sequence[EarlierMail]
    references: Sequence[str]
    addresses: tuple[str, ...]
    involved: Involved = field(default_factory=Involved)


async def claim_deliveries(
    connection: AsyncConnection, clock: TimeSource, directory: Directory, lease: timedelta, *, limit: int, severity: int
) -> tuple[list[Claim], int]:
    """Claim up to `limit` deliveries that are ready, of this severity or a more urgent one, the most urgent first.

    Returns the claims and the number of tickets examined: all their deliveries may have ended, or wait for others.
    """
    urgent = await queue.lock_most_urgent(connection, limit=limit, severity=severity)
    if not urgent:
        return [], 0
    found = await deliveries.load_tickets(connection, urgent)
    now = await deliveries.load_now(connection, clock)
    tickets = await _recover(connection, found, now)
    loaded = await _load_notifications(connection, tickets, now)
    claims: list[Claim] = []
    changed: list[Delivery] = []
    for ticket_id in urgent:
        ticket = tickets[ticket_id]
        decided = decide(ticket, loaded, directory, now, lease=lease, limit=limit - len(claims))
        changed += decided
        claims += [
            _claim(delivery, loaded[delivery.notification_id], ticket, directory)
            for delivery in decided
            if delivery.state == DeliveryState.CLAIMED
        ]
    moved = [delivery for delivery in changed if delivery.state not in (DeliveryState.QUEUED, DeliveryState.DEFERRED)]
    await deliveries.save(connection, changed, [JournalEntry.of(delivery) for delivery in moved])
    for delivery in moved:
        if delivery.state != DeliveryState.CLAIMED:
            _count_ended(connection, delivery)
    return claims, len(urgent)


async def _recover(connection: AsyncConnection, tickets: Tickets, now: Now) -> Tickets:
    """The tickets after attempts whose lease expired have been saved as interrupted."""
    expired = {row.id: row for rows in tickets.values() for row in rows if _is_expired(row, now)}
    if not expired:
        return tickets
    reasons = await notifications.load_withdrawal_reasons(connection, {row.notification_id for row in expired.values()})
    recovered = {row.id: recover(row, reasons.get(row.notification_id), now) for row in expired.values()}
    entries: list[JournalEntry] = []
    for row in recovered.values():
        log.warning("lease_expired", ticket_id=str(row.ticket_id), delivery_id=str(row.id), state=expired[row.id].state)
        if row.state != DeliveryState.QUEUED:
            entries += [JournalEntry(row, JournalNote.AMBIGUOUS), JournalEntry.of(row)]
            on_commit(connection, metrics.EMAILS.labels("ambiguous").inc)
        if row.state == DeliveryState.CANCELLED:
            on_commit(connection, metrics.EMAILS.labels("cancelled").inc)
    await deliveries.save(connection, recovered.values(), entries)
    return {ticket_id: [recovered.get(row.id, row) for row in rows] for ticket_id, rows in tickets.items()}


def _is_expired(delivery: Delivery, now: Now) -> bool:
    return delivery.is_in_flight and delivery.ready_at is not None and delivery.ready_at <= now.real


async def _load_notifications(connection: AsyncConnection, tickets: Tickets, now: Now) -> Mapping[UUID, Notification]:
    """The notifications of ready deliveries and of all open stand-downs."""
    needed = {
        row.notification_id
        for rows in tickets.values()
        for row in rows
        if row.ready_at is not None and (row.ready_at <= now.real or row.kind == "stand_down")
    }
    return await notifications.load_notifications(connection, needed) if needed else {}


def _claim(delivery: Delivery, notification: Notification, ticket: Sequence[Delivery], directory: Directory) -> Claim:
    tried = [past.email for past in same_mail(delivery, ticket) if past.fallback_number < delivery.fallback_number]
    return Claim(
        delivery=delivery,
        notification=notification,
        reader=_reader(delivery, tried[-1] if tried else None, is_group=is_group_address(directory, delivery)),
        earlier=earlier_mails(notification, delivery.person, ticket),
        references=earlier_message_ids(delivery, ticket),
        addresses=addresses(directory, delivery),
        involved=involved_people(notification, directory),
    )


def _reader(delivery: Delivery, instead_of: str | None, *, is_group: bool) -> Reader:
    return Reader(
        person=delivery.person or "",
        name=delivery.name or "",
        email=delivery.email or "",
        role=delivery.role,
        role_title=delivery.role_title,
        tier=delivery.tier,
        rule=delivery.rule or "",
        instead_of=instead_of,
        is_group=is_group,
    )


def _count_ended(connection: AsyncConnection, delivery: Delivery) -> None:
    on_commit(connection, metrics.EMAILS.labels(delivery.state).inc)
    if delivery.state == DeliveryState.UNDELIVERABLE:
        about = {"ticket_id": str(delivery.ticket_id), "delivery_id": str(delivery.id)}
        log.error("mail_undeliverable", **about, role=delivery.role, reply=delivery.reply)
