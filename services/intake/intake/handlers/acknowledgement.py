"""Acknowledge an escalation by the link in its mail."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.acknowledgement import AcknowledgementLink, LinkSigner
from tocsin.lifecycle import without_automatic_responses
from tocsin.policy import Rules
from tocsin.runtime.database.engine import clock_timestamp

from intake.domain.acknowledgement import (
    LinkStatus,
    acknowledgement_event_id,
    acknowledgement_request,
    held_until,
    link_status,
)
from intake.domain.ticket import StoredTicket
from intake.errors import TicketNotFoundError
from intake.handlers.context import IngestContext
from intake.handlers.events import RecordEvent, record_event
from intake.store.tickets import TicketStore


@dataclass(frozen=True, slots=True)
class TicketLink:
    """A link with its ticket, its status, and the rules that the policy compiles for the ticket's customer.

    `at`: when it was opened, in business time.
    """

    link: AcknowledgementLink
    ticket: StoredTicket
    status: LinkStatus
    rules: Rules
    at: datetime

    @property
    def held_until(self) -> datetime | None:
        """The earliest instant of the next tier; None before the acknowledgement."""
        acknowledgement = self.status.acknowledgement
        if acknowledgement is None:
            return None
        interval = self.rules.interval[self.status.history.status.severity]
        return held_until(self.link, acknowledgement.occurred_at, interval)


async def load_link(context: IngestContext, connection: AsyncConnection, links: LinkSigner, token: str) -> TicketLink:
    """The link that `token` signs, with its ticket. Changes nothing.

    Raises InvalidLinkError, ExpiredLinkError (by the database's clock in business time) and TicketNotFoundError.
    """
    now = context.business(await clock_timestamp(connection))
    link = links.verify(token, now)
    store = TicketStore(connection)
    ticket = await store.load_ticket(link.tenant, link.ticket_id)
    if ticket is None:
        raise TicketNotFoundError
    rules = context.policy.rules(ticket.body["customer"]["id"])
    stored = (await store.load_facts([link.ticket_id]))[link.ticket_id]
    facts = without_automatic_responses(stored, rules.automatic_actors)
    return TicketLink(link, ticket, link_status(link, facts), rules, now)


async def acknowledge(context: IngestContext, connection: AsyncConnection, pending: TicketLink) -> TicketLink:
    """Record the acknowledgement of a pending link; the same link again counts once.

    If the ticket was closed meanwhile, the fact is stored and the timeline ignores it.
    """
    link = pending.link
    command = RecordEvent(
        link.tenant, link.ticket_id, acknowledgement_request(link), generated_id=acknowledgement_event_id(link)
    )
    recorded = await record_event(context, connection, command)
    return replace(pending, status=replace(pending.status, state="acknowledged", acknowledgement=recorded.fact))
