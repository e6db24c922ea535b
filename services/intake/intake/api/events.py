"""`POST /v1/tickets/.../events`: what happened to a ticket, by its id or by its tool's own."""

from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter, Request
from tocsin.events import ticket_id as id_of
from tocsin.runtime.http.api_keys import Caller
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse

from intake.api.dependencies import Front, IdempotencyKey, MayWrite, ticket_id_of
from intake.api.json_body import JsonBody, described
from intake.api.schemas import EventAnswer, event_answer, status_of
from intake.domain.ticket_request import EventRequest
from intake.handlers import EventAsked, HeldEvent, TakenEvent, held_key

log = structlog.get_logger(__name__)

_SEGMENTS: Final = len(["", "v1", "tickets", "by-external", "SOURCE", "ID", "events"])


def add(routes: APIRouter, front: Front) -> None:
    """Add both calls."""
    described_event: dict[str, Any] = {
        "status_code": 201,
        "responses": {201: {"model": EventAnswer}, 200: {"model": EventAnswer, "description": "Known already"}},
        "openapi_extra": described(EventRequest),
    }

    @routes.post("/{ticket_id}/events", summary="Post an event of a ticket", **described_event)
    async def post_event(
        ticket_id: str, caller: MayWrite, body: JsonBody, idempotency_key: IdempotencyKey = None
    ) -> JsonResponse:
        """What happened to a ticket. The same `event_id` with an equal body is 200 with the first answer."""
        return await _take(front, caller, ticket_id_of(ticket_id), body, idempotency_key)

    @routes.post(
        "/by-external/{source}/{external_id:path}/events",
        summary="Post an event of a ticket by its own source and id",
        **described_event,
    )
    async def post_event_by_external_id(
        request: Request,
        source: str,
        external_id: str,
        caller: MayWrite,
        body: JsonBody,
        idempotency_key: IdempotencyKey = None,
    ) -> JsonResponse:
        """What happened to the ticket that this source knows by this id; a slash in either is written %2F."""
        segments = request.scope["raw_path"].decode().split("/")
        if len(segments) == _SEGMENTS:
            source, external_id = unquote(segments[-3]), unquote(segments[-2])
        return await _take(front, caller, id_of(caller.tenant, source, external_id), body, idempotency_key)


async def _take(front: Front, caller: Caller, ticket: UUID, body: object, idempotency_key: str | None) -> JsonResponse:
    request = front.read(EventRequest, body)
    held = held_key(caller.key_id, idempotency_key) if idempotency_key is not None else None
    taken = await front.take(HeldEvent(EventAsked(caller.tenant, ticket, request, str(uuid4())), held))
    if isinstance(taken, Problem):
        raise taken
    assert isinstance(taken, TakenEvent)
    status = status_of(taken)
    log.info("event_taken", ticket_id=str(ticket), type=request.type, number=taken.fact.number, status=status)
    return JsonResponse(event_answer(taken), status)
