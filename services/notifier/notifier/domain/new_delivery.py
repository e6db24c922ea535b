"""New deliveries: of notifications, of failed addresses, of redeliveries. Their ids are derived, not random. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tocsin.directory import Directory
from tocsin.events import Assignee, Contact, Exhausted, Notify, ReportReady, StandDown, derived_id

from notifier.domain.delivery import LEAST_URGENT, REPORT_ROLE, TICKET_ROLES, Delivery, DeliveryState, Now, occasion
from notifier.domain.mail_history import same_mail

_NO_REPEAT: Final[Mapping[str, Any]] = {
    "reply": None,
    "redelivery_number": 0,
    "redelivery_of": None,
    "redelivered_by": None,
    "fallback_number": 0,
    "fallback_of": None,
    "scheduled_person": None,
}


def delivery_for(notify: Notify, now: Now, published_at: datetime | None = None) -> Delivery:
    """The queued delivery of a `notify`. The holder of a role is chosen at each attempt (docs/rules.md#5-21).

    `published_at`: the real instant at which the notification was published, if it is known.
    """
    filled_by = _filled_by_ticket(notify)
    return Delivery(
        id=derived_id(notify.ticket_id, "delivery", notification=notify.event_id),
        notification_id=notify.event_id,
        tenant=notify.ticket.tenant,
        ticket_id=notify.ticket_id,
        customer_id=notify.ticket.customer.id,
        kind=notify.kind,
        cycle=notify.cycle,
        run=notify.run,
        step=notify.step,
        tier=notify.tier.number if notify.tier else None,
        severity=notify.severity,
        occasion=occasion(notify),
        role=notify.role,
        role_title=notify.role_title,
        scheduled_at=notify.at,
        published_at=published_at or now.real,
        created_at=now.real,
        queued_at=now.business,
        changed_at=now.business,
        ready_at=now.real,
        name=filled_by.name if filled_by else None,
        email=filled_by.email if filled_by else None,
        rule=f"{notify.role} of the ticket" if filled_by else None,
    )


def report_delivery(report: ReportReady, now: Now, published_at: datetime | None = None) -> Delivery:
    """The queued delivery of a report. The address of its person is chosen at each attempt."""
    return Delivery(
        id=derived_id(report.ticket_id, "delivery", notification=report.event_id),
        notification_id=report.event_id,
        tenant=report.tenant,
        ticket_id=report.ticket_id,
        customer_id=report.customer.id if report.customer else "",
        kind="report",
        cycle=1,
        run=None,
        step=None,
        tier=None,
        severity=LEAST_URGENT,
        occasion=occasion(report),
        role=REPORT_ROLE,
        role_title="Reader of reports",
        scheduled_at=report.at,
        published_at=published_at or now.real,
        created_at=now.real,
        queued_at=now.business,
        changed_at=now.business,
        ready_at=now.real,
        person=report.to,
        rule="reports",
    )


def _filled_by_ticket(notify: Notify) -> Assignee | Contact | None:
    """Who fills a role that the ticket itself fills (docs/rules.md#3-5, docs/rules.md#6-6)."""
    return {"assignee": notify.ticket.assignee, "contact": notify.ticket.contact}.get(notify.role)


def exhausted_deliveries(exhausted: Exhausted, mails: Iterable[Delivery], now: Now) -> list[Delivery]:
    """One delivery for each step whose mail arrived or may still arrive (docs/rules.md#5-22).

    `mails`: the deliveries of its notifications. Each goes to whom the mail of its step reached; a person of several
    steps gets one.
    """
    steps: dict[UUID, Delivery] = {}
    for mail in mails:
        if mail.may_have_arrived or mail.ready_at is not None:
            steps.setdefault(mail.notification_id, mail)
    return [
        step.successor(
            now,
            id=derived_id(exhausted.ticket_id, "delivery", notification=exhausted.event_id, step=step.notification_id),
            notification_id=exhausted.event_id,
            kind="exhausted",
            step=None,
            severity=exhausted.severity,
            occasion=occasion(exhausted),
            scheduled_at=exhausted.at,
            queued_at=now.business,
            person=None,
            name=None,
            email=None,
            rule=None,
            **_NO_REPEAT,
        )
        for step in steps.values()
    ]


def stand_down_deliveries(stand_down: StandDown, mailed: Iterable[Delivery], now: Now) -> list[Delivery]:
    """One delivery for each mailbox that was mailed (docs/rules.md#5-24). `mailed`: the notifications' deliveries.

    A person may have been mailed at several addresses, the group address of their role among them. An attempt in flight
    counts as mailed; the order of mails makes the stand-down wait for its result.
    """
    by_mailbox: dict[tuple[str, str], Delivery] = {}
    for delivery in mailed:
        if (
            delivery.person
            and delivery.email
            and (delivery.may_have_arrived or delivery.state == DeliveryState.IN_DATA)
        ):
            by_mailbox[delivery.person, delivery.email.lower()] = delivery
    return [
        delivery.successor(
            now,
            id=derived_id(
                stand_down.ticket_id, "delivery", notification=stand_down.event_id, person=person, mailbox=mailbox
            ),
            notification_id=stand_down.event_id,
            kind="stand_down",
            cycle=stand_down.cycle,
            run=stand_down.run,
            step=None,
            severity=stand_down.severity,
            occasion=f"{occasion(stand_down)}/{mailbox}",
            scheduled_at=stand_down.at,
            queued_at=now.business,
            **_NO_REPEAT,
        )
        for (person, mailbox), delivery in by_mailbox.items()
    ]


def redelivery(
    mails: Sequence[Delivery], directory: Directory | None, *, requested_by: str, reply: str, key: str | None, now: Now
) -> Delivery:
    """The next redelivery of `mails[0]`, at the first address that its person has now.

    `mails` are the deliveries of the mail so far, the first one first. The same `key` always makes the same id.
    """
    first = mails[0]
    number = max(mail.redelivery_number for mail in mails) + 1
    known = addresses(directory, first) if directory and first.person else ()
    return first.successor(
        now,
        id=redelivery_id(first, key or number),
        email=known[0] if known else first.email,
        occasion=f"{first.occasion}/redelivery/{number}",
        queued_at=now.business,
        redelivery_number=number,
        redelivery_of=first.id,
        redelivered_by=requested_by,
        reply=reply,
    )


def redelivery_id(first: Delivery, key: str | int) -> UUID:
    """The id of a redelivery of `first`, by its Idempotency-Key or else its number."""
    return derived_id(first.ticket_id, "redelivery", delivery=first.id, key=key)


def next_address(failed: Delivery, ticket: Sequence[Delivery], known: Sequence[str], now: Now) -> Delivery:
    """The delivery that follows one that was refused or bounced: to the next address, or undeliverable.

    It keeps person, occasion, `Message-ID` and its place in the order (docs/rules.md#5-27). `known`: see `addresses`.
    `ticket` are the ticket's deliveries, with `failed` as it is now.
    """
    mail = same_mail(failed, ticket)
    # A person who was mailed at two addresses has another stand-down delivery at the other one.
    beside = [row for row in ticket if row.kind == "stand_down" and row.notification_id == failed.notification_id]
    tried = {row.email.lower() for row in (*mail, *beside) if row.email}
    email = next((address for address in known if address.lower() not in tried), None)
    number = mail[-1].fallback_number + 1
    follower = failed.successor(
        now,
        id=derived_id(failed.ticket_id, "fallback", delivery=mail[0].id, number=number),
        email=email,
        reply=None,
        fallback_number=number,
        fallback_of=mail[0].id,
    )
    if email is not None:
        return follower
    reply = f"no address is left after {', '.join(sorted(tried))}; last reply: {failed.reply}"
    return follower.ended(DeliveryState.UNDELIVERABLE, reply, now)


def addresses(directory: Directory, delivery: Delivery) -> tuple[str, ...]:
    """Where this delivery may go: its person's addresses in order, then the group address of its role.

    A stand-down goes only to the person's own addresses, and only if it was addressed to one of them. So does a report.
    A role that the ticket fills has no other address than the ticket's.
    """
    if delivery.role in TICKET_ROLES:
        return (delivery.email,) if delivery.email else ()
    own = _own_addresses(directory, delivery)
    if delivery.kind == "stand_down":
        return own if delivery.email in own else ()
    group = _group_address(directory, delivery)
    return (*own, group) if group else own


def is_group_address(directory: Directory, delivery: Delivery) -> bool:
    """Whether it goes to its role's group address, so that others than its person read it."""
    group = _group_address(directory, delivery)
    return group is not None and group == delivery.email and group not in _own_addresses(directory, delivery)


def _group_address(directory: Directory, delivery: Delivery) -> str | None:
    """The group address of its role; None for a report, which goes to a person."""
    return None if delivery.kind == "report" else directory.group_address(delivery.role, delivery.customer_id)


def _own_addresses(directory: Directory, delivery: Delivery) -> tuple[str, ...]:
    person = directory.people.get(delivery.person or "")
    return (person.email, *person.fallbacks) if person else ()
