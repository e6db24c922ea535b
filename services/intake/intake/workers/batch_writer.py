"""Store the tickets of a batch, in chunks that each are one short transaction."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.database.engine import is_transient

from intake.domain.ticket_request import BatchItemRequest
from intake.errors import IntakeError, StorageError
from intake.handlers.context import IngestContext, IngestedTicket
from intake.handlers.idempotency import bind_keys
from intake.handlers.tickets import create_tickets
from intake.store.idempotency import IdempotencyKey, KeyBinding
from intake.workers.write_queue import log_outcomes, report_ticket

log = structlog.get_logger(__name__)

CHUNK_TICKETS: Final = 100
CHUNK_EVENTS: Final = 500
"""The size of a transaction: few round trips, but short, because an open one holds back the watermark."""


class BatchWriter:
    """`wake` tells this process's relay that events were committed."""

    def __init__(self, context: IngestContext, writer: AsyncEngine, wake: Callable[[], None]) -> None:
        self._context = context
        self._writer = writer
        self._wake = wake

    async def bind_key(self, key: IdempotencyKey, request_digest: bytes) -> None:
        """Bind an Idempotency-Key to a batch. Raises IdempotencyConflictError."""
        async with self._writer.begin() as connection:
            bound = (await bind_keys(connection, {key: KeyBinding(request_digest)}))[key]
        if isinstance(bound, IntakeError):
            raise bound

    async def create_tickets(
        self, tenant: str, items: Sequence[BatchItemRequest]
    ) -> list[IngestedTicket | IntakeError]:
        """Create tickets with their events: one outcome per item, in order; no item affects another."""
        return [outcome for chunk in _chunks(items) for outcome in await self._create_chunk(tenant, chunk)]

    async def _create_chunk(
        self, tenant: str, items: Sequence[BatchItemRequest]
    ) -> Sequence[IngestedTicket | IntakeError]:
        """Create tickets in one transaction or, if the database rejects one of them, in a transaction each."""
        outcomes: Sequence[IngestedTicket | IntakeError]
        try:
            async with self._writer.begin() as connection:
                outcomes = await create_tickets(self._context, connection, tenant, items)
        except DBAPIError as error:
            if is_transient(error):
                raise
            if len(items) > 1:
                return [outcome for item in items for outcome in await self._create_chunk(tenant, [item])]
            log.exception("ticket_rejected_by_database", source=items[0].source)
            outcomes = [StorageError()]
        self._wake()
        log_outcomes(outcomes)
        for item, outcome in zip(items, outcomes, strict=True):
            report_ticket(self._context.policy, item, outcome)
        return outcomes


def _chunks(items: Sequence[BatchItemRequest]) -> Iterator[list[BatchItemRequest]]:
    """The items in order, up to CHUNK_TICKETS tickets or CHUNK_EVENTS events together; at least one item each."""
    chunk: list[BatchItemRequest] = []
    events = 0
    for item in items:
        if chunk and (len(chunk) == CHUNK_TICKETS or events + len(item.events) > CHUNK_EVENTS):
            yield chunk
            chunk, events = [], 0
        chunk.append(item)
        events += len(item.events)
    if chunk:
        yield chunk
