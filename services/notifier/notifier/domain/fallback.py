"""Where a mail goes that an address did not take: the person's next one, the role's group address, nowhere. Pure.

Each address is a row of its own, so that each keeps its state and the server's words; the rows of one mail are its
chain, in the place that its first row has among the ticket's mails. Person, occasion and `Message-ID` stay.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from tocsin.directory import Directory
from tocsin.events import derived_id

from notifier.domain.delivery import Stored

_SAME: Final = (
    *("notification_id", "tenant", "ticket_id", "customer_id", "kind", "cycle", "run", "step", "tier", "severity"),
    *("occasion", "role", "role_title", "scheduled_at", "queued_at", "person", "name", "rule", "scheduled_person"),
    *("redelivery", "redelivery_of", "redelivered_by"),
)
"""What every row of a chain has in common."""


def addresses(directory: Directory, delivery: Stored) -> tuple[str, ...]:
    """Where this delivery's person is mailed: their addresses in order, then the group address of its role.

    A stand-down reaches nobody but who was mailed: it goes on from one of the person's own addresses to another alone.
    """
    person = directory.people.get(delivery.person or "")
    own = (person.email, *person.fallbacks) if person else ()
    if delivery.kind == "stand_down":
        return own if delivery.email in own else ()
    group = directory.group_address(delivery.role, delivery.customer_id)
    return (*own, group) if group else own


def is_of_group(directory: Directory, delivery: Stored) -> bool:
    """Whether it goes to its role's group address and that is none of its person's own: nobody knows who reads it."""
    person = directory.people.get(delivery.person or "")
    own = (person.email, *person.fallbacks) if person else ()
    group = directory.group_address(delivery.role, delivery.customer_id)
    return group is not None and group == delivery.email and group not in own


def chain(delivery: Stored, ticket: Sequence[Stored]) -> list[Stored]:
    """The rows of the same mail among those of the ticket, itself among them, by address."""
    first = delivery.fallback_of or delivery.id
    return sorted((row for row in ticket if first in (row.id, row.fallback_of)), key=lambda row: row.fallback)


def follow_up(
    failed: Stored, ticket: Sequence[Stored], known: Sequence[str], *, business_now: datetime, real_now: datetime
) -> dict[str, Any]:
    """The row that follows one which was refused or bounced: to the next address of `known`, or undeliverable.

    `known`: see `addresses`. `ticket` are the ticket's deliveries, `failed` as it is now among them. The row's id is
    the same whenever it is made.
    """
    mail = chain(failed, ticket)
    # A person who was mailed at two addresses has a stand-down of its own at the other.
    beside = [row for row in ticket if row.kind == "stand_down" and row.notification_id == failed.notification_id]
    tried = {row.email.lower() for row in (*mail, *beside) if row.email}
    email = next((address for address in known if address.lower() not in tried), None)
    number = mail[-1].fallback + 1
    first = mail[0].id
    return {name: getattr(failed, name) for name in _SAME} | {
        "id": derived_id(failed.ticket_id, "fallback", str(first), number),
        "fallback": number,
        "fallback_of": first,
        "email": email,
        "state": "queued" if email else "undeliverable",
        "ready_at": real_now if email else None,
        "changed_at": business_now,
        "reply": None if email else f"no address is left after {', '.join(sorted(tried))}; last: {failed.reply}",
    }
