"""Taking in what several callers ask for at the same time, each by itself, in one transaction."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.http.problems import Problem

from intake.domain.ticket_request import TicketRequest
from intake.handlers.context import IngestContext, IngestedTicket, RecordedEvent
from intake.handlers.events import RecordEvent, record_events
from intake.handlers.idempotency import claim
from intake.handlers.tickets import create_tickets
from intake.store.idempotency import HeldKey, KeyUse, free_keys

Outcome = IngestedTicket | RecordedEvent | Problem


@dataclass(frozen=True, slots=True)
class TicketAsked:
    """A ticket to be taken in; `held` is the Idempotency-Key it came with."""

    tenant: str
    request: TicketRequest
    held: HeldKey | None = None

    def use(self) -> KeyUse:
        """What its Idempotency-Key is bound to."""
        return KeyUse(sha256(b"ticket" + self.request.digest()).digest())


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """An event to be taken in, with the Idempotency-Key it came with."""

    event: RecordEvent
    held: HeldKey | None = None

    def use(self) -> KeyUse:
        """What its Idempotency-Key is bound to, and the event id that its first use made."""
        told = b"event" + self.event.ticket_id.bytes + self.event.request.digest()
        return KeyUse(sha256(told).digest(), self.event.generated_id)


Asked = TicketAsked | HeldEvent


class HeldTwiceError(Exception):
    """Two ask with one Idempotency-Key at the same time: only one after the other can the second be judged."""


async def take_asked(context: IngestContext, connection: AsyncConnection, asked: Sequence[Asked]) -> list[Outcome]:
    """Take all of it in: one outcome each, in their order. What is refused has changed nothing and uses no key up.

    Whatever a transaction waits for, it is in one order: Idempotency-Keys, new tickets, tickets that are known, by id.
    Raises HeldTwiceError.
    """
    wanted = {each.held: each.use() for each in asked if each.held is not None}
    if len(wanted) < sum(each.held is not None for each in asked):
        raise HeldTwiceError
    uses = await claim(connection, wanted)
    outcomes: dict[int, Outcome] = {}
    tickets: dict[str, dict[int, TicketRequest]] = defaultdict(dict)
    events: dict[int, RecordEvent] = {}
    for index, each in enumerate(asked):
        use = uses[each.held] if each.held is not None else None
        if isinstance(use, Problem):
            outcomes[index] = use
        elif isinstance(each, TicketAsked):
            tickets[each.tenant][index] = each.request
        else:
            events[index] = (
                each.event if use is None else replace(each.event, generated_id=use.event_id or each.event.generated_id)
            )
    for tenant in sorted(tickets):
        requests = tickets[tenant]
        taken = await create_tickets(context, connection, tenant, list(requests.values()))
        outcomes |= zip(requests, taken, strict=True)
    if events:
        outcomes |= zip(events, await record_events(context, connection, list(events.values())), strict=True)
    refused = [each.held for index, each in enumerate(asked) if isinstance(outcomes[index], Problem)]
    await free_keys(connection, [held for held in refused if held and uses[held] is wanted[held]])
    return [outcomes[index] for index in range(len(asked))]
