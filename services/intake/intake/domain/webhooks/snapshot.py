"""What one delivery of a tool says of one of its tickets: the ticket as it was seen at one instant. Pure.

A webhook is no event: tools send the ticket's present state, often twice, often out of order, often coarse. An adapter
turns a payload into sightings, in the tool's own words; what they mean (which severity, which status pauses) is the
mapping's, and which facts follow is found by comparing all sightings of a ticket with what is known of it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class ContactInfo:
    """Somebody as the tool names them. None: it did not say."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class TicketSnapshot:
    """A ticket as the tool showed it. None: this delivery did not say, so what an earlier one said stands.

    `external_id` is the ticket's id in the tool. `seen_at` is the tool's own instant of this state (last updated; None:
    it gives none, and the receipt counts), `sequence` its order among those of the same instant. `opened_at`,
    `responded_at`, `resolved_at` are the tool's own instants of what happened; instants are aware UTC. `status`,
    `priority`, `queue` (board, team, group), `type` and `channel` are the tool's words or ids, as text, still unmapped.
    `actor` is who made the change. `found_nothing` are the fields of the mapping, with their expressions, that this
    delivery does not say: who tries a mapping looks for mistakes among them.
    """

    external_id: str
    action: Literal["created", "updated", "deleted"] | None = None
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
    actor: str | None = None
    found_nothing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryContent:
    """What an adapter makes of one delivery.

    `key` is the tool's own identity of it: the same again is the same delivery. None: the tool gives none, and the
    digest of the body counts. `about` tells what it concerned where it holds no ticket (a note, a test call). `tickets`
    are its tickets in their places; of several one that cannot be read is there as the reason.
    """

    tickets: tuple["TicketSnapshot | UnreadableError", ...]
    key: str | None = None
    about: str | None = None

    @property
    def sightings(self) -> tuple[TicketSnapshot, ...]:
        """Those that can be read."""
        return tuple(ticket for ticket in self.tickets if isinstance(ticket, TicketSnapshot))


class UnreadableError(Exception):
    """A payload that is not what this tool sends; `field` says where, str() what is wrong and what would be right.

    It is kept as an unmapped webhook, and can be replayed.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def each(readings: Iterable[Callable[[], TicketSnapshot]]) -> tuple[TicketSnapshot | UnreadableError, ...]:
    """What comes of each of these, by itself. Raises UnreadableError where none of them can be read."""
    found: list[TicketSnapshot | UnreadableError] = []
    for reading in readings:
        try:
            found.append(reading())
        except UnreadableError as problem:
            found.append(problem)
    problems = [one for one in found if isinstance(one, UnreadableError)]
    if problems and len(problems) == len(found):
        raise problems[0]
    return tuple(found)


Payload = Mapping[str, object] | list[object]
"""The body once parsed as JSON."""
