"""What /openapi.json says beside what FastAPI finds out: every error that a call may answer, each with an example."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI

from tocsin.runtime.http.openapi_overlay import add_words
from tocsin.runtime.http.problems import MEDIA_TYPE, SCHEMA, FieldError, Problem

_REFERENCE: Final = {"$ref": "#/components/schemas/Problem"}
_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait before trying again", "schema": {"type": "integer"}}
}


def error_response(description: str, example: Problem) -> dict[str, Any]:
    """An error as OpenAPI names it: what it means, and a body that a caller may see."""
    return {
        "description": description,
        **({"headers": _RETRY_AFTER} if "Retry-After" in example.headers else {}),
        "content": {MEDIA_TYPE: {"schema": _REFERENCE, "example": example.as_dict()}},
    }


_WRONG: Final = [FieldError(field="contact.email", message="is missing")]
_EXAMPLES: Final[Mapping[str, dict[str, Any]]] = {
    "400": error_response("The body is not JSON", Problem(400, "The body is not JSON.")),
    "401": error_response(
        "No key, or none that is valid", Problem(401, "Send `Authorization: Bearer KEY` with a valid key.")
    ),
    "403": error_response("The key may not do this", Problem(403, "This key lacks the scope tickets:write.")),
    "404": error_response("There is no such thing in this tenant", Problem(404, "There is no such ticket.")),
    "408": error_response("The body came too slowly", Problem(408, "The body came too slowly.")),
    "413": error_response("The body is too large", Problem(413, "A body may have 1000000 bytes here.")),
    "415": error_response(
        "The body is of another media type", Problem(415, "Send JSON with `Content-Type: application/json`.")
    ),
    "422": error_response("Every wrong field by name", Problem(422, "Some fields are wrong.", errors=_WRONG)),
    "429": error_response(
        "Too many requests",
        Problem(429, "Too many requests with this key. Try again later.", headers={"Retry-After": "1"}),
    ),
    "500": error_response("Our fault, and logged", Problem(500, "This is our fault, and logged. Try again.")),
    "503": error_response(
        "Overload, or the database does not answer",
        Problem(503, "The database does not answer. Try again.", headers={"Retry-After": "1"}),
    ),
    "4XX": error_response("Anything else that the caller did wrong", Problem(400, "The request cannot be read.")),
    "5XX": error_response(
        "Anything else that went wrong here", Problem(500, "This is our fault, and logged. Try again.")
    ),
}
EVERYWHERE: Final[dict[int | str, dict[str, Any]]] = {"4XX": _EXAMPLES["4XX"], "5XX": _EXAMPLES["5XX"]}
"""What any call may answer. With it named FastAPI adds no error of its own making."""

_VERSIONED: Final = ("429", "500", "503")
_WITH_KEY: Final = ("401", "403")
_WITH_BODY: Final = ("400", "408", "413", "415", "422")


class Application(FastAPI):
    """FastAPI whose /openapi.json names the errors of each call, beside those that its route names itself, and has the
    words and examples that `openapi.yaml` of its packages has (see `openapi_words`).
    """

    def __init__(self, packages: Sequence[str] = ("tocsin",), **settings: Any) -> None:
        super().__init__(**settings)
        self._packages = packages

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            add_words(document, self._packages)
            document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = SCHEMA
            for path, item in document["paths"].items():
                for operation in item.values():
                    for status in _statuses(path, operation):
                        operation["responses"].setdefault(status, _EXAMPLES[status])
            self.openapi_schema = document
        return self.openapi_schema


def _statuses(path: str, operation: Mapping[str, Any]) -> Iterable[str]:
    if path.startswith("/v1/"):
        yield from _VERSIONED
    if operation.get("security"):
        yield from _WITH_KEY
    if "{" in path:
        yield "404"
    if "requestBody" in operation:
        yield from _WITH_BODY
    elif operation.get("parameters"):
        yield "422"
