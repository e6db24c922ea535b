"""Taking in a mail: as a ticket, or as what happened to one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database import clock_timestamp
from tocsin.runtime.problems import Problem

from intake.correspondence import SOURCE, Sender, answered, mailbox_of, opening, reaction, sender_of
from intake.handlers.desk import Desk
from intake.handlers.events import take_event
from intake.handlers.tickets import take_tickets
from intake.hooks.mailing import Mailing
from intake.mail import Mail
from intake.requests import EventRequest, TicketRequest, read
from intake.store import Store
from intake.store.mails import add_mail, first_ticket, ticket_of_mail

MailResult = Literal["opened", "happened", "noted", "duplicate", "automatic", "unmapped"]

UNKNOWN_CUSTOMER: Final = "Nobody knows whose mail this is: give the sender's domain to a customer of `email`."


@dataclass(frozen=True, slots=True)
class TakenMail:
    """What a mail became: `opened` a ticket, `happened` to one, `noted` with one, a `duplicate` of an earlier one, or
    nothing, since it is `automatic` or `unmapped`; `detail` says why or what.
    """

    result: MailResult
    ticket_id: UUID | None = None
    detail: str | None = None


async def take_mail(
    desk: Desk, connection: AsyncConnection, tenant: str, mailing: Mailing, sources: Sequence[str], mail: Mail
) -> TakenMail:
    """Take a mail in, in this transaction. `sources` are the tools whose ids may stand in its subject.

    The Date that a mail bears is anybody's word: what it tells occurred at its receipt. Raises Problem where the ticket
    that it would open cannot be taken.
    """
    if mail.automatic is not None:
        return TakenMail("automatic", detail=mail.automatic)
    if known := await ticket_of_mail(connection, tenant, mail.message_id):
        return TakenMail("duplicate", known)
    sender = sender_of(mail, mailing)
    ticket = await first_ticket(connection, tenant, mail.references, answered(mail, tenant, sources))
    taken = await _follow(desk, connection, tenant, mailing, mail, sender, ticket) if ticket else None
    taken = taken or await _open(desk, connection, tenant, mailing, mail, sender)
    if taken.ticket_id is not None:
        now = desk.business(await clock_timestamp(connection))
        if not await add_mail(connection, tenant, mail.message_id, taken.ticket_id, now):
            raise MailKnown
    return taken


class MailKnown(Exception):
    """Another copy of the mail was taken in at the same time: roll back, and try again."""


async def _follow(
    desk: Desk,
    connection: AsyncConnection,
    tenant: str,
    mailing: Mailing,
    mail: Mail,
    sender: Sender,
    ticket_id: UUID,
) -> TakenMail | None:
    """What it says of that ticket; None where it is a matter of its own."""
    store = Store(connection)
    ticket = await store.ticket(tenant, ticket_id)
    assert ticket is not None  # it was just found, and tickets are never deleted
    facts = (await store.facts([ticket_id]))[ticket_id]
    now = desk.business(await clock_timestamp(connection))
    found = reaction(mail, sender, ticket.body["customer"]["id"], facts, now, mailing)
    if found == "new":
        return None
    if isinstance(found, EventRequest):
        await take_event(desk, connection, tenant, ticket_id, found, f"mail:{mail.reference}")
        return TakenMail("happened", ticket_id, found.type)
    return TakenMail("noted", ticket_id)


async def _open(
    desk: Desk, connection: AsyncConnection, tenant: str, mailing: Mailing, mail: Mail, sender: Sender
) -> TakenMail:
    body = opening(mail, sender, mailbox_of(mail, desk.policy.mailboxes), mailing)
    if body is None:
        return TakenMail("unmapped", detail=UNKNOWN_CUSTOMER)
    # Mail is a machine source (RULES 1), whose default severity its section says.
    policy = desk.policy.model_copy(
        update={"machine_sources": {**desk.policy.machine_sources, SOURCE: mailing.severity}}
    )
    request = read(TicketRequest, body, policy.machine_sources)
    (outcome,) = await take_tickets(replace(desk, policy=policy), connection, tenant, [request])
    if isinstance(outcome, Problem):
        raise outcome
    return TakenMail("opened" if outcome.created else "duplicate", outcome.ticket.ticket_id)
