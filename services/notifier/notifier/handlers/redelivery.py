"""A mail sent once more because somebody asked for it: load, decide, save. Never commits.

RULES 5 allows one mail for an occasion and a person, ever; that holds for everything that happens by itself. A
redelivery is a person's deed: a row of its own beside the mail, that says who asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.directory import Directory
from tocsin.events import derived_id
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.process.clock import TimeSource
from tocsin.validation import FieldError

from notifier import store
from notifier.domain.delivery import Stored
from notifier.domain.fallback import addresses

log = structlog.get_logger(__name__)

_SAME = (
    *("notification_id", "tenant", "ticket_id", "customer_id", "kind", "cycle", "run", "step", "tier", "severity"),
    *("role", "role_title", "scheduled_at", "person", "name", "rule", "scheduled_person"),
)
"""What a redelivery has in common with the mail that it repeats."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, in the words that the mail and the journal repeat, and why.

    `key`: asked again with the same one, it is one redelivery; with it nobody asks in other words.
    """

    by: str
    reason: str | None = None
    key: str | None = None

    @property
    def words(self) -> str:
        """What the journal says of it."""
        return f"asked for by {self.by}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class Redelivered:
    """The redelivery; `created` false: the same asking was heard before."""

    delivery: Stored
    created: bool


def unknown_delivery() -> Problem:
    return Problem(404, "There is no such delivery.")


def used_otherwise() -> Problem:
    field = FieldError(field="Idempotency-Key", message="was used for this mail with another body")
    return Problem(422, "This Idempotency-Key belongs to another request.", errors=[field])


async def redeliver(
    connection: AsyncConnection,
    clock: TimeSource,
    directory: Directory | None,
    tenant: str,
    delivery_id: UUID,
    asked: Asked,
) -> Redelivered:
    """Queue a mail of this tenant once more: to its person, at the first address that they have in the directory now.

    Raises Problem: 404, 409 where it is still on its way or nobody needs it any more, 422 where its key was used with
    another asking.
    """
    named = await store.delivery(connection, tenant, delivery_id)
    if named is None:
        raise unknown_delivery()
    await store.lock_tickets(connection, [named.ticket_id])
    found, real_now = await store.of_tickets(connection, [named.ticket_id])
    rows = found[named.ticket_id]
    original = named.redelivery_of or named.fallback_of or named.id
    mails = [row for row in rows if original in (row.id, row.redelivery_of, row.fallback_of)]
    number = max(mail.redelivery for mail in mails) + 1
    made = derived_id(named.ticket_id, "redelivery", str(original), asked.key or number)
    if heard := next((row for row in mails if row.id == made), None):
        first_line = (await store.journal_of(connection, heard.id))[0]
        if (heard.redelivered_by, first_line.reply) != (asked.by, asked.words):
            raise used_otherwise()
        return Redelivered(heard, created=False)
    reasons = await store.withdrawal_reasons(connection, [named.notification_id])
    if why_not := _refusal(mails, reasons.get(named.notification_id)):
        raise Problem(409, why_not)
    assert real_now is not None  # of_tickets found the row that was named
    first, now = mails[0], clock.business(real_now)
    known = addresses(directory, first) if directory and first.person else ()
    row = {name: getattr(first, name) for name in _SAME} | {
        "id": made,
        "email": known[0] if known else first.email,
        "occasion": f"{first.occasion}/redelivery/{number}",
        "state": "queued",
        "ready_at": real_now,
        "queued_at": now,
        "changed_at": now,
        "redelivery": number,
        "redelivery_of": original,
        "redelivered_by": asked.by,
        "reply": asked.words,
    }
    (queued,) = await store.add_deliveries(connection, [row])
    log.info("redelivery_asked_for", ticket_id=str(named.ticket_id), delivery_id=str(made), of=str(original))
    return Redelivered(queued, created=True)


def _refusal(mails: Sequence[Stored], withdrawn: str | None) -> str | None:
    """Why the mail is not sent once more; `mails` are all that went out of it so far."""
    if open_one := next((mail for mail in mails if mail.ready_at is not None), None):
        which = "A redelivery of this mail" if open_one.redelivery else "This mail"
        return f"{which} is {open_one.state}: it is still on its way. Wait for what becomes of delivery {open_one.id}."
    if withdrawn is not None:
        return f"This mail is not needed any more: {withdrawn}."
    if mails[0].state == "cancelled":
        return f"This mail was cancelled: {mails[0].reply}."
    return None
