"""What facts and the passing of time do: load, ask the domain, save. Never commits, but for the sweep's own batches."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.business_time import micros
from tocsin.events import (
    ClockBreached,
    ClockCancelled,
    ClockEvent,
    ClockMet,
    ClockVoided,
    ClockWarned,
    Deadline,
    Fact,
    LadderExhausted,
    LadderStepDue,
    Ticket,
    TicketChanged,
    TicketImported,
    TicketOpened,
)
from tocsin.runtime import offsets
from tocsin.runtime.clock import Clock
from tocsin.runtime.consumer import Poison, Received
from tocsin.runtime.kafka import TICKETS

from sla_timer import metrics
from sla_timer.announcing import Scope, announce
from sla_timer.book import PolicyBook
from sla_timer.happening import Item
from sla_timer.judging import Judged, Stored, judge
from sla_timer.store.policies import all_policies
from sla_timer.store.tables import OFFSETS
from sla_timer.store.tickets import Due, Store
from sla_timer.telling import Planned

SWEEP_LIMIT: Final = 300
_BY_ITSELF: Final = (ClockWarned, ClockBreached, LadderStepDue, LadderExhausted)
_OUTCOMES: Final[Mapping[type[Deadline], str]] = {
    ClockMet: "met",
    ClockBreached: "breached",
    ClockCancelled: "cancelled",
    ClockVoided: "voided",
}


class Handlers:
    """The timer's reactions. `writer` is used by what begins transactions of its own."""

    def __init__(self, writer: AsyncEngine, book: PolicyBook, clock: Clock) -> None:
        self._writer = writer
        self._book = book
        self._clock = clock

    async def facts_received(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """Stores the facts of a batch and judges every ticket of which one was new."""
        store = Store(connection)
        arrivals = _Arrivals(batch)
        await store.add_tickets(arrivals.tickets)
        await store.lock(arrivals.facts)
        new = await store.add_facts(arrivals.facts)
        await self._judge(connection, store, new)

    async def sweep(self, partition: int, through: datetime, confirmed_through: datetime | None = None) -> None:
        """Tells everything of a partition that fell due by `through`, in batches with a transaction each.

        `confirmed_through`: what lies after it is judged without proof. None: all of it is proven.
        """
        while True:
            async with self._writer.begin() as connection:
                store = Store(connection)
                due = await store.lock_due(partition, through, SWEEP_LIMIT)
                fired = [self._fire(one, through, confirmed_through or through) for one in due]
                told = await store.tell([pair for pairs in fired for pair in pairs])
                await store.breached(
                    [(event.ticket_id, item, event.at) for item, event in told if item.kind == "breached"]
                )
                await store.plan({one.ticket.ticket_id: (partition, _remaining(one, through)) for one in due})
            self._count([event for _, event in told])
            if len(due) < SWEEP_LIMIT:
                return

    async def sweep_all(self) -> None:
        """Sweeps every partition up to its own progress: beside the progress records, in case one was missed."""
        async with self._writer.connect() as connection:
            positions = await offsets.read(connection, OFFSETS, TICKETS)
        for partition, position in positions.items():
            if position.accepted_through is not None:
                await self.sweep(partition, position.accepted_through)

    async def renew_policies(self) -> None:
        """Judges open tickets anew that were last judged with fewer versions of the policy."""
        async with self._writer.connect() as connection:
            self._book.renew(await all_policies(connection))
        while True:
            async with self._writer.begin() as connection:
                store = Store(connection)
                tickets = await store.lock_older_than(len(self._book.policies), SWEEP_LIMIT)
                await self._judge(connection, store, tickets)
            if len(tickets) < SWEEP_LIMIT:
                return

    async def _judge(self, connection: AsyncConnection, store: Store, ticket_ids: Collection[UUID]) -> None:
        if not ticket_ids:
            return
        progress = await offsets.read(connection, OFFSETS, TICKETS)
        judged: list[Judged] = []
        for stored in await store.load(ticket_ids):
            position = progress.get(stored.partition)
            accepted_through = None if position is None else position.accepted_through
            one = judge(stored, accepted_through, self._book.rulebook(stored.ticket.customer.id))
            judged.append(one)
            _count_answer(stored, one)
        told = await store.tell([pair for one in judged for pair in one.telling])
        await store.judged(judged)
        self._count([event for _, event in told])

    def _fire(self, due: Due, through: datetime, confirmed_through: datetime) -> list[tuple[Item, Deadline]]:
        scope = Scope(
            due.ticket,
            self._book.rulebook(due.ticket.customer.id),
            due.severity,
            None if due.historic_through is None else micros(due.historic_through),
            micros(confirmed_through),
        )
        until = micros(through)
        return [
            (planned.item, announce(planned.item, planned.happening, scope))
            for planned in due.planned
            if planned.happening.at <= until
        ]

    def _count(self, events: Sequence[Deadline]) -> None:
        now = self._clock.now()
        for event in events:
            outcome = _OUTCOMES.get(type(event))
            if outcome is not None and isinstance(event, ClockEvent):
                metrics.CLOCK_OUTCOMES.labels(event.clock, str(event.severity), outcome).inc()
            if isinstance(event, _BY_ITSELF) and not event.historic:
                metrics.FIRE_LATENESS.observe(max(0.0, self._clock.lateness(event.at, now).total_seconds()))


class _Arrivals:
    """The tickets and facts of a batch, each once."""

    def __init__(self, batch: Sequence[Received]) -> None:
        tickets: dict[UUID, tuple[Ticket, int, int, datetime | None]] = {}
        facts: dict[UUID, dict[int, Fact]] = defaultdict(dict)
        for received in batch:
            event = received.event
            match event:
                case TicketOpened():
                    tickets[event.ticket_id] = (event.ticket, received.partition, event.ticket.initial_severity, None)
                    new: Sequence[Fact] = (event.fact,)
                case TicketImported():
                    historic = event.received_at if event.history else None
                    severity = event.ticket.initial_severity
                    tickets[event.ticket_id] = (event.ticket, received.partition, severity, historic)
                    new = event.facts
                case TicketChanged():
                    new = (event.fact,)
                case _:
                    raise Poison(f"{type(event).__name__} is no event of a ticket")
            facts[event.ticket_id].update((fact.number, fact) for fact in new)
        self.tickets = [tickets[ticket_id] for ticket_id in sorted(tickets)]
        self.facts = {ticket_id: list(by_number.values()) for ticket_id, by_number in facts.items()}


def _remaining(due: Due, through: datetime) -> list[Planned]:
    until = micros(through)
    return [planned for planned in due.planned if planned.happening.at > until]


def _count_answer(stored: Stored, judged: Judged) -> None:
    answered = judged.responded_at
    if stored.responded_at is None and answered is not None and stored.historic_through is None:
        metrics.ANSWER_SECONDS.labels(stored.ticket.channel).observe(
            (answered - stored.ticket.opened_at).total_seconds()
        )
