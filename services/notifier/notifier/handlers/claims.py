"""Claims the most urgent deliveries for this process, and chooses their recipients at that moment. Never commits.

Everything about a ticket's deliveries is decided under the lock of its row, and how many single mails an address gets
under a lock of that address. A claim is a lease in real time with a fencing token, so a worker that lost its claim can
change nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.directory import Directory
from tocsin.runtime.process.clock import TimeSource

from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry, JournalNote, MailRequest, Now
from notifier.domain.delivery_order import claim, decide, recover
from notifier.domain.digest import MAX_ITEMS, DueDigests, address_of, allot, due_digests, find_followed, may_join
from notifier.domain.mail_history import EarlierMail, earlier_mails, earlier_message_ids, same_mail
from notifier.domain.new_delivery import addresses, is_group_address
from notifier.domain.on_call import involved_people
from notifier.domain.template_context import Involved, Reader
from notifier.store import deliveries, notifications, queue

log = structlog.get_logger(__name__)

_MOST_ITEMS: Final = 500
"""A transaction with more tickets would hold their locks for too long."""

Tickets = Mapping[UUID, Sequence[Delivery]]
"""Deliveries by ticket, in the order of events."""


@dataclass(frozen=True, slots=True)
class ClaimTerms:
    """How a process claims: the length of a lease, and how many single mails a minute a customer's terms allow."""

    lease: timedelta
    allowance: Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this process may attempt while it renews the lease, with the content of its mail.

    `references`: the Message-IDs of the reader's earlier mails in this cycle. `addresses`: where this mail may go, in
    order. `involved`: the people of the directory whom it names.
    """

    delivery: Delivery
    notification: MailRequest
    reader: Reader
    earlier: Sequence[EarlierMail]
    references: Sequence[str]
    addresses: tuple[str, ...]
    involved: Involved = field(default_factory=Involved)


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """One mail to be attempted: a single claim, or the items of the digest `digest_id`, in the order of events.

    `claimed_at` is real, by the database's clock. `withdrawn`: items of a repeated digest that were cancelled since. It
    lists them still, marked as such.
    """

    digest_id: UUID | None
    claims: Sequence[Claim]
    claimed_at: datetime
    withdrawn: Sequence[Claim] = ()

    @property
    def deliveries(self) -> list[Delivery]:
        return [claimed.delivery for claimed in self.claims]

    @property
    def is_severity_1(self) -> bool:
        return any(delivery.is_severity_1 for delivery in self.deliveries)

    @property
    def is_report(self) -> bool:
        return any(delivery.kind == "report" for delivery in self.deliveries)


async def claim_mails(
    connection: AsyncConnection,
    clock: TimeSource,
    directory: Directory,
    terms: ClaimTerms,
    *,
    limit: int,
    severity: int,
) -> tuple[list[ClaimedMail], bool]:
    """Claim about `limit` mails that are ready, of this severity or a more urgent one, the most urgent first.

    Of the reports at most one is claimed.

    Returns the mails, and whether there may be more: all deliveries that were examined may have ended, or wait for
    others.
    """
    urgent, is_limited = await queue.lock_most_urgent(connection, limit=limit, severity=severity)
    queued = await queue.load_tickets(connection, urgent) if urgent else None
    if queued is None:
        return [], is_limited
    now = Now(queued.now, clock.business(queued.now))
    events = queued.events
    tickets = await _recover(connection, queued.deliveries, now)
    due = due_digests(tickets.values(), now)
    if due:
        items_limit = min(limit * MAX_ITEMS, _MOST_ITEMS)
        further = set(await queue.lock_items(connection, due, limit=items_limit)) - set(tickets)
        if further and (others := await queue.load_tickets(connection, further)):
            tickets |= await _recover(connection, others.deliveries, now)
            events |= others.events
    loaded, withdrawn = await _load_notifications(connection, tickets, events, due, now)
    items = due.items(row for rows in tickets.values() for row in rows)
    ready: list[Delivery] = []
    waiting: list[Delivery] = []
    for ticket in tickets.values():
        left = limit - sum(delivery.id not in items for delivery in ready)
        decision = decide(ticket, loaded, directory, now, lease=terms.lease, limit=left, items=items)
        ready += decision.ready
        waiting += decision.changed
    loads = await queue.lock_loads(connection, {address_of(delivery) for delivery in ready if may_join(delivery)})
    sizes = await queue.count_items(connection, due.repeated)
    followed = {id_ for ticket in tickets.values() for id_ in find_followed(ticket)}
    allotted = allot(ready, due, followed, loads, sizes, terms.allowance, now)
    mails = [[claim(delivery, directory, now) for delivery in mail] for mail in allotted.mails]
    await _save(connection, [*waiting, *allotted.waiting, *(claimed for mail in mails for claimed in mail)], tickets)

    def describe(delivery: Delivery) -> Claim:
        return _describe(delivery, loaded[delivery.notification_id], tickets.get(delivery.ticket_id, ()), directory)

    return [
        ClaimedMail(
            digest_id=mail[0].digest_id,
            claims=[describe(delivery) for delivery in mail],
            claimed_at=now.real,
            withdrawn=[describe(row) for row in withdrawn if row.digest_id == mail[0].digest_id],
        )
        for mail in mails
    ], is_limited


async def _recover(
    connection: AsyncConnection, tickets: dict[UUID, list[Delivery]], now: Now
) -> dict[UUID, list[Delivery]]:
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
    await deliveries.save(connection, recovered.values(), entries)
    return {ticket_id: [recovered.get(row.id, row) for row in rows] for ticket_id, rows in tickets.items()}


def _is_expired(delivery: Delivery, now: Now) -> bool:
    return delivery.is_in_flight and delivery.ready_at is not None and delivery.ready_at <= now.real


async def _load_notifications(
    connection: AsyncConnection,
    tickets: Tickets,
    events: Mapping[UUID, tuple[str, bytes]],
    due: DueDigests,
    now: Now,
) -> tuple[Mapping[UUID, MailRequest], Sequence[Delivery]]:
    """The notifications of what may be attempted and of all open stand-downs, out of these `events`; and the withdrawn
    items of digests that are repeated, as far as their notifications can be read.
    """
    rows = [row for ticket in tickets.values() for row in ticket if row.ready_at is not None]
    items = due.items(rows)
    needed = [row for row in rows if row.id in items or row.kind == "stand_down" or _is_ready(row, now)]
    loaded = notifications.parse_notifications({row.notification_id: events[row.notification_id] for row in needed})
    if not due.repeated:
        return loaded, []
    withdrawn = await deliveries.load_withdrawn_items(connection, due.repeated)
    loaded |= await notifications.load_notifications(connection, {row.notification_id for row in withdrawn})
    return loaded, [row for row in withdrawn if row.notification_id in loaded]


def _is_ready(delivery: Delivery, now: Now) -> bool:
    return delivery.ready_at is not None and delivery.ready_at <= now.real


async def _save(connection: AsyncConnection, changed: Sequence[Delivery], tickets: Tickets) -> None:
    """Save the deliveries, with a journal entry for each that has reached another state."""
    before = {row.id: row.state for rows in tickets.values() for row in rows}
    moved = [row for row in changed if row.state not in (before[row.id], DeliveryState.QUEUED)]
    await deliveries.save(connection, changed, [JournalEntry.of(row) for row in moved])
    for row in moved:
        if row.state == DeliveryState.UNDELIVERABLE:
            about = {"ticket_id": str(row.ticket_id), "delivery_id": str(row.id)}
            log.error("mail_undeliverable", **about, role=row.role, reply=row.reply)


def _describe(delivery: Delivery, notification: MailRequest, ticket: Sequence[Delivery], directory: Directory) -> Claim:
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
