"""`GET /v1/deliveries`, one and many."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.http.api_keys import TICKETS_READ, Caller
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.responses import JsonResponse

from notifier import store
from notifier.api.list_query import Listing
from notifier.api.schemas import Deliveries, DeliveryWithJournal, delivery_answer, with_journal
from notifier.handlers.redelivery import unknown_delivery

MayRead = Annotated[Caller, Depends(require(TICKETS_READ))]


def add(routes: APIRouter, reader: AsyncEngine) -> None:
    """Add both calls."""

    @routes.get("/deliveries", summary="List mails, sent or not", responses={200: {"model": Deliveries}})
    async def list_deliveries(caller: MayRead, query: Listing) -> JsonResponse:
        """Mails, the oldest first. Ask with `next_cursor` until it is null."""
        async with reader.connect() as connection:
            found = await store.page(connection, query.filter(caller.tenant), query.limit + 1)
        page = found[: query.limit]
        cursor = str(page[-1].seq) if len(found) > query.limit else None
        return JsonResponse({"items": [delivery_answer(delivery) for delivery in page], "next_cursor": cursor})

    @routes.get(
        "/deliveries/{delivery_id}",
        summary="Read a mail and its journal",
        responses={200: {"model": DeliveryWithJournal}},
    )
    async def get_delivery(delivery_id: str, caller: MayRead) -> JsonResponse:
        """A mail, and every state that it reached: when, at which attempt, and in the server's words."""
        found = delivery_id_of(delivery_id)
        async with reader.connect() as connection:
            delivery = await store.delivery(connection, caller.tenant, found)
            if delivery is None:
                raise unknown_delivery()
            journal = await store.journal_of(connection, found)
        return JsonResponse(with_journal(delivery, journal))


def delivery_id_of(text: str) -> UUID:
    """A delivery's id out of a path: what is none belongs to no delivery."""
    try:
        return UUID(text)
    except ValueError:
        raise unknown_delivery() from None
