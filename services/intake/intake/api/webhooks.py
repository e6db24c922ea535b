"""`POST /v1/hooks/{provider}/{tenant}`, and the list and the replay of unmapped deliveries."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import uuid4

import structlog
from fastapi import APIRouter, Path, Query, Request
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.http.api_keys import Caller
from tocsin.runtime.http.authentication import MayAdminister
from tocsin.runtime.http.numbers import DIGITS
from tocsin.runtime.http.openapi import error_response
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.query_parameters import ANY_QUERY
from tocsin.runtime.http.responses import JsonResponse, page_length
from tocsin.sources.secrets import read_secret

from intake import metrics
from intake.api.problems import document_error
from intake.api.webhook_schemas import (
    IGNORED_RESPONSES,
    UNMAPPED_RESPONSES,
    WebhookDeliveryListResponse,
    WebhookDeliveryResponse,
    WebhookResponse,
    delivery_responses,
)
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.auth_failure import auth_failure
from intake.domain.webhooks.config.integrations import Integration
from intake.errors import SigningKeyUnavailableError, UnmappedReason
from intake.handlers.deliveries import DeliveryResult, dismiss_deliveries, list_deliveries
from intake.handlers.webhooks import delivery_key
from intake.sources.integrations_file import IntegrationsFile
from intake.sources.signing_keys import SigningKeys
from intake.store.webhooks import DeliveryReason, WebhookState
from intake.workers.webhook_worker import WebhookWorker

log = structlog.get_logger(__name__)

PREFIX: Final = "/v1/hooks"
_STORED_HEADERS: Final = ("content-type", "user-agent")
_MAX_ID: Final = (1 << 63) - 1
_UNAUTHENTICATED: Final = Problem(401, "Missing or invalid signature.")
_PAYLOAD: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"description": "The payload as the tool sends it"},
                "example": {
                    "MessageId": "4f6a1c9e",
                    "Action": "updated",
                    "Type": "ticket",
                    "ID": 1042,
                    "CompanyId": "bwt",
                    "Entity": '{"id": 1042, "summary": "Mail is down"}',
                    "Metadata": {
                        "key_url": "https://api-na.myconnectwise.net/v4_6_release/apis/3.0/system/callbacks/signingkey"
                    },
                },
            }
        },
    }
}


Limit = Annotated[int, Query(ge=1, le=500, description="The size of the page"), DIGITS]
Cursor = Annotated[int, Query(ge=0, le=_MAX_ID, description="`next_cursor` of the previous page"), DIGITS]
UnmappedFilter = Annotated[UnmappedReason | None, Query(description="Only those with this reason")]
IgnoredFilter = Annotated[
    DeliveryReason | None, Query(description="Only those with this reason; of a dismissed one, why it was unmapped")
]
DeliveryId = Annotated[int, Path(ge=1, le=_MAX_ID, description="The `id` of the delivery"), DIGITS]


def list_router(reader: AsyncEngine) -> APIRouter:
    """The routes that list unmapped and ignored deliveries."""
    routes = APIRouter(prefix=PREFIX, tags=["webhooks"])

    async def page(
        state: WebhookState, caller: Caller, reason: DeliveryReason | None, limit: int, cursor: int
    ) -> JsonResponse:
        async with reader.connect() as connection:
            found = await list_deliveries(connection, state, caller.tenant, reason, cursor=cursor, limit=limit)
        items = tuple(map(WebhookDeliveryResponse.of, found.items))
        length = page_length(items, limit)
        following = found.next_cursor if length == len(items) else items[length - 1].id
        response = WebhookDeliveryListResponse(
            items=items[:length], next_cursor=str(following) if following is not None else None
        )
        return JsonResponse(response.model_dump(mode="json"))

    @routes.get("/unmapped", summary="List unmapped webhooks", responses=UNMAPPED_RESPONSES)
    async def list_unmapped(
        caller: MayAdminister, reason: UnmappedFilter = None, limit: Limit = 100, cursor: Cursor = 0
    ) -> JsonResponse:
        """Lists the deliveries that integrations.yaml does not map. Correct the file, then replay them."""
        return await page(WebhookState.UNMAPPED, caller, reason, limit, cursor)

    @routes.get("/ignored", summary="List ignored webhooks and mails", responses=IGNORED_RESPONSES)
    async def list_ignored(
        caller: MayAdminister, reason: IgnoredFilter = None, limit: Limit = 100, cursor: Cursor = 0
    ) -> JsonResponse:
        """Lists the deliveries that changed nothing: mails that a machine wrote, webhooks without a ticket of a
        configured queue, and dismissed deliveries. To open the ticket of a machine's mail, allow its sender in
        integrations.yaml, then replay the delivery.
        """
        return await page(WebhookState.IGNORED, caller, reason, limit, cursor)

    return routes


def correction_router(side_writer: AsyncEngine, worker: WebhookWorker) -> APIRouter:
    """The routes that replay deliveries by `worker`, and dismiss them through `side_writer`."""
    routes = APIRouter(prefix=PREFIX, tags=["webhooks"])

    @routes.post(
        "/unmapped/{delivery_id}/replay",
        summary="Replay an unmapped or ignored webhook or mail",
        responses=delivery_responses("Its new state"),
    )
    async def replay_unmapped(delivery_id: DeliveryId, caller: MayAdminister) -> JsonResponse:
        """Processes an unmapped or ignored delivery with the current integrations.yaml; any other stays unchanged."""
        result = await worker.replay(caller.tenant, delivery_id)
        if result is None:
            raise Problem(404, "Webhook delivery not found.")
        return render(result)

    @routes.post(
        "/unmapped/{delivery_id}/dismiss",
        summary="Dismiss an unmapped webhook",
        responses={200: {"model": WebhookResponse, "description": "Its new state"}},
    )
    async def dismiss_unmapped(delivery_id: DeliveryId, caller: MayAdminister) -> JsonResponse:
        """Ignores the delivery from now on, such as a test. One that is not unmapped is not found."""
        async with side_writer.begin() as connection:
            if not await dismiss_deliveries(connection, caller.tenant, [delivery_id], f"key {caller.key_id}"):
                raise Problem(404, "Unmapped webhook delivery not found.")
        return render(DeliveryResult(WebhookState.IGNORED, delivery_id))

    return routes


def router(worker: WebhookWorker, integrations: IntegrationsFile, signing_keys: SigningKeys) -> APIRouter:
    """The route that receives deliveries. `worker` processes them."""
    routes = APIRouter(prefix=PREFIX, tags=["webhooks"])

    @routes.post(
        "/{provider}/{tenant}",
        summary="Deliver a webhook of a tool",
        responses={
            **delivery_responses("Stored, and processed if integrations.yaml maps it"),
            401: error_response("Missing or invalid signature", _UNAUTHENTICATED),
            **document_error(
                "The signing key cannot be fetched, integrations.yaml is invalid, or the database fails",
                SigningKeyUnavailableError(),
            ),
        },
        openapi_extra=_PAYLOAD,
        dependencies=[ANY_QUERY],
    )
    async def deliver(
        provider: Annotated[str, Path(description="The name of the integration in integrations.yaml")],
        tenant: Annotated[str, Path(description="The tenant of the integration")],
        request: Request,
    ) -> JsonResponse:
        """Receives a webhook of a PSA tool, authenticated by the tool's signature or secret instead of an API key.

        The delivery is stored before it is processed.
        """
        integration = integrations.current().find(tenant, provider)
        if integration is None:
            raise Problem(404, "Integration not found.")
        body = await request.body()
        headers = _headers_sent_once(request)
        if not await _is_genuine(integration, headers, body, signing_keys):
            metrics.HOOK_DELIVERIES.labels(provider, "forged").inc()
            reason = auth_failure(integration, integration.auth.read_secrets(read_secret), headers, datetime.now(UTC))
            log.warning("webhook_rejected", provider=provider, tenant=tenant, reason=reason)
            raise _UNAUTHENTICATED
        key = delivery_key(integration, body) or uuid4().bytes
        stored_headers = {name: headers[name] for name in _STORED_HEADERS if name in headers}
        return render(await worker.receive(tenant, provider, key, stored_headers, body))

    return routes


def render(result: DeliveryResult | None) -> JsonResponse:
    """The response to a delivery; None is a duplicate."""
    status = 202 if result is not None and result.state is WebhookState.WAITING else 200
    return JsonResponse(WebhookResponse.of(result).model_dump(mode="json", exclude_none=True), status)


async def _is_genuine(
    integration: Integration, headers: Mapping[str, str], body: bytes, signing_keys: SigningKeys
) -> bool:
    """Whether a secret authenticates the delivery; a key is fetched only if no configured one does.

    Raises SigningKeyUnavailableError.
    """
    adapter, auth = ADAPTERS[integration.adapter], integration.auth
    if adapter.is_genuine(auth, auth.read_secrets(read_secret), headers, body, datetime.now(UTC)):
        return True
    if not auth.fetch_keys:
        return False
    for fresh in (False, True):
        keys = await signing_keys.key_for(body, fresh=fresh)
        if not keys or adapter.is_genuine(auth, keys, headers, body, datetime.now(UTC)):
            return bool(keys)
    return False


def _headers_sent_once(request: Request) -> Mapping[str, str]:
    """The headers by their lower-case names, without those that were sent more than once: they are ambiguous."""
    counts = Counter(name for name, _ in request.headers.items())
    return {name: value for name, value in request.headers.items() if counts[name] == 1}
