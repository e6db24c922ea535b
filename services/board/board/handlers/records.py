"""Handles the records of the four topics. Never commits.

Every record is stored once under its id, and the state of a ticket is computed from all its stored records. So the
order in which they arrive, also between topics, makes no difference, and a repeated record changes nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import (
    DeadlineEvent,
    DeliveryEvent,
    EscalationEvent,
    Event,
    Fact,
    LadderEvent,
    ReportReady,
    Ticket,
    TicketChanged,
    TicketImported,
    TicketOpened,
    event_id,
    event_type,
)
from tocsin.runtime.database.bulk import Write, execute
from tocsin.runtime.errors import PoisonMessageError
from tocsin.runtime.kafka.client import DEADLINES_TOPIC, ESCALATIONS_TOPIC, NOTIFICATIONS_TOPIC, TICKETS_TOPIC
from tocsin.runtime.kafka.records import Received

from board.domain.delivery_state import last_mail, latest_event
from board.domain.facts_summary import summarise_facts
from board.handlers.webhooks import WebhookQueue
from board.store import records, stale
from board.store.records import LockedRow


@dataclass(slots=True)
class _Opening:
    """A ticket as opened. `historic`: it was imported as history."""

    ticket: Ticket
    historic: bool


class Handlers:
    """One handler per topic, for its consumer. Each raises PoisonMessageError for another topic's events."""

    def __init__(self, webhooks: WebhookQueue) -> None:
        self._webhooks = webhooks
        self._changed_by: set[str] = set()

    def take_changes(self, topic: str) -> bool:
        """Whether a batch of the topic has changed a ticket since the last call; one without new records does not.

        By topic, because the batch of another consumer may not be committed yet.
        """
        has_changes = topic in self._changed_by
        self._changed_by.discard(topic)
        return has_changes

    async def on_tickets(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """Store facts, and compute the tickets that have new ones."""
        facts: dict[tuple[UUID, int], Fact] = {}
        records_of: dict[tuple[UUID, int], Received] = {}
        openings: dict[UUID, _Opening] = {}
        tenants: dict[UUID, str] = {}
        for received in batch:
            match received.event:
                case TicketOpened() as event:
                    arrived: Sequence[Fact] = (event.fact,)
                    openings[event.ticket_id] = _Opening(event.ticket, historic=False)
                    tenants[event.ticket_id] = event.ticket.tenant
                case TicketImported() as event:
                    arrived = event.facts
                    openings[event.ticket_id] = _Opening(event.ticket, historic=event.history)
                    tenants[event.ticket_id] = event.ticket.tenant
                case TicketChanged() as event:
                    arrived = (event.fact,)
                    tenants[event.ticket_id] = event.tenant
                case other:
                    raise _of_another_topic(other)
            facts |= {(event.ticket_id, fact.number): fact for fact in arrived}
            records_of |= {(event.ticket_id, fact.number): received for fact in arrived}
        tickets, new = await records.add_facts(connection, tenants, facts)
        changed = {ticket_id for ticket_id, _ in new}
        for ticket_id, opening in openings.items():
            if not tickets[ticket_id].opened:
                tickets[ticket_id] = replace(
                    tickets[ticket_id], ticket=opening.ticket, opened=True, historic=opening.historic
                )
                changed.add(ticket_id)
        writes = await _summaries(connection, {ticket_id: tickets[ticket_id] for ticket_id in sorted(changed)})
        await execute(connection, writes)
        await self._mark_stale(connection, changed, TICKETS_TOPIC)
        new_records = {id(record): record for key, record in records_of.items() if key in new}
        await self._webhooks.queue(connection, list(new_records.values()))

    async def on_deadlines(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """Store the events of clocks and ladders."""
        events = {}
        for received in batch:
            if not isinstance(received.event, DeadlineEvent):
                raise _of_another_topic(received.event)
            events[received.event.event_id] = received.event
        new_ids = await self._store_events(connection, list(events.values()), DEADLINES_TOPIC)
        await self._queue_webhooks(connection, batch, new_ids)

    async def on_escalations(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """Store the events of the escalator. Skip reports, which the board publishes on this topic."""
        events = {}
        for received in batch:
            if isinstance(received.event, EscalationEvent):
                events[received.event.event_id] = received.event
            elif not isinstance(received.event, ReportReady):
                raise _of_another_topic(received.event)
        new_ids = await self._store_events(connection, list(events.values()), ESCALATIONS_TOPIC)
        await self._queue_webhooks(connection, batch, new_ids)

    async def on_notifications(self, connection: AsyncConnection, batch: Sequence[Received]) -> None:
        """Store the latest state of each delivery, and who was mailed last. Skip reports, which have no ticket."""
        arrived: dict[UUID, list[DeliveryEvent]] = defaultdict(list)
        tenants: dict[UUID, str] = {}
        for received in batch:
            if not isinstance(received.event, DeliveryEvent):
                raise _of_another_topic(received.event)
            if received.event.kind != "report":
                arrived[received.event.delivery_id].append(received.event)
                tenants[received.event.ticket_id] = received.event.tenant
        await records.lock_tickets(connection, tenants)
        stored = {each.delivery_id: each for each in await records.load_deliveries_of(connection, tenants)}
        after = dict(stored)
        for delivery_id, events in arrived.items():
            known = [stored[delivery_id]] if delivery_id in stored else []
            after[delivery_id] = latest_event([*known, *events])
        changed = [event for delivery_id, event in after.items() if stored.get(delivery_id) != event]
        if not changed:
            return
        by_ticket: dict[UUID, list[DeliveryEvent]] = {event.ticket_id: [] for event in changed}
        for event in after.values():
            if event.ticket_id in by_ticket:
                by_ticket[event.ticket_id].append(event)
        mails = {ticket_id: last_mail(deliveries) for ticket_id, deliveries in sorted(by_ticket.items())}
        await execute(connection, [*records.delivery_writes(changed), *records.last_mail_writes(mails)])
        await stale.mark_changed(connection, by_ticket)
        self._changed_by.add(NOTIFICATIONS_TOPIC)

    async def _store_events(
        self, connection: AsyncConnection, events: Sequence[DeadlineEvent] | Sequence[EscalationEvent], topic: str
    ) -> set[UUID]:
        """Store events, and mark their tickets. Until its opening arrives, a ticket is that of its latest event.

        Returns the ids of the new ones.
        """
        if not events:
            return set()
        tickets, new_ids = await records.add_events(connection, events)
        new = [event for event in events if event.event_id in new_ids]
        unopened = {event.ticket_id for event in new if not tickets[event.ticket_id].opened}
        latest = await records.load_latest_tickets(connection, unopened)
        known = {ticket_id: replace(tickets[ticket_id], ticket=ticket) for ticket_id, ticket in sorted(latest.items())}
        await execute(connection, await _summaries(connection, known))
        ladders = {event.ticket_id: event.event_id for event in new if isinstance(event, LadderEvent)}
        await execute(connection, records.ladder_event_writes(ladders))
        await self._mark_stale(connection, {event.ticket_id for event in new}, topic)
        return new_ids

    async def _queue_webhooks(
        self, connection: AsyncConnection, batch: Sequence[Received], new_ids: Collection[UUID]
    ) -> None:
        new = {event_id(received.event): received for received in batch if event_id(received.event) in new_ids}
        await self._webhooks.queue(connection, list(new.values()))

    async def _mark_stale(self, connection: AsyncConnection, ticket_ids: Collection[UUID], topic: str) -> None:
        await stale.mark_stale(connection, ticket_ids)
        if ticket_ids:
            self._changed_by.add(topic)


async def _summaries(connection: AsyncConnection, tickets: Mapping[UUID, LockedRow]) -> list[Write]:
    """The writes that bring the known ones of these tickets up to date with their facts."""
    known = {ticket_id: stored for ticket_id, stored in tickets.items() if stored.ticket is not None}
    facts = await records.load_facts_of(connection, known)
    return records.summary_writes(
        {
            ticket_id: (stored, summarise_facts(stored.ticket, facts[ticket_id]))
            for ticket_id, stored in known.items()
            if stored.ticket is not None
        }
    )


def _of_another_topic(event: Event) -> PoisonMessageError:
    return PoisonMessageError(f"{event_type(event)} does not belong to this topic")
