"""What the documentation says of each call in words and examples: `openapi.yaml` in the package that has the route.

    POST /v1/tickets:
      description: what is not said by the route itself
      parameters: { ticket_id: what it is }
      body: an example of what is sent
      answers:
        201: { description: Taken, example: ..., type: application/json, links: ... }

A route's own words win over the file's. `type` replaces the media type; an error that the route does not name is a
problem. `links` say what may be called next with what the answer holds, by OpenAPI's runtime expressions:
`{ ticket: { call: "GET /v1/tickets/{ticket_id}", parameters: { ticket_id: $response.body#/ticket_id } } }`.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Final

from ruamel.yaml import YAML

from tocsin.runtime.http.problems import MEDIA_TYPE as PROBLEM

FILE: Final = "openapi.yaml"
_SCHEMAS: Final[Mapping[str, Any]] = {
    PROBLEM: {"$ref": "#/components/schemas/Problem"},
    "application/json": {"type": "object"},
    "text/plain": {"type": "string"},
}


def add_words(document: Mapping[str, Any], packages: Iterable[str]) -> None:
    """Add to an OpenAPI document what the files of these packages say of its calls."""
    said = {call: words for package in packages for call, words in _words(package).items()}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _add(operation, said.get(f"{method.upper()} {path}", {}))


def _add(operation: dict[str, Any], words: Mapping[str, Any]) -> None:
    if "description" in words:
        operation.setdefault("description", words["description"])
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in words.get("parameters", {}):
            parameter.setdefault("description", words["parameters"][parameter["name"]])
    if "body" in words:
        for media in operation["requestBody"]["content"].values():
            media.setdefault("example", words["body"])
    for status, answer in words.get("answers", {}).items():
        response = operation["responses"].setdefault(str(status), {})
        if response.get("description") in (None, "", "Successful Response"):
            response["description"] = answer["description"]
        content = response.setdefault("content", {})
        media_type = answer.get("type") or (None if content else PROBLEM)
        if media_type is not None:
            content.clear()
            content[media_type] = {"schema": _SCHEMAS[media_type]}
        for media in content.values() if "example" in answer else ():
            media.setdefault("example", answer["example"])
        if "links" in answer:
            response["links"] = {name: _link(**link) for name, link in answer["links"].items()}


def _link(call: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    method, _, path = call.partition(" ")
    pointer = path.replace("~", "~0").replace("/", "~1")
    return {"operationRef": f"#/paths/{pointer}/{method.lower()}", "parameters": dict(parameters)}


@cache
def _words(package: str) -> Mapping[str, Any]:
    file = files(package) / FILE if find_spec(package) else None
    if file is None or not file.is_file():
        return {}
    found: Mapping[str, Any] = YAML(typ="safe", pure=True).load(file.read_text())
    return found
