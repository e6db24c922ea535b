"""What a link in a mail leads to: how its ticket stands, and the acknowledgement."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.acknowledgement import AcknowledgementLink, LinkSigner
from tocsin.policy import Rules
from tocsin.runtime.database.engine import clock_timestamp

from intake.domain.acknowledgement import Finding, event_id_of, find, held_until, request_of
from intake.handlers.context import Desk, unknown_ticket
from intake.handlers.events import take_event
from intake.store import Store, StoredTicket


@dataclass(frozen=True, slots=True)
class Seen:
    """A link's ticket as it stands, with the terms of its customer.

    `held_until` is the earliest instant at which the next tier is told, null before the acknowledgement (RULES 5).
    """

    link: AcknowledgementLink
    ticket: StoredTicket
    finding: Finding
    rules: Rules

    @property
    def held_until(self) -> datetime | None:
        given = self.finding.given
        if given is None:
            return None
        return held_until(self.link, given.occurred_at, self.rules.interval[self.finding.story.severity])


async def look(desk: Desk, connection: AsyncConnection, links: LinkSigner, token: str) -> Seen:
    """How the ticket of that link stands. Changes nothing.

    Raises InvalidLinkError, ExpiredLinkError (told by the database's clock, in business time), Problem 404.
    """
    link = links.verify(token, desk.business(await clock_timestamp(connection)))
    store = Store(connection)
    ticket = await store.ticket(link.tenant, link.ticket_id)
    if ticket is None:
        raise unknown_ticket()
    facts = (await store.facts([link.ticket_id]))[link.ticket_id]
    rules = desk.policy.rules(ticket.body["customer"]["id"])
    return Seen(link, ticket, find(link, facts), rules)


async def acknowledge(desk: Desk, connection: AsyncConnection, seen: Seen) -> Seen:
    """Store the acknowledgement of a link that is still pending. The same link again counts once.

    Where the ticket was closed meanwhile the fact is kept, and ignored by the timeline.
    """
    link = seen.link
    taken = await take_event(desk, connection, link.tenant, link.ticket_id, request_of(link), event_id_of(link))
    return replace(seen, finding=replace(seen.finding, state="acknowledged", given=taken.fact))
