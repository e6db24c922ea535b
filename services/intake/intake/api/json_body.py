"""Bodies as they come in: from bytes to Python data, and how OpenAPI is told what may come."""

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel
from tocsin.runtime.http.problems import Problem

from intake.domain.json_parsing import InvalidJsonError, parse_json


async def _json(request: Request) -> object:
    raw = await request.body()
    try:
        return parse_json(raw)
    except InvalidJsonError as error:
        raise Problem(400, f"The body {error}.") from None


JsonBody = Annotated[object, Depends(_json)]
"""The body of a request. Raises Problem 400 where it is no JSON."""


def described(model: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of a body that is read by `JsonBody` and validated as `model`."""
    schema = model.model_json_schema()
    content = {"application/json": {"schema": _inlined(schema, schema.pop("$defs", {}))}}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with every definition in its place: a body's `$defs` could not be found from OpenAPI's root."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}
