"""The use case of a mail: it opens a ticket, causes events on one, or changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.lifecycle import without_automatic_responses
from tocsin.runtime.database.engine import clock_timestamp

from intake.domain.mail import AutomaticSign, IgnoredReason
from intake.domain.mail_author import TicketOwner
from intake.domain.mail_rules import (
    all_subject_ids,
    candidate_tickets,
    choose_ticket,
    derive_events,
    draft_ticket,
)
from intake.domain.received_mail import ReceivedMail, describe_ignored
from intake.domain.ticket import StoredTicket
from intake.errors import IntakeError, UnmappedError, UnmappedReason
from intake.handlers.context import IngestContext
from intake.handlers.events import RecordEvent, record_event
from intake.handlers.tickets import create_tickets
from intake.store.mails import (
    MailIdentity,
    add_mail,
    awaiting_ticket,
    count_opened,
    existing_tickets,
    find_known_mail,
    lock_mails,
    tickets_of_contact,
    tickets_of_mails,
)
from intake.store.tickets import TicketStore

_UNKNOWN_SENDER: Final = "Unknown sender. Add the sender's domain to a customer under `email`."
_UNKNOWN_AUTHOR: Final = (
    "The mail came through a mailing list of ours, which replaced the author in From. Let the list keep the author in"
    " X-Original-From or Reply-To, or add a `customer` for unknown senders under `email`."
)
_UNKNOWN_ORIGINAL: Final = "Staff reply to a mail that has not arrived. Replay it after the original has arrived."
_REROUTED: Final = "rerouted to Support@: Escalations@ is for the customer's IT contact"
_MAX_CANDIDATES: Final = 20
MAX_MACHINE_TICKETS: Final = 60
"""How many tickets the automatic mails of one sender may open within an hour."""
_OPENED_WITHIN: Final = timedelta(days=30)


class MailResult(StrEnum):
    """The effect of a mail.

    opened: it opened a ticket. happened: it caused events on a ticket. noted: it belongs to a ticket and changes
    nothing. duplicate: a copy was processed before. automatic: a machine wrote it, so it is ignored.
    """

    OPENED = "opened"
    HAPPENED = "happened"
    NOTED = "noted"
    DUPLICATE = "duplicate"
    AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True)
class AppliedMail:
    """The effect of a mail; `detail` names the events, or says why there are none.

    `ignored` is the sign that a machine wrote it; `opened_before`: earlier mails of that sender opened tickets.
    `opened` is the ticket that it opened.
    """

    result: MailResult
    ticket_id: UUID | None = None
    detail: str | None = None
    ignored: IgnoredReason | None = None
    opened_before: bool = False
    opened: StoredTicket | None = None


async def apply_mail(
    context: IngestContext, connection: AsyncConnection, tenant: str, received: ReceivedMail, sources: Sequence[str]
) -> AppliedMail:
    """Apply a mail; `sources` are the tools whose ticket ids may be in its subject.

    Raises UnmappedError for an unknown sender and for our own reply to an unknown mail, and IntakeError if the ticket
    cannot be opened.
    """
    mail, author = received.mail, received.author
    if (sign := received.ignored) is not None:
        return await _ignore(connection, tenant, received, sign)
    await lock_mails(connection, tenant, {mail.message_id, (mail.message_id, *mail.references)[-1]})
    identity = MailIdentity(mail.message_id, mail.digests, author.address.email if author.is_found else "")
    known = await find_known_mail(connection, tenant, identity)
    if known is not None and known.is_copy:
        return AppliedMail(MailResult.DUPLICATE, known.ticket_id)
    if known is not None:
        received = received.as_other_mail()
    applied = await _update(context, connection, tenant, received, sources)
    if applied is None and known is None:
        applied = await _join(connection, tenant, received)
    if applied is None and received.is_reply_to_outside:
        raise UnmappedError(UnmappedReason.MISSING_OPENING, _UNKNOWN_ORIGINAL)
    if applied is None:
        applied = await _open(context, connection, tenant, received)
    if applied.ticket_id is not None:
        await add_mail(connection, tenant, identity, mail.references, applied.ticket_id, received.received_at)
    return applied


async def _ignore(connection: AsyncConnection, tenant: str, received: ReceivedMail, sign: AutomaticSign) -> AppliedMail:
    sender, since = received.author.address.email, received.received_at - _OPENED_WITHIN
    opened_before = sign.may_be_request and await count_opened(connection, tenant, sender, since) > 0
    detail = describe_ignored(received, sign, opened_before=opened_before)
    return AppliedMail(MailResult.AUTOMATIC, detail=detail, ignored=sign.reason, opened_before=opened_before)


async def _update(
    context: IngestContext, connection: AsyncConnection, tenant: str, received: ReceivedMail, sources: Sequence[str]
) -> AppliedMail | None:
    """Record the events that the mail causes on its ticket; None if it belongs to no ticket."""
    store = TicketStore(connection)
    owners = await _candidate_owners(connection, tenant, received, sources)
    ticket_id = choose_ticket(received, owners)
    if ticket_id is None:
        return None
    stored = (await store.load_facts([ticket_id]))[ticket_id]
    facts = without_automatic_responses(stored, context.policy.automatic_actors)
    events = derive_events(received, owners[ticket_id], facts)
    if events is None:
        return None
    for event in events:
        await record_event(context, connection, RecordEvent(tenant, ticket_id, event, event.event_id or ""))
    details = [str(event.type) for event in events]
    author = received.author
    if received.mailbox == "escalations" and not (author.is_it_contact or author.is_staff):
        details.append(_REROUTED)
    result = MailResult.HAPPENED if events else MailResult.NOTED
    return AppliedMail(result, ticket_id, ", ".join(details) or None)


async def _candidate_owners(
    connection: AsyncConnection, tenant: str, received: ReceivedMail, sources: Sequence[str]
) -> dict[UUID, TicketOwner]:
    """The owners of the tickets that the mail may be a reply to, the most likely first."""
    mail = received.mail
    found = await tickets_of_mails(connection, tenant, mail.references)
    found += await existing_tickets(connection, tenant, candidate_tickets(mail, tenant, sources))
    found += await tickets_of_contact(connection, tenant, all_subject_ids(mail), received.correspondents)
    tickets = await TicketStore(connection).load_tickets(list(dict.fromkeys(found))[:_MAX_CANDIDATES])
    return {ticket_id: _owner_of(tickets[ticket_id]) for ticket_id in found if ticket_id in tickets}


async def _join(connection: AsyncConnection, tenant: str, received: ReceivedMail) -> AppliedMail | None:
    """Add the mail to the ticket of a reply that arrived before it; it changes nothing (docs/rules.md#6-19)."""
    ticket_id = await awaiting_ticket(connection, tenant, received.mail.message_id)
    ticket = await TicketStore(connection).load_ticket(tenant, ticket_id) if ticket_id is not None else None
    if ticket is None or not received.author.belongs_to(_owner_of(ticket)):
        return None
    return AppliedMail(MailResult.NOTED, ticket_id, "an earlier mail of the conversation")


def _owner_of(ticket: StoredTicket) -> TicketOwner:
    contact = ticket.body["contact"]
    return TicketOwner(ticket.body["customer"]["id"], contact["email"], contact["name"])


async def _open(
    context: IngestContext, connection: AsyncConnection, tenant: str, received: ReceivedMail
) -> AppliedMail:
    request = draft_ticket(received)
    if request is None:
        problem = _UNKNOWN_SENDER if received.author.is_found else _UNKNOWN_AUTHOR
        raise UnmappedError(UnmappedReason.MISSING_CUSTOMER, problem)
    if received.mail.automatic is not None:
        await _check_machine(context, connection, tenant, received.author.address.email)
    (outcome,) = await create_tickets(context, connection, tenant, [request])
    if isinstance(outcome, IntakeError):
        raise outcome
    ticket = outcome.ticket
    if not outcome.created:
        return AppliedMail(MailResult.DUPLICATE, ticket.ticket_id)
    return AppliedMail(MailResult.OPENED, ticket.ticket_id, opened=ticket)


# docs/rules.md#6-27
async def _check_machine(context: IngestContext, connection: AsyncConnection, tenant: str, sender: str) -> None:
    """Raises UnmappedError if a machine has opened so many tickets that it may be replying to another machine."""
    now = context.business(await clock_timestamp(connection))
    if await count_opened(connection, tenant, sender, now - timedelta(hours=1)) >= MAX_MACHINE_TICKETS:
        text = (
            f"This automatic sender opened {MAX_MACHINE_TICKETS} tickets within an hour. If two machines reply to each"
            " other, dismiss its mails; otherwise replay them an hour later."
        )
        raise UnmappedError(UnmappedReason.TOO_MANY, text)
