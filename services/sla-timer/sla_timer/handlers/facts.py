"""Facts that arrive from Kafka."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact, TicketChanged, TicketImported, TicketOpened
from tocsin.runtime.errors import PoisonMessageError
from tocsin.runtime.kafka.records import Received

from sla_timer.handlers.context import TimerContext
from sla_timer.handlers.evaluation import evaluate_and_publish
from sla_timer.handlers.reporting import report_receipts
from sla_timer.store.tickets import ArrivedTicket, add_facts, add_tickets, lock_tickets


async def receive_facts(context: TimerContext, connection: AsyncConnection, batch: Sequence[Received]) -> None:
    """Store the facts of a batch and evaluate every ticket that has a new one. Raises PoisonMessageError."""
    tickets, facts = _tickets_and_facts(batch)
    await add_tickets(connection, tickets)
    await lock_tickets(connection, facts)
    added = await add_facts(connection, facts)
    report_receipts(connection, _live_facts(tickets, added))
    await evaluate_and_publish(context, connection, added)


def _live_facts(tickets: Sequence[ArrivedTicket], facts: Mapping[UUID, Sequence[Fact]]) -> list[Fact]:
    """The facts that were not posted as history. `tickets` are the new ones."""
    historic_through = {new.ticket.ticket_id: new.historic_through for new in tickets}
    live = []
    for ticket_id, added in facts.items():
        through = historic_through.get(ticket_id)
        live += [fact for fact in added if through is None or fact.received_at > through]
    return live


def _tickets_and_facts(batch: Sequence[Received]) -> tuple[list[ArrivedTicket], dict[UUID, list[Fact]]]:
    """The new tickets and all facts of a batch, each once, the tickets in the order of their ids."""
    tickets: dict[UUID, ArrivedTicket] = {}
    facts: dict[UUID, dict[int, Fact]] = defaultdict(dict)
    for received in batch:
        event = received.event
        match event:
            case TicketOpened():
                tickets[event.ticket_id] = ArrivedTicket(event.ticket, received.partition, historic_through=None)
                new: Sequence[Fact] = (event.fact,)
            case TicketImported():
                historic_through = event.received_at if event.history else None
                tickets[event.ticket_id] = ArrivedTicket(event.ticket, received.partition, historic_through)
                new = event.facts
            case TicketChanged():
                new = (event.fact,)
            case _:
                raise PoisonMessageError(f"{type(event).__name__} is not an event of a ticket")
        facts[event.ticket_id].update((fact.number, fact) for fact in new)
    return (
        [tickets[ticket_id] for ticket_id in sorted(tickets)],
        {ticket_id: list(by_number.values()) for ticket_id, by_number in facts.items()},
    )
