"""Facts that arrive from Kafka."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact, TicketChanged, TicketImported, TicketOpened
from tocsin.runtime.errors import PoisonMessageError
from tocsin.runtime.kafka.records import Received

from sla_timer.domain.ticket_evaluation import TicketRecord
from sla_timer.handlers.context import TimerContext
from sla_timer.handlers.evaluation import CHUNK, evaluate_and_publish
from sla_timer.handlers.reporting import report_receipts
from sla_timer.store.tickets import add_facts, load_facts, load_tickets


@dataclass(slots=True)
class _Arrivals:
    """What a batch brings of one ticket: its facts by number, and the ticket itself if it was opened or imported."""

    facts: dict[int, Fact] = field(default_factory=dict)
    opened: TicketRecord | None = None


async def receive_facts(context: TimerContext, connection: AsyncConnection, batch: Sequence[Received]) -> None:
    """Store the facts of a batch and evaluate every ticket that has a new one. Raises PoisonMessageError."""
    arrivals = _by_ticket(batch)
    ordered = sorted(arrivals)
    for begin in range(0, len(ordered), CHUNK):
        chunk = {ticket_id: arrivals[ticket_id] for ticket_id in ordered[begin : begin + CHUNK]}
        await _receive(context, connection, chunk)


async def _receive(context: TimerContext, connection: AsyncConnection, arrivals: Mapping[UUID, _Arrivals]) -> None:
    stored = {one.ticket.ticket_id: one for one in await load_tickets(connection, arrivals, lock=True)}
    # Of a ticket that is not stored, only facts can be: those that arrived before its opening.
    unknown = arrivals.keys() - stored.keys()
    waiting = await load_facts(connection, unknown)
    records: list[TicketRecord] = []
    new: list[tuple[UUID, Fact]] = []
    live: list[Fact] = []
    for ticket_id, arrived in arrivals.items():
        record = stored.get(ticket_id, arrived.opened)
        earlier = stored[ticket_id].facts if ticket_id in stored else waiting[ticket_id]
        added = _unknown(arrived.facts, earlier)
        if not added:
            continue
        new += [(ticket_id, fact) for fact in added]
        if record is None:
            live += added
        else:
            live += [fact for fact in added if not record.is_historic(fact.received_at)]
            records.append(replace(record, facts=[*earlier, *added]))
    await add_facts(connection, new)
    report_receipts(connection, live)
    await evaluate_and_publish(context, connection, records, new=unknown)


def _unknown(arrived: Mapping[int, Fact], earlier: Sequence[Fact]) -> list[Fact]:
    """The facts, by number, that are not among the earlier ones."""
    numbers = {fact.number for fact in earlier}
    return [fact for number, fact in sorted(arrived.items()) if number not in numbers]


def _by_ticket(batch: Sequence[Received]) -> dict[UUID, _Arrivals]:
    """What a batch brings of each ticket, each fact once."""
    arrivals: dict[UUID, _Arrivals] = {}
    for received in batch:
        event = received.event
        opened: TicketRecord | None = None
        match event:
            case TicketOpened():
                facts: Sequence[Fact] = (event.fact,)
                opened = TicketRecord.opened(event.ticket, received.partition)
            case TicketImported():
                facts = event.facts
                historic_through = event.received_at if event.history else None
                opened = TicketRecord.opened(event.ticket, received.partition, historic_through)
            case TicketChanged():
                facts = (event.fact,)
            case _:
                raise PoisonMessageError(f"{type(event).__name__} is not an event of a ticket")
        arrived = arrivals.setdefault(event.ticket_id, _Arrivals())
        arrived.facts.update((fact.number, fact) for fact in facts)
        arrived.opened = opened or arrived.opened
    return arrivals
