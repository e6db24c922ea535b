"""The notifier's errors as problem+json responses."""

from typing import Final

from fastapi import FastAPI, Request, Response
from tocsin.runtime.http.problems import Problem, invalid_fields
from tocsin.validation import FieldError

from notifier.errors import (
    DeliveryNotFoundError,
    DirectoryUnavailableError,
    InstantOutOfRangeError,
    MailInTransitError,
    NotifierError,
    RedeliveryKeyReusedError,
    RedeliveryRefusedError,
    UnknownRoleError,
    UnmatchedReportNotFoundError,
)

_STATUSES: Final[dict[type[NotifierError], int]] = {
    DeliveryNotFoundError: 404,
    UnmatchedReportNotFoundError: 404,
    RedeliveryRefusedError: 409,
    DirectoryUnavailableError: 503,
    MailInTransitError: 503,
}
_RETRY_AFTER: Final[dict[type[NotifierError], str]] = {DirectoryUnavailableError: "30", MailInTransitError: "10"}


def problem_of(error: NotifierError) -> Problem:
    """The problem details of the error."""
    match error:
        case RedeliveryKeyReusedError():
            field = FieldError(field="Idempotency-Key", message="was used for this mail with a different body")
            return Problem(422, str(error), errors=[field])
        case UnknownRoleError():
            return invalid_fields([FieldError(field="role", message=str(error))])
        case InstantOutOfRangeError():
            return invalid_fields([FieldError(field="at", message=str(error))])
    retry_after = _RETRY_AFTER.get(type(error))
    headers = {"Retry-After": retry_after} if retry_after else None
    return Problem(_STATUSES.get(type(error), 500), str(error), headers=headers)


def add_error_handler(app: FastAPI) -> None:
    """Have the application respond to a NotifierError that a route raises with its problem."""

    async def respond(_: Request, error: Exception) -> Response:
        assert isinstance(error, NotifierError)
        return problem_of(error).response()

    app.add_exception_handler(NotifierError, respond)
