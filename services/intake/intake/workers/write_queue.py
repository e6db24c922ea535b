"""The write queue: concurrent requests for single tickets and events share a transaction (group commit).

An open transaction holds back the watermark (docs/architecture.md#time), so groups are small. A request that cannot be
stored fails alone. Callers get their outcome after the commit (docs/decisions/0023-group-commit.md).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.policy import Policy
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.group_commit import GroupCommit
from tocsin.runtime.errors import OverloadedError
from tocsin.runtime.metrics import REQUESTS_SHED

from intake import metrics
from intake.domain.routing import initial_severity
from intake.domain.ticket_request import TicketRequest
from intake.errors import IdempotencyKeyInUseError, IntakeError, WriteQueueFullError
from intake.handlers.context import IngestContext, IngestedTicket, RecordedEvent
from intake.handlers.events import RecordEvent
from intake.handlers.ingest import Command, Outcome, ingest
from intake.handlers.tickets import CreateTicket

log = structlog.get_logger(__name__)

GROUP_SIZE: Final = 50
"""Requests per transaction."""
MAX_WAITING: Final = 500
"""Requests that wait for a transaction; more are rejected with WriteQueueFullError."""
MAX_WAIT_SECONDS: Final = 0.1
"""The longest expected wait, in real seconds, with which a request is admitted."""
STALL_SECONDS: Final = 2.0
"""Real seconds that a transaction may take before new requests are rejected."""
RESPONSE_SECONDS: Final = 5.0
"""Real seconds that a caller waits for its outcome."""

_CONTENTION: Final = ("40P01", "55P03")  # SQLSTATE: deadlock detected, lock not available


class WriteQueue:
    """`wake` tells this process's relay that events were committed."""

    def __init__(self, context: IngestContext, writer: AsyncEngine, wake: Callable[[], None]) -> None:
        self._context = context
        self._writer = writer
        self._wake = wake
        self._group = GroupCommit(
            self._commit, is_common=_fails_for_all, limit=GROUP_SIZE, most_waiting=MAX_WAITING, patience=STALL_SECONDS
        )

    async def create_ticket(self, command: CreateTicket) -> IngestedTicket:
        """Create a ticket; returns after the commit. Raises IntakeError, and TimeoutError if the database hangs."""
        outcome = await self._execute(command)
        assert not isinstance(outcome, RecordedEvent)
        report_ticket(self._context.policy, command.request, outcome)
        if isinstance(outcome, IntakeError):
            raise outcome
        return outcome

    async def record_event(self, command: RecordEvent) -> RecordedEvent:
        """Record an event; returns after the commit. Raises as `create_ticket`."""
        outcome = await self._execute(command)
        if isinstance(outcome, IntakeError):
            raise outcome
        assert isinstance(outcome, RecordedEvent)
        return outcome

    async def _execute(self, command: Command) -> Outcome:
        try:
            async with asyncio.timeout(RESPONSE_SECONDS):
                return await self._group(command)
        except OverloadedError:
            REQUESTS_SHED.inc()
            return WriteQueueFullError()

    async def _commit(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        async with self._writer.begin() as connection:
            outcomes = await ingest(self._context, connection, commands)
        self._wake()
        log_outcomes(outcomes)
        return outcomes


def report_ticket(policy: Policy, request: TicketRequest, outcome: IngestedTicket | IntakeError) -> None:
    """Count and log the outcome of a ticket request; to be called after the commit."""
    severity = initial_severity(request, policy)
    if isinstance(outcome, IntakeError):
        metrics.count_ticket(request.source, severity, metrics.RESULTS[type(outcome)])
        return
    if outcome.created:
        metrics.count_created(outcome.ticket)
    else:
        metrics.count_ticket(request.source, severity, "duplicate")


def log_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Log what a transaction has stored: one line at info, with some of its tickets; at debug one for each outcome."""
    created = {kind: sum(isinstance(each, kind) and each.created for each in outcomes) for kind in _STORED}
    rejected = sum(isinstance(each, IntakeError) for each in outcomes)
    known = len(outcomes) - rejected - sum(created.values())
    names = {"tickets": created[IngestedTicket], "events": created[RecordedEvent]}
    stored = [each for each in outcomes if not isinstance(each, IntakeError)]
    ticket_ids = [str(_ticket_id(each)) for each in stored[:_NAMED]]
    log.info("stored", **names, known=known, rejected=rejected, ticket_ids=ticket_ids)
    for each in outcomes:
        if isinstance(each, IngestedTicket):
            log.debug("ticket_ingested", ticket_id=each.ticket.ticket_id, created=each.created)
        elif isinstance(each, RecordedEvent):
            fact = each.fact
            log.debug(
                "event_recorded", ticket_id=each.ticket_id, type=fact.type, number=fact.number, created=each.created
            )


def _ticket_id(stored: IngestedTicket | RecordedEvent) -> UUID:
    return stored.ticket.ticket_id if isinstance(stored, IngestedTicket) else stored.ticket_id


_STORED: Final = (IngestedTicket, RecordedEvent)
_NAMED: Final = 20
"""Tickets that a line in the log names."""


def _fails_for_all(error: BaseException) -> bool:
    """Whether every request of the group would fail alone too: the database is away, or the commit is uncertain.

    After a deadlock or a lock timeout, or if two requests have the same Idempotency-Key, each may succeed alone.
    """
    if isinstance(error, IdempotencyKeyInUseError):
        return False
    is_contention = isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _CONTENTION
    return is_transient(error) and not is_contention
