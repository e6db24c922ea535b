"""The parts of a request that several routes use: the JSON body, the Idempotency-Key, the ticket id in the path.

Dependencies are coroutines: FastAPI runs plain functions in threads, which would change the order of requests.
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Path, Request
from pydantic import BaseModel, ValidationError
from tocsin.characters import Id
from tocsin.events import parse_uuid
from tocsin.policy import Policy
from tocsin.runtime.http.authentication import MayWrite
from tocsin.runtime.http.body_limit import read_body
from tocsin.runtime.http.problems import Problem, validation_problem

from intake import metrics
from intake.domain.json_parsing import parse_json
from intake.domain.ticket_request import R, validate_request
from intake.errors import InvalidJsonError, TicketNotFoundError
from intake.handlers.idempotency import idempotency_key
from intake.store.idempotency import IdempotencyKey


async def _parse_idempotency_key(
    caller: MayWrite,
    key: Annotated[
        Id | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            description="A request repeated with the same key within 24 hours counts once. A different request is 422.",
        ),
    ] = None,
) -> IdempotencyKey | None:
    return idempotency_key(caller.key_id, key) if key is not None else None


RequestKey = Annotated[IdempotencyKey | None, Depends(_parse_idempotency_key)]
"""The request's Idempotency-Key, if it has one. Keys of different API keys differ."""


async def _parse_body(request: Request) -> object:
    try:
        return parse_json(await read_body(request))
    except InvalidJsonError as error:
        raise Problem(400, f"The request body {error}.") from None


JsonBody = Annotated[object, Depends(_parse_body)]
"""The JSON of a body, to be validated by `validate_body`. FastAPI's own parser would lose duplicate keys."""


def validate_body(model: type[R], body: object) -> R:
    """The body as a request. Raises Problem 422, which names every wrong field."""
    try:
        return validate_request(model, body)
    except ValidationError as error:
        raise validation_problem(error) from None


def validate_ticket(model: type[R], body: object, policy: Policy) -> R:
    """As `validate_body`, with the policy's default severities; an invalid ticket is counted."""
    try:
        return validate_request(model, body, policy.machine_sources)
    except ValidationError as error:
        metrics.count_invalid_ticket()
        raise validation_problem(error) from None


def document_body(model: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra=` of a route whose body is a `JsonBody` validated as `model`."""
    schema = model.model_json_schema()
    content = {"application/json": {"schema": _inline(schema, schema.pop("$defs", {}))}}
    return {"requestBody": {"required": True, "content": content}}


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema with every definition in its place: OpenAPI resolves references from the document's root."""
    if isinstance(schema, list):
        return [_inline(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inline(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {name: _inline(part, definitions) for name, part in schema.items()}


async def _parse_ticket_id(ticket_id: Annotated[str, Path(description="The ticket's id in intake")]) -> UUID:
    try:
        return parse_uuid(ticket_id)
    except ValueError:  # an invalid UUID is treated as not found
        raise TicketNotFoundError from None


TicketId = Annotated[UUID, Depends(_parse_ticket_id)]
