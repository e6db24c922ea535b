"""Taking in a mail: as a ticket, or as what happened to one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from intake.domain.mail import InboundMail
from intake.domain.mail_rules import (
    InboundSender,
    TicketOwner,
    answered,
    belongs,
    goes_out,
    mailbox_of,
    opening,
    reaction,
    sender_of,
)
from intake.domain.webhooks.config.email import EmailConfig
from intake.domain.webhooks.update import UnmappedError
from intake.errors import IntakeError
from intake.handlers.context import IngestContext
from intake.handlers.events import RecordEvent, record_event
from intake.handlers.tickets import create_tickets
from intake.store.mails import add_mail, awaiting_ticket, first_ticket, lock_conversation, ticket_of_mail
from intake.store.tickets import TicketStore

MailResult = Literal["opened", "happened", "noted", "duplicate", "automatic"]

_UNKNOWN_QUESTION: Final = "One of us answers a mail that has not come: replay it once it has."

_REROUTED: Final = "rerouted to Support@: Escalations@ is for the customer's IT contact"

UNKNOWN_CUSTOMER: Final = "Nobody knows whose mail this is: give the sender's domain to a customer of `email`."


@dataclass(frozen=True, slots=True)
class AppliedMail:
    """What a mail became: `opened` a ticket, `happened` to one, `noted` with one, a `duplicate` of an earlier one, or
    nothing, since it is `automatic`; `detail` says why or what.
    """

    result: MailResult
    ticket_id: UUID | None = None
    detail: str | None = None


async def apply_mail(
    context: IngestContext,
    connection: AsyncConnection,
    tenant: str,
    mailing: EmailConfig,
    sources: Sequence[str],
    mail: InboundMail,
    received_at: datetime,
) -> AppliedMail:
    """Take a mail in, in this transaction. `sources` are the tools whose ids may stand in its subject.

    The Date that a mail bears is anybody's word: what it tells occurred when it was delivered, at `received_at`. Raises
    UnmappedError where nobody knows whose it is, or it is our own answer to what has not come; IntakeError where the
    ticket that it would open cannot be taken; and MailKnownError.
    """
    if mail.automatic is not None:
        return AppliedMail("automatic", detail=mail.automatic)
    await lock_conversation(connection, tenant, (mail.message_id, *mail.references)[-1])
    if known := await ticket_of_mail(connection, tenant, mail.message_id):
        return AppliedMail("duplicate", known)
    sender = sender_of(mail, mailing)
    ticket = await first_ticket(connection, tenant, mail.references, answered(mail, tenant, sources))
    if ticket is not None:
        taken = await _follow(context, connection, tenant, mailing, mail, sender, ticket, received_at)
    else:
        taken = await _join(connection, tenant, mail, sender)
    if ticket is None and taken is None and sender.ours and mail.references and goes_out(mail, mailing):
        raise UnmappedError("missing_opening", _UNKNOWN_QUESTION)
    if taken is None:
        taken = await _open(context, connection, tenant, mailing, mail, sender, received_at)
    known_now = taken.ticket_id is not None and not await add_mail(
        connection, tenant, mail.message_id, mail.references, taken.ticket_id, received_at
    )
    if known_now:
        raise MailKnownError
    return taken


class MailKnownError(Exception):
    """Another copy of the mail was taken in at the same time: roll back, and try again."""


async def _follow(
    context: IngestContext,
    connection: AsyncConnection,
    tenant: str,
    mailing: EmailConfig,
    mail: InboundMail,
    sender: InboundSender,
    ticket_id: UUID,
    received_at: datetime,
) -> AppliedMail | None:
    """What it says of that ticket; None where it is a matter of its own."""
    store = TicketStore(connection)
    ticket = await store.ticket(tenant, ticket_id)
    assert ticket is not None  # it was just found, and tickets are never deleted
    facts = (await store.facts([ticket_id]))[ticket_id]
    about = TicketOwner(ticket.body["customer"]["id"], ticket.body["contact"]["email"])
    mailbox = mailbox_of(mail, context.policy.mailboxes)
    found = reaction(mail, sender, mailbox, about, facts, received_at, mailing)
    if found is None:
        return None
    for event in found:
        command = RecordEvent(tenant, ticket_id, event, generated_id=event.event_id or "")
        await record_event(context, connection, command)
    told = [str(event.type) for event in found]
    if mailbox == "escalations" and not (sender.it_contact or sender.ours):
        told.append(_REROUTED)
    return AppliedMail("happened" if found else "noted", ticket_id, ", ".join(told) or None)


async def _join(
    connection: AsyncConnection, tenant: str, mail: InboundMail, sender: InboundSender
) -> AppliedMail | None:
    """With the ticket of a mail that refers to it, and came before it: by then all of that had been said."""
    ticket_id = await awaiting_ticket(connection, tenant, mail.message_id)
    ticket = await TicketStore(connection).ticket(tenant, ticket_id) if ticket_id is not None else None
    if ticket is None or not belongs(sender, ticket.body["customer"]["id"]):
        return None
    return AppliedMail("noted", ticket_id, "an earlier mail of its conversation")


async def _open(
    context: IngestContext,
    connection: AsyncConnection,
    tenant: str,
    mailing: EmailConfig,
    mail: InboundMail,
    sender: InboundSender,
    received_at: datetime,
) -> AppliedMail:
    request = opening(mail, sender, mailbox_of(mail, context.policy.mailboxes), received_at, mailing)
    if request is None:
        raise UnmappedError("missing_customer", UNKNOWN_CUSTOMER)
    (outcome,) = await create_tickets(context, connection, tenant, [request])
    if isinstance(outcome, IntakeError):
        if await ticket_of_mail(connection, tenant, mail.message_id):
            raise MailKnownError
        raise outcome
    return AppliedMail("opened" if outcome.created else "duplicate", outcome.ticket.ticket_id)
