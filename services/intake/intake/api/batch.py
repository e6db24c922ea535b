"""`POST /v1/tickets/batch`: create many tickets."""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import orjson
from fastapi import APIRouter
from tocsin.policy import Policy
from tocsin.runtime.http.authentication import MayWrite
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse

from intake.api.dependencies import (
    JsonBody,
    RequestKey,
    document_body,
    validate_body,
    validate_ticket,
)
from intake.api.problems import problem_of
from intake.api.schemas import BatchResponse, TicketResponse
from intake.domain.ticket_request import BatchItemRequest, BatchRequest
from intake.errors import IntakeError
from intake.handlers.context import IngestedTicket
from intake.workers.batch_writer import BatchWriter

_AT_ONCE: Final = 20
"""Items validated before other tasks get their turn."""


def router(policy: Policy, batches: BatchWriter) -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/v1/tickets", tags=["tickets"])

    @routes.post(
        "/batch",
        summary="Create many tickets",
        responses={200: {"model": BatchResponse, "description": "One result per item"}},
        openapi_extra=document_body(BatchRequest),
    )
    async def post_batch(caller: MayWrite, key: RequestKey, body: JsonBody) -> JsonResponse:
        """Creates up to 500 tickets, each with its events so far. An invalid item never affects the others."""
        items = await _validate_items(body, policy)
        if key is not None:
            await batches.bind_key(key, sha256(b"batch" + _digest(items)).digest())
        valid = [item for item in items if not isinstance(item, Problem)]
        outcomes = iter(await batches.create_tickets(caller.tenant, valid))
        results = [_result(item if isinstance(item, Problem) else next(outcomes)) for item in items]
        return JsonResponse({"results": results})

    return routes


async def _validate_items(body: object, policy: Policy) -> list[BatchItemRequest | Problem]:
    """Each item as a request, or the problem with it. Raises Problem 422 if the batch itself is invalid."""
    items: list[BatchItemRequest | Problem] = []
    for number, item in enumerate(validate_body(BatchRequest, body).tickets):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)  # a large batch must not block the relay of this process
        try:
            items.append(validate_ticket(BatchItemRequest, item, policy))
        except Problem as problem:
            items.append(problem)
    return items


def _digest(items: Sequence[BatchItemRequest | Problem]) -> bytes:
    """Equal for equal batches; an invalid item counts by its problem."""
    return b"".join(
        sha256(orjson.dumps(item.as_dict())).digest() if isinstance(item, Problem) else item.digest() for item in items
    )


def _result(outcome: IngestedTicket | IntakeError | Problem) -> dict[str, Any]:
    """A `BatchItemResponse` with only one of `ticket` and `problem`."""
    if isinstance(outcome, IngestedTicket):
        ticket = TicketResponse.of(outcome.ticket).model_dump(mode="json")
        return {"status": 201 if outcome.created else 200, "ticket": ticket}
    problem = outcome if isinstance(outcome, Problem) else problem_of(outcome)
    return {"status": problem.status, "problem": problem.as_dict()}
