"""Loads everything that a ticket's page shows."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.directory import Directory
from tocsin.events import DeadlineEvent, EscalationEvent

from board import metrics
from board.domain.clock_ledger import TicketLedger
from board.domain.ticket_story import TicketStory
from board.errors import UpstreamError
from board.sources.upstream import Upstream
from board.store import history, tickets

_PATIENCE_SECONDS: Final = 3
"""The longest wait for sla-timer, whose ledger alone is not stored here."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TicketPages:
    """The sources of the pages of tickets."""

    reader: AsyncEngine
    upstream: Upstream

    async def load(self, tenant: str, ticket_id: UUID, directory: Directory | None) -> TicketStory:
        """The tenant's ticket with its history. If sla-timer does not respond, the ledger is null.

        Raises TicketNotOnBoardError.
        """
        async with self.reader.connect() as connection:
            ticket = await tickets.load_ticket(connection, tenant, ticket_id)
            facts = await history.load_facts(connection, ticket_id)
            events = await history.load_events(connection, ticket_id)
            deliveries = await history.load_deliveries(connection, ticket_id)
        return TicketStory(
            ticket=ticket,
            facts=facts,
            events=[event for event in events if isinstance(event, DeadlineEvent | EscalationEvent)],
            deliveries=deliveries,
            ledger=await self._ledger(tenant, ticket_id),
            names=_names(tenant, directory),
        )

    async def _ledger(self, tenant: str, ticket_id: UUID) -> TicketLedger | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return TicketLedger.model_validate(await self.upstream.ticket_clocks(tenant, ticket_id))
        except (UpstreamError, ValidationError, TimeoutError) as error:
            metrics.LEDGERS_MISSING.inc()
            log.warning("ledger_missing", ticket_id=str(ticket_id), error=repr(error))
            return None


def _names(tenant: str, directory: Directory | None) -> Mapping[str, str]:
    """The names of the directory's people by id, for the tenant whose directory it is."""
    if directory is None or directory.tenant != tenant:
        return {}
    return {person: known.name for person, known in directory.people.items()}
