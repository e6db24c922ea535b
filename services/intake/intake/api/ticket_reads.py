"""`GET /v1/tickets`, one and many."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.http.api_keys import TICKETS_READ, Caller
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.responses import JsonResponse

from intake.api.dependencies import ticket_id_of
from intake.api.list_query import Listing
from intake.api.schemas import TicketList, TicketWithFacts, ticket_answer, ticket_with_facts
from intake.domain.ticket_state import standing
from intake.handlers import unknown_ticket
from intake.store import Store

MayRead = Annotated[Caller, Depends(require(TICKETS_READ))]


def add(routes: APIRouter, reader: AsyncEngine) -> None:
    """Add both calls."""

    @routes.get("", summary="List tickets", responses={200: {"model": TicketList}})
    async def list_tickets(caller: MayRead, query: Listing) -> JsonResponse:
        """Tickets, the last received first. Ask with `next_cursor` until it is null."""
        async with reader.connect() as connection:
            found = await Store(connection).page(query.filter(caller.tenant), query.limit + 1)
        page = found[: query.limit]
        cursor = str(page[-1].position) if len(found) > query.limit else None
        return JsonResponse({"items": [ticket_answer(ticket) for ticket in page], "next_cursor": cursor})

    @routes.get("/{ticket_id}", summary="Read a ticket", responses={200: {"model": TicketWithFacts}})
    async def get_ticket(ticket_id: str, caller: MayRead) -> JsonResponse:
        """A ticket as it stands, with all its facts."""
        found = ticket_id_of(ticket_id)
        async with reader.connect() as connection:
            store = Store(connection)
            ticket = await store.ticket(caller.tenant, found)
            if ticket is None:
                raise unknown_ticket()
            facts = (await store.facts([found]))[found]
        # Its standing is told from the facts that are shown: one may have come between the two queries.
        return JsonResponse(ticket_with_facts(replace(ticket, standing=standing(facts)), facts))
