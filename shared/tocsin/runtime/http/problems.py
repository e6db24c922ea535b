"""Errors as problem details (RFC 9457): status, what is wrong, and the wrong fields by name."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import Response

from tocsin.validation import FieldError, field_errors

MEDIA_TYPE: Final = "application/problem+json"
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
"""The JSON schema of a problem, for OpenAPI."""

_PARAMETER_KINDS: Final = {"body", "query", "path", "header", "cookie"}


class ProblemBody(BaseModel):
    """The body of every error response."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    errors: tuple[FieldError, ...] | None = None


class Problem(Exception):
    """An error response. Raise it in a route; `detail` names the fault and the remedy."""

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or title or HTTPStatus(status).phrase)
        self.status = status
        self.headers = dict(headers or {})
        self.body = ProblemBody(
            title=title or HTTPStatus(status).phrase, status=status, detail=detail, errors=tuple(errors) or None
        )

    def as_dict(self) -> dict[str, Any]:
        """The body as JSON data, for responses that contain problems (a batch)."""
        return self.body.model_dump(exclude_none=True)

    def response(self) -> Response:
        """The HTTP response."""
        return Response(orjson.dumps(self.as_dict()), self.status, self.headers, MEDIA_TYPE)


def invalid_fields(errors: Sequence[FieldError]) -> Problem:
    """The 422 that names the wrong fields."""
    return Problem(422, "Some fields are invalid.", errors=errors)


def validation_problem(error: ValidationError | RequestValidationError) -> Problem:
    """The 422 of a failed validation, or the 400 of a body that is not JSON. It never repeats the input."""
    problems = [dict(problem) for problem in error.errors()]
    if any(problem["type"] == "json_invalid" for problem in problems):
        return Problem(400, "The request body is not valid JSON.")
    return invalid_fields(field_errors([{**problem, "loc": _field_path(problem["loc"])} for problem in problems]))


def _field_path(loc: Sequence[int | str]) -> Sequence[int | str]:
    """The path below the parameter kind that FastAPI puts first."""
    return loc[1:] if loc and loc[0] in _PARAMETER_KINDS else loc
