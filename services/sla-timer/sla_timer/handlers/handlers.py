"""What facts and the passing of time do: load, ask the domain, save. Never commits, but for the sweep's own batches."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.business_time import micros
from tocsin.events import (
    ClockBreached,
    ClockCancelled,
    ClockEvent,
    ClockMet,
    ClockVoided,
    ClockWarned,
    DeadlineEvent,
    Fact,
    LadderExhausted,
    LadderStepDue,
    Ticket,
    TicketChanged,
    TicketImported,
    TicketOpened,
    event_type,
)
from tocsin.instants import render_instant
from tocsin.runtime.database.engine import on_commit
from tocsin.runtime.database.offsets import Position
from tocsin.runtime.errors import PoisonMessageError
from tocsin.runtime.kafka.client import TICKETS
from tocsin.runtime.kafka.consumer import Received
from tocsin.runtime.process.clock import TimeSource

from sla_timer import metrics
from sla_timer.domain.evaluate import Judged, Stored, judge
from sla_timer.domain.event_mapping import Scope, announce
from sla_timer.domain.policy_history import PolicyBook
from sla_timer.domain.timeline_events import Item
from sla_timer.store.policies import all_policies, how_many_policies
from sla_timer.store.tables import OFFSETS
from sla_timer.store.tickets import Due, Store

log = structlog.get_logger(__name__)

SWEEP_LIMIT: Final = 300
JUDGE_LIMIT: Final = 100
"""Tickets judged between two statements: PostgreSQL ends a transaction that is idle for 5 s."""
_BY_ITSELF: Final = (ClockWarned, ClockBreached, LadderStepDue, LadderExhausted)
_OUTCOMES: Final[Mapping[type[DeadlineEvent], str]] = {
    ClockMet: "met",
    ClockBreached: "breached",
    ClockCancelled: "cancelled",
    ClockVoided: "voided",
}


class Handlers:
    """The timer's reactions. `writer` is used by what begins transactions of its own."""

    def __init__(self, writer: AsyncEngine, book: PolicyBook, clock: TimeSource) -> None:
        self._writer = writer
        self._book = book
        self._clock = clock
        self._renewed = 0

    async def facts_received(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """Stores the facts of a batch and judges every ticket of which one was new."""
        store = Store(connection)
        arrivals = _Arrivals(batch)
        await store.add_tickets(arrivals.tickets)
        await store.lock(arrivals.facts)
        new = await store.add_facts(arrivals.facts)
        await self._judge(connection, new)

    async def sweep(self, partition: int, through: datetime, confirmed_through: datetime | None = None) -> None:
        """Tells everything of a partition that fell due by `through`, in batches with a transaction each.

        `confirmed_through`: what lies after it is judged without proof. None: all of it is proven.
        """
        while True:
            async with self._writer.begin() as connection:
                store = Store(connection)
                due = await store.lock_due(partition, through, SWEEP_LIMIT)
                if due:
                    await self._know_policies(connection)
                fired = [self._fire(one, confirmed_through or through) for one in due]
                told = await store.tell([pair for pairs in fired for pair in pairs], self._clock.now())
                await store.breached(
                    [(event.ticket_id, item, event.at) for item, event in told if item.kind == "breached"]
                )
                await store.put_off(due)
                self._report_at_commit(connection, [event for _, event in told], [])
            if len(due) < SWEEP_LIMIT:
                return

    async def sweep_through(self, progress: Mapping[int, datetime | None]) -> None:
        """Sweeps the partitions that have something due by their progress; most of the time none has."""
        known = {partition: through for partition, through in progress.items() if through is not None}
        async with self._writer.connect() as connection:
            due = await Store(connection).partitions_due(known)
        for partition in due:
            await self.sweep(partition, known[partition])

    async def sweep_all(self) -> None:
        """Sweeps every partition up to its own progress: beside the progress records, in case one was missed."""
        async with self._writer.connect() as connection:
            positions = await OFFSETS.load(connection, TICKETS)
        await self.sweep_through({partition: found.accepted_through for partition, found in positions.items()})

    async def renew_policies(self) -> None:
        """Judges anew what was last judged with fewer versions of the policy.

        These are open tickets; and once, after a version came that is in force from an earlier instant than it was
        stored, also those that were closed since that instant.
        """
        async with self._writer.connect() as connection:
            await self._know_policies(connection)
        policies = self._book.policies
        since = min((policy.in_force_from for policy in policies[1:]), default=None)
        if len(policies) == self._renewed:
            since = None
        after = UUID(int=0)
        while True:
            async with self._writer.begin() as connection:
                tickets = await Store(connection).lock_older_than(len(policies), since, after, SWEEP_LIMIT)
                await self._judge(connection, tickets)
            if len(tickets) < SWEEP_LIMIT:
                self._renewed = len(policies)
                return
            after = tickets[-1]

    async def _know_policies(self, connection: AsyncConnection) -> None:
        """Asked after tickets are locked: whoever judged them before knew no version that we do not know now."""
        if await how_many_policies(connection) != len(self._book.policies):
            self._book.renew(await all_policies(connection))

    async def _judge(self, connection: AsyncConnection, ticket_ids: Collection[UUID]) -> None:
        """Judges tickets whose locks this transaction holds."""
        if not ticket_ids:
            return
        store = Store(connection)
        await self._know_policies(connection)
        progress = await OFFSETS.load(connection, TICKETS)
        wanted = sorted(ticket_ids)
        for begin in range(0, len(wanted), JUDGE_LIMIT):
            loaded = await store.load(wanted[begin : begin + JUDGE_LIMIT])
            judged = [self._judged(stored, progress.get(stored.partition)) for stored in loaded]
            told = await store.tell([pair for one in judged for pair in one.telling], self._clock.now())
            await store.judged(judged)
            answered = [pair for pair in zip(loaded, judged, strict=True) if _newly_answered(*pair)]
            self._report_at_commit(connection, [event for _, event in told], answered)

    def _judged(self, stored: Stored, position: Position | None) -> Judged:
        accepted_through = None if position is None else position.accepted_through
        return judge(stored, accepted_through, self._book.rulebook(stored.ticket.customer.id))

    def _fire(self, due: Due, confirmed_through: datetime) -> list[tuple[Item, DeadlineEvent]]:
        scope = Scope(
            due.ticket,
            self._book.rulebook(due.ticket.customer.id),
            due.severity,
            None if due.historic_through is None else micros(due.historic_through),
            micros(confirmed_through),
        )
        return [(planned.item, announce(planned.item, planned.happening, scope)) for planned in due.planned]

    def _report_at_commit(
        self, connection: AsyncConnection, events: Sequence[DeadlineEvent], answered: Sequence[tuple[Stored, Judged]]
    ) -> None:
        """Counts and logs what was told; what is rolled back is neither counted nor logged."""

        def report() -> None:
            now = self._clock.now()
            for event in events:
                _log_told(event)
                outcome = _OUTCOMES.get(type(event))
                if outcome is not None and isinstance(event, ClockEvent):
                    metrics.CLOCK_OUTCOMES.labels(event.clock, str(event.severity), outcome).inc()
                if isinstance(event, _BY_ITSELF) and not event.historic:
                    metrics.FIRE_LATENESS.observe(max(0.0, self._clock.lateness(event.at, now).total_seconds()))
            for stored, judged in answered:
                assert judged.responded_at is not None
                wait = judged.responded_at - stored.ticket.opened_at
                metrics.ANSWER_SECONDS.labels(stored.ticket.channel).observe(wait.total_seconds())

        if events or answered:
            on_commit(connection, report)


def _log_told(event: DeadlineEvent) -> None:
    tell = log.debug if event.historic else log.info
    about = {"ticket_id": str(event.ticket_id), "cycle": event.cycle, "run": event.run, "at": render_instant(event.at)}
    which = event.model_dump(include={"clock", "step", "reason"}, exclude_none=True)
    tell("told", type=event_type(event), **about, **which)


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
                    raise PoisonMessageError(f"{type(event).__name__} is no event of a ticket")
            facts[event.ticket_id].update((fact.number, fact) for fact in new)
        self.tickets = [tickets[ticket_id] for ticket_id in sorted(tickets)]
        self.facts = {ticket_id: list(by_number.values()) for ticket_id, by_number in facts.items()}


def _newly_answered(stored: Stored, judged: Judged) -> bool:
    return stored.responded_at is None and judged.responded_at is not None and stored.historic_through is None
