"""`/v1/deliveries`: list deliveries, read one with its journal, send its mail again."""

from collections.abc import Callable
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Header, Path, Response
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.characters import Id
from tocsin.events import parse_uuid
from tocsin.runtime.http.authentication import MayAdminister, MayRead
from tocsin.runtime.http.openapi import error_response, link
from tocsin.runtime.http.responses import page_length
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from notifier.api.list_query import ListQuery
from notifier.api.problems import problem_of
from notifier.api.schemas import (
    REDELIVERY_EXAMPLE,
    DeliveryDetailResponse,
    DeliveryListResponse,
    DeliveryResponse,
    JournalEntryResponse,
    RedeliveryRequest,
)
from notifier.errors import DeliveryNotFoundError, RedeliveryKeyReusedError, RedeliveryRefusedError
from notifier.handlers.redelivery import RedeliveryOrder, redeliver
from notifier.store import deliveries, journal


def _parse_delivery_id(delivery_id: Annotated[str, Path(description="The delivery's `id`")]) -> UUID:
    """An invalid UUID is treated as not found."""
    try:
        return parse_uuid(delivery_id)
    except ValueError:
        raise DeliveryNotFoundError from None


DeliveryId = Annotated[UUID, Depends(_parse_delivery_id)]
IdempotencyKey = Annotated[
    Id | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Makes a repeat harmless: the same key for the same mail requests one redelivery, without expiry. "
        "With a different body it is 422",
    ),
]
_GET, _REDELIVER = "GET /v1/deliveries/{delivery_id}", "POST /v1/deliveries/{delivery_id}/redeliver"
_LIST_LINKS = {
    "first": link(_GET, "Read the first one", delivery_id="$response.body#/items/0/id"),
    "redeliver": link(_REDELIVER, "Send its mail again", delivery_id="$response.body#/items/0/id"),
}
_NEW_DELIVERY = link(_GET, "Read the new delivery", delivery_id="$response.body#/id")
_IN_PROGRESS = RedeliveryRefusedError("This mail is still on its way (deferred). Wait for the result of delivery ...")
_REDELIVERY_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": DeliveryResponse,
        "description": "Already requested with this Idempotency-Key",
        "links": {"delivery": _NEW_DELIVERY},
    },
    201: {"links": {"delivery": _NEW_DELIVERY}},
    409: error_response("The mail is still on its way, or no longer needed", problem_of(_IN_PROGRESS)),
    422: error_response(
        "Every invalid field, or an Idempotency-Key used with a different body", problem_of(RedeliveryKeyReusedError())
    ),
}


def router(reader: AsyncEngine) -> APIRouter:
    """The routes that read deliveries."""
    routes = APIRouter(prefix="/v1", tags=["deliveries"])

    @routes.get(
        "/deliveries",
        summary="List deliveries",
        response_description="A page of deliveries",
        responses={200: {"links": _LIST_LINKS}},
    )
    async def list_deliveries(caller: MayRead, query: ListQuery) -> DeliveryListResponse:
        """The tenant's mails, sent or not, oldest first. Request further pages with `next_cursor` until it is null."""
        async with reader.connect() as connection:
            found = await deliveries.load_page(connection, query.filter(caller.tenant), query.limit + 1)
        items = tuple(map(DeliveryResponse.model_validate, found))
        length = page_length(items, query.limit)
        return DeliveryListResponse(
            items=items[:length], next_cursor=str(found[length - 1].seq) if len(found) > length else None
        )

    @routes.get("/deliveries/{delivery_id}", summary="Get a delivery", response_description="The delivery")
    async def get_delivery(caller: MayRead, delivery_id: DeliveryId) -> DeliveryDetailResponse:
        """One delivery with its journal: every state it reached, when, in which attempt, and the server's reply."""
        async with reader.connect() as connection:
            delivery = await deliveries.load_delivery(connection, caller.tenant, delivery_id)
            if delivery is None:
                raise DeliveryNotFoundError
            entries = await journal.load_entries(connection, delivery_id)
        return DeliveryDetailResponse(
            **dict(DeliveryResponse.model_validate(delivery)),
            journal=tuple(map(JournalEntryResponse.model_validate, entries)),
        )

    return routes


def redelivery_router(
    writer: AsyncEngine, clock: TimeSource, directory: DirectoryFile, wake: Callable[[], None]
) -> APIRouter:
    """The route that sends a mail again. `wake` is called when it was queued."""
    routes = APIRouter(prefix="/v1", tags=["deliveries"])

    @routes.post(
        "/deliveries/{delivery_id}/redeliver",
        summary="Send a mail again",
        status_code=201,
        response_description="Queued",
        responses=_REDELIVERY_RESPONSES,
    )
    async def post_redeliver(
        caller: MayAdminister,
        delivery_id: DeliveryId,
        response: Response,
        request: Annotated[RedeliveryRequest | None, Body(examples=[REDELIVERY_EXAMPLE])] = None,
        idempotency_key: IdempotencyKey = None,
    ) -> DeliveryResponse:
        """Queue a mail that was sent, refused, bounced or undeliverable once more, for the person it was for.

        The redelivery is a separate delivery, and its mail says that it is one, who requested it and when.
        """
        request = request or RedeliveryRequest()
        key = f"key {caller.key_id}"
        order = RedeliveryOrder(
            by=f"{request.by} ({key})" if request.by else key,
            reason=request.reason,
            key=f"{caller.key_id}/{idempotency_key}" if idempotency_key else None,
        )
        async with writer.begin() as connection:
            queued, is_new = await redeliver(connection, clock, directory.current(), caller.tenant, delivery_id, order)
        wake()
        response.status_code = 201 if is_new else 200
        return DeliveryResponse.model_validate(queued)

    return routes
