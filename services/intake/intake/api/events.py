"""`POST /v1/tickets/.../events`: record events of a ticket, by its id or by its tool's own id."""

from typing import Any, Final
from uuid import UUID, uuid4

from fastapi import APIRouter
from tocsin.events import ticket_id as id_of
from tocsin.runtime.http.authentication import MayWrite
from tocsin.runtime.http.direct_route import DirectRoute
from tocsin.runtime.http.external_ticket import ExternalTicket
from tocsin.runtime.http.openapi import link
from tocsin.runtime.http.responses import JsonResponse

from intake.api.dependencies import JsonBody, RequestKey, TicketId, document_body, validate_body
from intake.api.problems import document_error
from intake.api.schemas import EventResponse
from intake.domain.ticket_request import EventRequest
from intake.errors import EventConflictError
from intake.handlers.events import RecordEvent
from intake.store.idempotency import IdempotencyKey
from intake.workers.write_queue import WriteQueue

_LINKS: Final = {
    "ticket": link("GET /v1/tickets/{ticket_id}", "Read the ticket", ticket_id="$response.body#/ticket_id")
}
_DOCUMENTED: Final[dict[str, Any]] = {
    "status_code": 201,
    "responses": {
        201: {"model": EventResponse, "description": "Recorded", "links": _LINKS},
        200: {"model": EventResponse, "description": "The event exists with an equal body"},
        **document_error(
            "The event exists with a different body, or it is a workaround on severity 1", EventConflictError()
        ),
    },
    "openapi_extra": document_body(EventRequest),
}


def router(queue: WriteQueue) -> APIRouter:
    """The routes. Events are written through `queue`."""
    routes = APIRouter(prefix="/v1/tickets", tags=["tickets"], route_class=DirectRoute)

    @routes.post("/{ticket_id}/events", summary="Record an event", **_DOCUMENTED)
    async def post_event(caller: MayWrite, ticket_id: TicketId, key: RequestKey, body: JsonBody) -> JsonResponse:
        """Records an event of a ticket. The same `event_id` with an equal body is 200 with the first response."""
        return await record(caller.tenant, ticket_id, key, body)

    @routes.post(
        "/by-external/{source}/{external_id:path}/events",
        summary="Record an event by the ticket's own id",
        **_DOCUMENTED,
    )
    async def post_event_by_external_id(
        caller: MayWrite, ticket: ExternalTicket, key: RequestKey, body: JsonBody
    ) -> JsonResponse:
        """Records an event of the ticket that `source` knows by `external_id`. Write a slash in either as `%2F`."""
        return await record(caller.tenant, id_of(caller.tenant, *ticket), key, body)

    async def record(tenant: str, ticket_id: UUID, key: IdempotencyKey | None, body: object) -> JsonResponse:
        request = validate_body(EventRequest, body)
        event = await queue.record_event(
            RecordEvent(tenant, ticket_id, request, generated_id=str(uuid4()), idempotency_key=key)
        )
        return JsonResponse(EventResponse.of(event).model_dump(mode="json"), 201 if event.created else 200)

    return routes
