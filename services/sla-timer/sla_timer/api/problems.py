"""The timer's errors as problem+json: the one place that maps them to HTTP statuses."""

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response
from tocsin.runtime.http.problems import Problem

from sla_timer.errors import SimulationError, SlaTimerError, UnknownTicketError

_STATUSES: Final[Mapping[type[SlaTimerError], int]] = {SimulationError: 422, UnknownTicketError: 404}


def problem_of(error: SlaTimerError) -> Problem:
    """The error as a problem."""
    return Problem(_STATUSES[type(error)], str(error))


def add_error_handler(app: FastAPI) -> None:
    """Register the handler that responds to a SlaTimerError with its problem."""

    async def respond(_: Request, error: Exception) -> Response:
        assert isinstance(error, SlaTimerError)
        return problem_of(error).response()

    app.add_exception_handler(SlaTimerError, respond)
