"""What every call that takes something in needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import Depends, Header
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.http.api_keys import TICKETS_WRITE, Caller
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.problems import Problem, validation_problem

from intake import metrics
from intake.api.schemas import status_of
from intake.domain.ticket_request import R, TicketRequest, read
from intake.handlers import Desk, TakenTicket, unknown_ticket
from intake.workers.write_queue import Taking

log = structlog.get_logger(__name__)

MayWrite = Annotated[Caller, Depends(require(TICKETS_WRITE))]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same request within 24 hours counts once; with another request it is 422.",
    ),
]


@dataclass(frozen=True, slots=True)
class Front:
    """Where things are taken in: `take` what single callers ask for. `wake` tells the relay of this process that
    something was committed.
    """

    desk: Desk
    writer: AsyncEngine
    take: Taking
    wake: Callable[[], None]

    def read(self, model: type[R], body: object) -> R:
        """The body as that request. Raises Problem 422, which names everything that is wrong."""
        try:
            return read(model, body, self.desk.policy.machine_sources)
        except ValidationError as error:
            raise validation_problem(error) from None

    def read_ticket(self, model: type[R], body: object) -> R:
        """The same for a ticket, and a wrong one is counted."""
        try:
            return self.read(model, body)
        except Problem:
            metrics.count_invalid()
            raise

    def told(self, request: TicketRequest, outcome: TakenTicket | Problem) -> None:
        """Count and log what became of a ticket; to be called after the commit."""
        if isinstance(outcome, Problem):
            metrics.count_ticket(request.source, request.severity, outcome.status)
            return
        status = status_of(outcome)
        metrics.count_ticket(request.source, outcome.ticket.initial_severity, status)
        log.info("ticket_taken", ticket_id=str(outcome.ticket.ticket_id), status=status)


def ticket_id_of(text: str) -> UUID:
    """A ticket's id out of a path: what is none belongs to no ticket."""
    try:
        return UUID(text)
    except ValueError:
        raise unknown_ticket() from None
