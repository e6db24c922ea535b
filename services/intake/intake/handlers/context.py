"""The input and the results of the handlers that store tickets and events."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tocsin.events import Fact
from tocsin.policy import Policy

from intake.domain.ticket import StoredTicket


@dataclass(frozen=True, slots=True)
class IngestContext:
    """`business` maps a reading of the database's clock to business time.

    History is rejected while the outbox holds more than `history_outbox_limit` events.
    """

    policy: Policy
    business: Callable[[datetime], datetime]
    history_outbox_limit: int


@dataclass(frozen=True, slots=True)
class IngestedTicket:
    """A ticket as first stored; `created`: by this request, not earlier."""

    ticket: StoredTicket
    created: bool


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """A stored fact of a ticket; `created`: by this request, not earlier."""

    ticket_id: UUID
    fact: Fact
    created: bool
