"""Intake's errors as problem+json: the one place that maps them to HTTP statuses."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.responses import Response
from tocsin.runtime.http.openapi import error_response
from tocsin.runtime.http.problems import Problem
from tocsin.validation import FieldError

from intake.errors import (
    EventConflictError,
    EventIdConflictError,
    IdempotencyConflictError,
    IntakeError,
    IntegrationsUnavailableError,
    OutboxBacklogError,
    RecordTooLargeError,
    SigningKeyUnavailableError,
    StorageError,
    TicketConflictError,
    TicketNotFoundError,
    UnavailableError,
    WorkaroundError,
    WriteQueueFullError,
)

_STATUSES: Final[Mapping[type[IntakeError], int]] = {
    TicketNotFoundError: 404,
    TicketConflictError: 409,
    EventConflictError: 409,
    EventIdConflictError: 409,
    WorkaroundError: 409,
    RecordTooLargeError: 413,
    IdempotencyConflictError: 422,
    StorageError: 500,
    OutboxBacklogError: 503,
    IntegrationsUnavailableError: 503,
    SigningKeyUnavailableError: 503,
    WriteQueueFullError: 503,
}


def problem_of(error: IntakeError) -> Problem:
    """The error as a problem."""
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, UnavailableError) else {}
    fields = [FieldError(field=field, message=message) for field, message in error.fields.items()]
    return Problem(_STATUSES[type(error)], str(error), errors=fields, headers=headers)


def document_error(description: str, error: IntakeError) -> dict[int | str, dict[str, Any]]:
    """An entry of a route's `responses=` that documents an error."""
    problem = problem_of(error)
    return {problem.status: error_response(description, problem)}


def add_error_handler(app: FastAPI) -> None:
    """Have the application respond to an IntakeError that a route raises with its problem."""

    async def respond(_: Request, error: Exception) -> Response:
        assert isinstance(error, IntakeError)
        return problem_of(error).response()

    app.add_exception_handler(IntakeError, respond)
