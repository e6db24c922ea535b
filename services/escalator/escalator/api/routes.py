"""The escalator's routes: ladder runs, who was notified, and what comes next."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.characters import Id
from tocsin.events import UuidInput
from tocsin.events import ticket_id as id_of
from tocsin.instants import InstantInput
from tocsin.runtime.http.authentication import MayRead
from tocsin.runtime.http.external_ticket import ExternalTicket
from tocsin.runtime.http.numbers import DIGITS
from tocsin.runtime.http.openapi import error_response, link
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import page_length
from tocsin.sources.directory_file import DirectoryFile

from escalator.api.schemas import (
    CURRENT_LADDERS_EXAMPLE,
    CurrentLadderListResponse,
    CurrentLadderResponse,
    CurrentLaddersRequest,
    LadderListResponse,
    LadderResponse,
)
from escalator.domain.tiers import LadderState, TicketEscalation
from escalator.domain.vacancies import vacancy_check
from escalator.errors import LadderNotFoundError
from escalator.store.escalations import handled_events, load_escalations
from escalator.store.ladders import LadderFilter, LadderRow, current_ladder, current_ladders, list_ladders

_NOT_FOUND: Final = "No ladder has started for this ticket."
_TO_TICKET: Final = link(
    "GET /v1/tickets/{ticket_id}/escalation",
    "The current ladder of the first ticket",
    ticket_id="$response.body#/items/0/ticket_id",
)
_TO_LIST: Final = link("GET /v1/escalations", "Every ladder of the ticket", ticket_id="$response.body#/ticket_id")
_NONE_STARTED: Final = error_response("No ladder has started", Problem(404, _NOT_FOUND))


def router(reader: AsyncEngine, directory: DirectoryFile) -> APIRouter:
    """The routes; `reader` is the engine for queries."""
    routes = APIRouter(prefix="/v1", tags=["escalations"])

    def response(row: LadderRow, escalation: TicketEscalation) -> LadderResponse:
        return LadderResponse.of(row, escalation, vacancy_check(directory.current(), row.customer.id))

    @routes.get(
        "/escalations",
        summary="List ladders",
        responses={200: {"description": "A page", "links": {"first": _TO_TICKET}}},
    )
    async def list_escalations(
        caller: MayRead,
        ticket_id: Annotated[UuidInput | None, Query(description="Only this ticket")] = None,
        customer: Annotated[Id | None, Query(max_length=10_000, description="Only this customer, by its id")] = None,
        tier: Annotated[
            Annotated[int, Field(ge=1, le=1000), DIGITS] | None,
            Query(description="Only ladders that last notified this tier"),
        ] = None,
        state: Annotated[LadderState | None, Query(description="Only ladders in this state")] = None,
        step_from: Annotated[
            InstantInput | None, Query(description="Only ladders with a step then or later that is not voided")
        ] = None,
        step_to: Annotated[InstantInput | None, Query(description="Only ladders with a step before then")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="Largest number of items"), DIGITS] = 100,
        cursor: Annotated[
            str | None, Query(pattern=r"^[1-9][0-9]{0,17}$", description="`next_cursor` of the previous page")
        ] = None,
    ) -> LadderListResponse:
        """Ladder runs, newest first. A ticket has one for each run in each cycle. `step_from` and `step_to` must hold
        for the same step. Request further pages with `next_cursor` until it is null.
        """
        before = int(cursor) if cursor is not None else None
        filters = LadderFilter(
            caller.tenant, ticket_id, customer, tier, state, step_from=step_from, step_to=step_to, before=before
        )
        async with reader.connect() as connection:
            rows = await list_ladders(connection, filters, limit + 1)
            escalations = await load_escalations(connection, {row.ticket_id for row in rows})
        items = tuple(response(row, escalations[row.ticket_id]) for row in rows)
        length = page_length(items, limit)
        return LadderListResponse(
            items=items[:length], next_cursor=str(rows[length - 1].position) if len(rows) > length else None
        )

    @routes.get(
        "/tickets/{ticket_id}/escalation",
        summary="Get a ticket's ladder",
        responses={200: {"description": "The current ladder", "links": {"all": _TO_LIST}}, 404: _NONE_STARTED},
    )
    async def get_escalation(
        caller: MayRead, ticket_id: Annotated[UuidInput, Path(description="The id from intake's response")]
    ) -> LadderResponse:
        """The ticket's current ladder: the tiers notified, what comes next, or how it ended. 404 if none started."""
        return await load_current(caller.tenant, ticket_id)

    @routes.get(
        "/tickets/by-external/{source}/{external_id:path}/escalation",
        summary="Get a ticket's ladder by the ticket's own id",
        responses={200: {"description": "The current ladder"}, 404: _NONE_STARTED},
    )
    async def get_escalation_by_external_id(caller: MayRead, ticket: ExternalTicket) -> LadderResponse:
        """The current ladder of the ticket that `source` knows by `external_id`. 404 if none started."""
        return await load_current(caller.tenant, id_of(caller.tenant, *ticket))

    @routes.post(
        "/ladders",
        summary="Get the ladders of several tickets",
        response_description="One item for each item of the request",
    )
    async def get_current_ladders(
        caller: MayRead, request: Annotated[CurrentLaddersRequest, Body(examples=[CURRENT_LADDERS_EXAMPLE])]
    ) -> CurrentLadderListResponse:
        """The current ladders of up to 200 tickets, in the order of the request, and whether a deadline event of each
        was handled. An unknown ticket has no ladder.
        """
        ticket_ids = {item.ticket_id for item in request.items}
        event_ids = {item.event_id for item in request.items if item.event_id is not None}
        async with reader.connect() as connection:
            # Handled events first: the ladders then show their effect.
            handled = await handled_events(connection, caller.tenant, event_ids)
            rows = await current_ladders(connection, caller.tenant, ticket_ids=ticket_ids)
            escalations = await load_escalations(connection, rows.keys())
        ladders = {ticket_id: response(row, escalations[ticket_id]) for ticket_id, row in rows.items()}
        return CurrentLadderListResponse(
            items=tuple(
                CurrentLadderResponse(
                    ticket_id=item.ticket_id,
                    handled=item.event_id is None or (item.ticket_id, item.event_id) in handled,
                    ladder=ladders.get(item.ticket_id),
                )
                for item in request.items
            )
        )

    async def load_current(tenant: str, ticket_id: UUID) -> LadderResponse:
        async with reader.connect() as connection:
            try:
                row = await current_ladder(connection, tenant, ticket_id=ticket_id)
            except LadderNotFoundError as error:
                raise Problem(404, _NOT_FOUND) from error
            escalations = await load_escalations(connection, {ticket_id})
        return response(row, escalations[ticket_id])

    return routes
