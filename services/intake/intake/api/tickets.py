"""`/v1/tickets`: create, list and read tickets."""

from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.events import ticket_id as id_of
from tocsin.policy import Policy
from tocsin.runtime.http.authentication import MayRead, MayWrite
from tocsin.runtime.http.direct_route import DirectRoute
from tocsin.runtime.http.external_ticket import ExternalTicket
from tocsin.runtime.http.openapi import link
from tocsin.runtime.http.responses import JsonResponse

from intake.api.dependencies import JsonBody, RequestKey, TicketId, document_body, validate_ticket
from intake.api.list_query import TicketListParameters
from intake.api.problems import document_error
from intake.api.schemas import TicketListResponse, TicketResponse, TicketWithFactsResponse
from intake.domain.ticket_request import TicketRequest
from intake.errors import TicketConflictError
from intake.handlers import queries
from intake.handlers.tickets import CreateTicket
from intake.workers.write_queue import WriteQueue

_GET_TICKET: Final = "GET /v1/tickets/{ticket_id}"
_POST_EVENT: Final = "POST /v1/tickets/{ticket_id}/events"
_POST_EVENT_BY_EXTERNAL_ID: Final = "POST /v1/tickets/by-external/{source}/{external_id}/events"
_LINKS: Final = {
    "ticket": link(_GET_TICKET, "Read the ticket", ticket_id="$response.body#/ticket_id"),
    "events": link(_POST_EVENT, "Record an event", ticket_id="$response.body#/ticket_id"),
}
_LIST_LINKS: Final = {
    "first": link(_GET_TICKET, "Read the first ticket", ticket_id="$response.body#/items/0/ticket_id"),
    "events": link(_POST_EVENT, "Record an event of it", ticket_id="$response.body#/items/0/ticket_id"),
}
_TICKET_LINKS: Final = {
    "events": link(
        _POST_EVENT_BY_EXTERNAL_ID,
        "Record an event",
        source="$response.body#/source",
        external_id="$response.body#/external_id",
    )
}
_TICKET: Final[dict[str, Any]] = {"model": TicketWithFactsResponse, "description": "The ticket"}


def write_router(policy: Policy, queue: WriteQueue) -> APIRouter:
    """The route that creates tickets, through `queue`."""
    routes = APIRouter(prefix="/v1/tickets", tags=["tickets"], route_class=DirectRoute)

    @routes.post(
        "",
        summary="Create a ticket",
        status_code=201,
        responses={
            201: {"model": TicketResponse, "description": "Created", "links": _LINKS},
            200: {"model": TicketResponse, "description": "The ticket exists with an equal body", "links": _LINKS},
            **document_error("The ticket exists with a different body", TicketConflictError()),
        },
        openapi_extra=document_body(TicketRequest),
    )
    async def post_ticket(caller: MayWrite, key: RequestKey, body: JsonBody) -> JsonResponse:
        """Creates a ticket. The same `source` and `external_id` with an equal body is 200 with the first response."""
        request = validate_ticket(TicketRequest, body, policy)
        created = await queue.create_ticket(CreateTicket(caller.tenant, request, key))
        return JsonResponse(TicketResponse.of(created.ticket).model_dump(mode="json"), 201 if created.created else 200)

    return routes


def router(reader: AsyncEngine) -> APIRouter:
    """The routes that read tickets, through `reader`."""
    routes = APIRouter(prefix="/v1/tickets", tags=["tickets"])

    @routes.get(
        "",
        summary="List tickets",
        responses={200: {"model": TicketListResponse, "description": "A page of tickets", "links": _LIST_LINKS}},
    )
    async def list_tickets(caller: MayRead, query: TicketListParameters) -> JsonResponse:
        """Lists tickets, the last received first. All filters must match."""
        async with reader.connect() as connection:
            page = await queries.list_tickets(connection, query.filter(caller.tenant), query.limit)
        response = TicketListResponse(
            items=tuple(map(TicketResponse.of, page.tickets)),
            next_cursor=str(page.next_before) if page.next_before is not None else None,
        )
        return JsonResponse(response.model_dump(mode="json"))

    @routes.get("/{ticket_id}", summary="Read a ticket", responses={200: {**_TICKET, "links": _TICKET_LINKS}})
    async def get_ticket(caller: MayRead, ticket_id: TicketId) -> JsonResponse:
        """Returns a ticket with all its facts."""
        return await read(caller.tenant, ticket_id)

    @routes.get(
        "/by-external/{source}/{external_id:path}",
        summary="Read a ticket by its tool's own id",
        responses={200: _TICKET},
    )
    async def get_ticket_by_external_id(caller: MayRead, ticket: ExternalTicket) -> JsonResponse:
        """Returns the ticket that `source` knows by `external_id`. Write a slash in either as `%2F`."""
        return await read(caller.tenant, id_of(caller.tenant, *ticket))

    async def read(tenant: str, ticket_id: UUID) -> JsonResponse:
        async with reader.connect() as connection:
            ticket, facts = await queries.load_ticket(connection, tenant, ticket_id)
        return JsonResponse(TicketWithFactsResponse.with_facts(ticket, facts).model_dump(mode="json"))

    return routes
