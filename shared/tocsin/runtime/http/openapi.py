"""Adds the error responses of each call, with examples, to the OpenAPI document."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tocsin.runtime.http.authentication import UNAUTHORIZED
from tocsin.runtime.http.problems import MEDIA_TYPE, SCHEMA, Problem, invalid_fields
from tocsin.validation import FieldError

_REFERENCE: Final = {"$ref": "#/components/schemas/Problem"}
_RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds to wait before a retry", "schema": {"type": "integer"}}}


def error_response(description: str, example: Problem) -> dict[str, Any]:
    """An entry of a route's `responses=`: what the error means, and an example of its body."""
    return {
        "description": description,
        **({"headers": _RETRY_AFTER} if "Retry-After" in example.headers else {}),
        "content": {MEDIA_TYPE: {"schema": _REFERENCE, "example": example.as_dict()}},
    }


def link(call: str, description: str, **parameters: str) -> dict[str, Any]:
    """An OpenAPI link: `call` (`GET /v1/tickets/{ticket_id}`) can follow, with parameters out of this response.

    A parameter is a runtime expression such as `$response.body#/ticket_id`.
    """
    method, _, path = call.partition(" ")
    pointer = path.replace("~", "~0").replace("/", "~1")
    reference = f"#/paths/{pointer}/{method.lower()}"
    return {"operationRef": reference, "description": description, "parameters": parameters}


_RETRY: Final = {"Retry-After": "1"}
_INVALID: Final = invalid_fields([FieldError(field="contact.email", message="is missing")])
_UNKNOWN_PARAMETER: Final = invalid_fields(
    [FieldError(field="custmer", message="is not known here; this call has no query parameters")]
)
_INTERNAL: Final = Problem(500, "Internal error. It was logged; retry later.")
_UNAVAILABLE: Final = Problem(503, "The database does not respond. Retry.", headers=_RETRY)
_EXAMPLES: Final[Mapping[str, dict[str, Any]]] = {
    "400": error_response("The request body is not JSON", Problem(400, "The request body is not valid JSON.")),
    "401": error_response("Missing or invalid API key", Problem(401, UNAUTHORIZED)),
    "403": error_response("The API key lacks the scope", Problem(403, "This API key lacks the scope tickets:write.")),
    "404": error_response("Not found in this tenant", Problem(404, "Ticket not found.")),
    "408": error_response("The body arrived too slowly", Problem(408, "The request body arrived too slowly.")),
    "413": error_response(
        "The body is too large", Problem(413, "The request body exceeds the limit of 1,000,000 bytes.")
    ),
    "415": error_response("Unsupported media type", Problem(415, "Send JSON with `Content-Type: application/json`.")),
    "422": error_response("Every invalid field by name", _INVALID),
    "429": error_response(
        "Too many requests",
        Problem(429, "This key is limited to 600 requests per minute. Retry in 1 s.", headers=_RETRY),
    ),
    "500": error_response("Internal error; it was logged", _INTERNAL),
    "503": error_response("Overload, or the database does not respond", _UNAVAILABLE),
    "4XX": error_response("Any other client error", Problem(400, "The request cannot be read.")),
    "5XX": error_response("Any other server error", _INTERNAL),
}
ERROR_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {"4XX": _EXAMPLES["4XX"], "5XX": _EXAMPLES["5XX"]}
"""Error responses of every call. With these declared, FastAPI does not add its own error model."""

_VERSIONED: Final = ("429", "500", "503")
_WITH_KEY: Final = ("401", "403")
_WITH_BODY: Final = ("400", "408", "413", "415", "422")
_WITHOUT_BODY: Final = error_response("Every invalid parameter by name", _UNKNOWN_PARAMETER)


def add_error_responses(document: dict[str, Any]) -> None:
    """Add to each call of an OpenAPI document its errors, besides those that its route declares itself."""
    document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = SCHEMA
    for path, item in document["paths"].items():
        for operation in item.values():
            for status in _error_statuses(path, operation):
                operation["responses"].setdefault(status, _EXAMPLES[status])
            operation["responses"].setdefault("422", _WITHOUT_BODY)


def _error_statuses(path: str, operation: Mapping[str, Any]) -> Iterable[str]:
    if path.startswith("/v1/"):
        yield from _VERSIONED
    if operation.get("security"):
        yield from _WITH_KEY
    if "{" in path:
        yield "404"
    if "requestBody" in operation:
        yield from _WITH_BODY
