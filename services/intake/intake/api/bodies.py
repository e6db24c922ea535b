"""Bodies as they come in: from bytes to Python data, and how OpenAPI is told what may come."""

import json
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel
from tocsin.runtime.problems import Problem

from intake.strict import Repeated


async def _json(request: Request) -> object:
    raw = await request.body()
    try:
        # Not orjson: it drops all but the last of equal names, and refuses what the models can name the field of.
        return json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Problem(400, "The body is not JSON.") from None


JsonBody = Annotated[object, Depends(_json)]
"""The body of a request. Raises Problem 400 where it is no JSON."""


def _object(pairs: list[tuple[str, object]]) -> object:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return Repeated(_readable(name))
        seen.add(name)
    return {_readable(name): value for name, value in pairs}


def _readable(name: str) -> str:
    return name.encode(errors="replace").decode()


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


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
