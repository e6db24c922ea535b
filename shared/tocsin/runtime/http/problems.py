"""Errors as RFC 9457 problems: what is wrong, field by field, in the names a caller wrote."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
SCHEMA: Mapping[str, Any] = {
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
"""A problem's JSON schema, for OpenAPI."""

_PLACES = {"body", "query", "path", "header", "cookie"}
_MOST_ERRORS = 500
_LONGEST_FIELD = 200
_MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), "must be an object"),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    "string_unicode": "must not contain half of a surrogate pair",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
}
"""For pydantic's errors that speak of Python, or of what a caller cannot see.

What it calls a "Value", neither list nor tuple, is a text whose length it counts after a validator of ours.
"""


class FieldError(BaseModel):
    """One wrong field, named as a caller writes it (`contact.email`, `events[2].type`; empty: the whole body)."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class ProblemBody(BaseModel):
    """The body of every error."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    errors: tuple[FieldError, ...] | None = None


class Problem(Exception):
    """Raise it anywhere below a route: it becomes the answer. `detail` says what the caller can do."""

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
        """The body as JSON data, for answers that carry problems inside (a batch)."""
        return self.body.model_dump(exclude_none=True)

    def response(self) -> Response:
        """The whole answer."""
        return Response(orjson.dumps(self.as_dict()), self.status, self.headers, MEDIA_TYPE)


def validation_problem(error: ValidationError | RequestValidationError) -> Problem:
    """The 422 (400 for what is not JSON at all) of a failed validation, naming every wrong field, echoing none."""
    found = [dict(problem) for problem in error.errors()]
    if any(problem["type"] == "json_invalid" for problem in found):
        return Problem(400, "The body is not JSON.")
    return Problem(422, "Some fields are wrong.", errors=field_errors(found))


def field_errors(found: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """pydantic's errors, at most 500 of them, with the names of fields as they are written in JSON."""
    return [
        FieldError(field=_path(problem["loc"])[:_LONGEST_FIELD], message=_message(problem))
        for problem in found[:_MOST_ERRORS]
    ]


def _message(problem: Mapping[str, Any]) -> str:
    if problem["type"] in _MESSAGES:
        context = problem.get("ctx", {})
        words = _MESSAGES[problem["type"]].format(**context)
        return words.replace("items", "characters") if context.get("field_type") == "Value" else words
    return str(problem["msg"]).removeprefix("Value error, ")[:300]


def _path(loc: Sequence[int | str]) -> str:
    parts = loc[1:] if loc and loc[0] in _PLACES else loc
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
