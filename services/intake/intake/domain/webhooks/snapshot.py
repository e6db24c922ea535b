"""The state of a ticket as one webhook delivery shows it, in the tool's own words. Pure.

A webhook is not an event. Tools send the present state of a ticket, often twice, often out of order, often without
saying what changed. An adapter reads snapshots from a payload, `mapping` translates them into ticket updates, and
`reconcile` compares all updates of a ticket with its known facts.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from intake.domain.webhooks.no_ticket import WebhookIgnoredReason
from intake.errors import UnreadableError

Action = Literal["created", "updated", "deleted"]


@dataclass(frozen=True, slots=True)
class ContactInfo:
    """The contact of a ticket; None: not stated."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class ImpactInfo:
    """The criteria of the severity matrix in the tool's words; None: not stated."""

    business_risk: str | None = None
    work_stoppage: str | None = None
    users_affected_percent: str | None = None
    workaround: str | None = None


@dataclass(frozen=True, slots=True)
class AssigneeInfo:
    """Who works on the ticket, by the tool's number or name; None: not stated. `nobody`: it says that nobody does."""

    id: str | None = None
    name: str | None = None
    email: str | None = None
    nobody: bool = False


@dataclass(frozen=True, slots=True)
class TicketSnapshot:
    """A ticket as the tool sent it. None: this delivery does not state the field, so an earlier statement stays valid.

    `external_id` is the ticket's id in the tool. `seen_at` is when the ticket was in this state by the tool's clock
    (last updated; None: not stated, and the receipt counts); `sequence` orders snapshots of the same instant.
    `opened_at`, `responded_at` and `resolved_at` are the tool's own instants. All instants are aware UTC. `status`,
    `priority`, `queue` (board, team, group), `type`, `channel`, `via`, `it_contact` and the criteria of `impact` are
    words or ids of the tool, not mapped yet. `text_cleaned`: an id, a name or an address had control characters.
    `actor` made the change. `found_nothing` lists what the mapping names and
    the payload does not have, for `hooks try`.
    """

    external_id: str
    action: Action | None = None
    seen_at: datetime | None = None
    sequence: int = 0
    opened_at: datetime | None = None
    responded_at: datetime | None = None
    resolved_at: datetime | None = None
    status: str | None = None
    priority: str | None = None
    queue: str | None = None
    type: str | None = None
    channel: str | None = None
    summary: str | None = None
    description: str | None = None
    customer_id: str | None = None
    customer_name: str | None = None
    contact: ContactInfo = field(default_factory=ContactInfo)
    services: tuple[str, ...] | None = None
    via: str | None = None
    it_contact: str | None = None
    starts_at: datetime | None = None
    impact: ImpactInfo = field(default_factory=ImpactInfo)
    assignee: AssigneeInfo = field(default_factory=AssigneeInfo)
    actor: str | None = None
    text_cleaned: bool = False
    found_nothing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryContent:
    """What an adapter reads from one delivery.

    `tickets` are its tickets in their order; if only some of several are readable, the others are there as errors.
    `key` identifies the delivery in the tool: the same key is the same delivery. None: the tool sends no identity.
    `ignored` is why a delivery has no tickets and need not have any, `about` its subject (a note, a test call). Both
    are None if it has tickets.
    """

    tickets: tuple[TicketSnapshot | UnreadableError, ...] = ()
    key: str | None = None
    ignored: WebhookIgnoredReason | None = None
    about: str | None = None

    @property
    def snapshots(self) -> tuple[TicketSnapshot, ...]:
        """The readable tickets."""
        return tuple(ticket for ticket in self.tickets if isinstance(ticket, TicketSnapshot))


def read_each(readers: Iterable[Callable[[], TicketSnapshot]]) -> tuple[TicketSnapshot | UnreadableError, ...]:
    """The result of each reader, or its error. Raises UnreadableError if every reader fails."""
    results: list[TicketSnapshot | UnreadableError] = []
    for read in readers:
        try:
            results.append(read())
        except UnreadableError as error:
            results.append(error)
    errors = [result for result in results if isinstance(result, UnreadableError)]
    if errors and len(errors) == len(results):
        raise errors[0]
    return tuple(results)
