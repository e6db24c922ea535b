"""`/v1/webhook-deliveries`: list outgoing webhooks, read one with its attempts, send one again."""

from collections.abc import Callable
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.events import parse_uuid
from tocsin.runtime.http.authentication import MayAdminister, MayRead
from tocsin.runtime.http.openapi import error_response, link
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import page_length

from board.api.webhook_schemas import (
    OutgoingWebhookDetailResponse,
    OutgoingWebhookListResponse,
    OutgoingWebhookResponse,
    WebhookAttemptResponse,
    WebhookListQuery,
)
from board.errors import WebhookNotFoundError, WebhookWaitingError
from board.handlers.webhook_deliveries import redeliver
from board.store.webhook_deliveries import load_attempts, load_page, load_webhook


def _problem(error: WebhookNotFoundError | WebhookWaitingError) -> Problem:
    return Problem(404 if isinstance(error, WebhookNotFoundError) else 409, str(error))


def _parse_delivery_id(delivery_id: Annotated[str, Path(description="The webhook's `id`")]) -> UUID:
    """An invalid UUID is treated as not found."""
    try:
        return parse_uuid(delivery_id)
    except ValueError:
        raise _problem(WebhookNotFoundError()) from None


DeliveryId = Annotated[UUID, Depends(_parse_delivery_id)]
_GET: Final = "GET /v1/webhook-deliveries/{delivery_id}"
_REDELIVER: Final = "POST /v1/webhook-deliveries/{delivery_id}/redeliver"
_LIST_LINKS: Final = {
    "first": link(_GET, "Read the first one", delivery_id="$response.body#/items/0/id"),
    "redeliver": link(_REDELIVER, "Send it again", delivery_id="$response.body#/items/0/id"),
}
_REDELIVERY_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    202: {"links": {"delivery": link(_GET, "Read its attempts", delivery_id="$response.body#/id")}},
    409: error_response("It is still being sent", _problem(WebhookWaitingError())),
}


def router(reader: AsyncEngine, writer: AsyncEngine, wake: Callable[[], None]) -> APIRouter:
    """The routes. `wake` is called when a webhook was queued again."""
    routes = APIRouter(prefix="/v1", tags=["webhooks"])

    @routes.get(
        "/webhook-deliveries",
        summary="List outgoing webhooks",
        response_description="A page of webhooks",
        responses={200: {"links": _LIST_LINKS}},
    )
    async def list_webhook_deliveries(caller: MayRead, query: WebhookListQuery) -> OutgoingWebhookListResponse:
        """The tenant's outgoing webhooks, oldest first. Request further pages with `next_cursor` until it is null."""
        async with reader.connect() as connection:
            found = await load_page(connection, query.filter(caller.tenant), query.limit + 1)
        items = tuple(OutgoingWebhookResponse.model_validate(webhook) for _, webhook in found)
        length = page_length(items, query.limit)
        next_cursor = str(found[length - 1][0]) if len(found) > length else None
        return OutgoingWebhookListResponse(items=items[:length], next_cursor=next_cursor)

    @routes.get(
        "/webhook-deliveries/{delivery_id}", summary="Get an outgoing webhook", response_description="The webhook"
    )
    async def get_webhook_delivery(caller: MayRead, delivery_id: DeliveryId) -> OutgoingWebhookDetailResponse:
        """One webhook with its body as it is sent, and every attempt with the beginning of the response."""
        async with reader.connect() as connection:
            webhook = await load_webhook(connection, caller.tenant, delivery_id)
            attempts = await load_attempts(connection, delivery_id)
        if webhook is None:
            raise _problem(WebhookNotFoundError())
        return OutgoingWebhookDetailResponse(
            **dict(OutgoingWebhookResponse.model_validate(webhook)),
            body=webhook.body,
            journal=tuple(map(WebhookAttemptResponse.model_validate, attempts)),
        )

    @routes.post(
        "/webhook-deliveries/{delivery_id}/redeliver",
        summary="Send a webhook again",
        status_code=202,
        response_description="Queued",
        responses=_REDELIVERY_RESPONSES,
    )
    async def post_redeliver(caller: MayAdminister, delivery_id: DeliveryId) -> OutgoingWebhookResponse:
        """Send a delivered or failed webhook once more, with the same webhook-id and body, and repeat it for a day.

        It is also sent to an endpoint that responded 410, which then gets webhooks again.
        """
        try:
            async with writer.begin() as connection:
                webhook = await redeliver(connection, caller.tenant, delivery_id)
        except (WebhookNotFoundError, WebhookWaitingError) as error:
            raise _problem(error) from None
        wake()
        return OutgoingWebhookResponse.model_validate(webhook)

    return routes
