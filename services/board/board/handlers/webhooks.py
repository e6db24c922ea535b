"""Queues the webhooks of new events, in the transaction that stores the events."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.events import Fact, Ticket, derived_id
from tocsin.runtime.database.bulk import among
from tocsin.runtime.database.engine import clock_timestamp, on_commit
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import TimeSource

from board.domain.ticket_links import TicketLinks
from board.domain.webhooks.config import WebhookEndpoint
from board.domain.webhooks.delivery import GIVE_UP, OutgoingState
from board.domain.webhooks.occurrence import (
    FOLLOW_UPS,
    AcknowledgedTicket,
    WebhookOccurrence,
    acknowledged_facts,
    acknowledgement_of,
    occurrence_of,
)
from board.domain.webhooks.rendering import render_body, render_standard
from board.errors import WebhookTemplateError
from board.sources.webhooks_file import LoadedWebhooks, WebhooksFile
from board.store.tables import TICKETS
from board.store.webhook_deliveries import add_webhooks, load_known, load_notified
from board.store.webhook_endpoints import EndpointKey, add_endpoints, load_since
from board.store.webhook_floors import load_floors

log = structlog.get_logger(__name__)

MAX_AGE: Final = timedelta(days=1)
"""An event that occurred longer ago, in business time, makes no webhook, unless it ends or takes back what the endpoint
got about the ticket.
"""


@dataclass(frozen=True)
class WebhookQueue:
    """Decides which events make webhooks (docs/decisions/0049-outgoing-webhooks.md), and stores them with their bodies.

    `wake` is called after a commit of new ones.
    """

    file: WebhooksFile
    clock: TimeSource
    links: TicketLinks
    wake: Callable[[], None]

    async def queue(self, connection: AsyncConnection, received: Sequence[Received]) -> None:
        """Queue the webhooks of events that this transaction stored for the first time, in this order.

        Their tickets must be stored already. A body that cannot be rendered is stored as failed, and logged.
        """
        loaded = self.file.current()
        if not loaded.webhooks.endpoints:
            return
        occurrences = await self._occurrences(connection, received)
        wanted = [
            (endpoint, occurrence)
            for occurrence in occurrences
            for endpoint in loaded.webhooks.endpoints
            if endpoint.wants(occurrence)
        ]
        if not wanted:
            return
        since = dict(await load_since(connection))
        new: list[EndpointKey] = [(each.tenant, each.id) for each in loaded.webhooks.endpoints]
        if new := [key for key in new if key not in since]:
            # They get the events that occur from now on.
            await add_endpoints(connection, new, self.clock.now())
            since |= dict.fromkeys(new, self.clock.now())
        wanted = [
            (endpoint, occurrence)
            for endpoint, occurrence in wanted
            if occurrence.at >= since[endpoint.tenant, endpoint.id]
        ]
        now = await clock_timestamp(connection)
        kept = await self._without_old(connection, await _without_unknown_voids(connection, wanted))
        rows = [self._row(loaded, endpoint, occurrence, now) for endpoint, occurrence in kept]
        if await add_webhooks(connection, rows):
            on_commit(connection, self.wake)

    async def _without_old(
        self, connection: AsyncConnection, wanted: Sequence[tuple[WebhookEndpoint, WebhookOccurrence]]
    ) -> Sequence[tuple[WebhookEndpoint, WebhookOccurrence]]:
        """Without old events about tickets of which the endpoint got nothing."""
        oldest = self.clock.now() - MAX_AGE
        old = {occurrence.ticket.ticket_id for _, occurrence in wanted if occurrence.at < oldest}
        notified = set(await load_notified(connection, old)) if old else set()
        kept = []
        for endpoint, occurrence in wanted:
            about = (endpoint.tenant, endpoint.id, occurrence.ticket.ticket_id)
            if occurrence.at >= oldest or about in notified:
                kept.append((endpoint, occurrence))
                notified.add(about)
        return kept

    async def _occurrences(
        self, connection: AsyncConnection, received: Sequence[Received]
    ) -> Sequence[WebhookOccurrence]:
        oldest = self.clock.now() - MAX_AGE
        found: list[tuple[Received, WebhookOccurrence]] = []
        tickets = await _load_tickets(connection, [fact for each in received for fact in _acknowledged(each)])
        for each in received:
            if (occurrence := occurrence_of(each.event)) is not None:
                found.append((each, occurrence))
            for ticket_id, fact in _acknowledged(each):
                if (known := tickets.get(ticket_id)) is not None:
                    found.append((each, acknowledgement_of(fact, known)))
        recent = [
            (each, occurrence)
            for each, occurrence in found
            if occurrence.at >= oldest or occurrence.event in FOLLOW_UPS
        ]
        if not recent:
            return []
        floors = await load_floors(connection, {each.topic for each, _ in recent})
        return [occurrence for each, occurrence in recent if each.offset >= floors.get((each.topic, each.partition), 0)]

    def _row(
        self, loaded: LoadedWebhooks, endpoint: WebhookEndpoint, occurrence: WebhookOccurrence, now: datetime
    ) -> Mapping[str, Any]:
        ticket_id = occurrence.ticket.ticket_id
        problem: str | None = None
        try:
            body = render_body(endpoint, loaded.template_of(endpoint), occurrence, self.links)
        except WebhookTemplateError as error:
            log.error("webhook_not_rendered", endpoint=endpoint.id, ticket_id=str(ticket_id), problem=str(error))
            problem, body = str(error), render_standard(occurrence, self.links)
        return {
            "delivery_id": webhook_id(endpoint, occurrence),
            "tenant": endpoint.tenant,
            "endpoint": endpoint.id,
            "ticket_id": ticket_id,
            "event_id": occurrence.event_id,
            "event": occurrence.event,
            "at": occurrence.at,
            "body": body,
            "state": OutgoingState.WAITING if problem is None else OutgoingState.FAILED,
            "queued_at": now,
            "give_up_at": now + GIVE_UP,
            "ready_at": now if problem is None else None,
            "finished_at": None if problem is None else now,
            "problem": problem,
        }


def webhook_id(endpoint: WebhookEndpoint, occurrence: WebhookOccurrence) -> UUID:
    """The webhook-id: always the same for an event and an endpoint."""
    return _id_of(endpoint, occurrence, occurrence.event_id)


def _id_of(endpoint: WebhookEndpoint, about: WebhookOccurrence, event_id: UUID) -> UUID:
    return derived_id(about.ticket.ticket_id, "webhook", endpoint=endpoint.id, event=event_id)


async def _without_unknown_voids(
    connection: AsyncConnection, wanted: Sequence[tuple[WebhookEndpoint, WebhookOccurrence]]
) -> Sequence[tuple[WebhookEndpoint, WebhookOccurrence]]:
    """Without the corrections of warnings and breaches of which the endpoint has no webhook.

    Corrections of steps stay: the step comes from another topic, and may arrive after them.
    """
    voided = {
        number: _id_of(endpoint, occurrence, occurrence.voids.event_id)
        for number, (endpoint, occurrence) in enumerate(wanted)
        if occurrence.voids is not None and occurrence.voids.event_id is not None
    }
    if not voided:
        return wanted
    known = await load_known(connection, set(voided.values()))
    known |= {webhook_id(endpoint, occurrence) for endpoint, occurrence in wanted}
    return [each for number, each in enumerate(wanted) if number not in voided or voided[number] in known]


def _acknowledged(received: Received) -> Iterator[tuple[UUID, Fact]]:
    ticket_id = received.event.ticket_id
    if ticket_id is not None:
        yield from ((ticket_id, fact) for fact in acknowledged_facts(received.event))


async def _load_tickets(
    connection: AsyncConnection, acknowledged: Sequence[tuple[UUID, Fact]]
) -> Mapping[UUID, AcknowledgedTicket]:
    """The tickets of acknowledgements, from the read model. One that has not arrived there is missing."""
    ids = {ticket_id for ticket_id, _ in acknowledged}
    if not ids:
        return {}
    columns = TICKETS.c
    query = select(columns.ticket_id, columns.ticket, columns.severity).where(
        among(columns.ticket_id, ids), columns.ticket.is_not(None)
    )
    rows = (await connection.execute(query)).all()
    for missing in ids - {row.ticket_id for row in rows}:
        log.warning("webhook_ticket_unknown", ticket_id=str(missing))
    return {row.ticket_id: AcknowledgedTicket(Ticket.model_validate_json(row.ticket), row.severity) for row in rows}
