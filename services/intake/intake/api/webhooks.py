"""`POST /v1/hooks/{provider}/{tenant}`, and the list and the replay of unmapped deliveries."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.instants import render_instant
from tocsin.runtime.http.api_keys import ADMIN, Caller
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse

from intake import metrics
from intake.domain.webhooks.adapters.registry import ADAPTERS
from intake.domain.webhooks.auth_failure import auth_failure
from intake.domain.webhooks.config.integrations import Integration
from intake.errors import UnmappedReason
from intake.sources.integrations_file import IntegrationsFile, read_secret
from intake.sources.signing_keys import SigningKeys
from intake.store.webhooks import WebhookDelivery, WebhookState, WebhookStore
from intake.workers.webhook_worker import DeliveryResult, WebhookWorker, delivery_key

log = structlog.get_logger(__name__)

PREFIX: Final = "/v1/hooks"
_STORED_HEADERS: Final = ("content-type", "user-agent")
_LISTED_BODY_LENGTH: Final = 2000
_MAX_ID: Final = (1 << 63) - 1

MayAdminister = Annotated[Caller, Depends(require(ADMIN))]
DeliveryId = Annotated[int, Path(ge=1, le=_MAX_ID)]


class WebhookResponse(BaseModel):
    """The state of a delivery. `reason` and `detail` say why it is unmapped, or why it is retried."""

    model_config = ConfigDict(frozen=True)

    state: WebhookState | Literal["duplicate"]
    delivery_id: int | None = None
    reason: UnmappedReason | None = None
    detail: str | None = None


class UnmappedWebhookResponse(BaseModel):
    """A delivery that the configuration does not map; `body` is the start of its body."""

    model_config = ConfigDict(frozen=True)

    id: int
    provider: str
    received_at: str
    reason: UnmappedReason
    detail: str | None
    body: str


class UnmappedWebhookListResponse(BaseModel):
    """A page of unmapped deliveries, the oldest first; `next_cursor` is null on the last page."""

    model_config = ConfigDict(frozen=True)

    items: tuple[UnmappedWebhookResponse, ...]
    next_cursor: str | None


def router(
    reader: AsyncEngine, worker: WebhookWorker, integrations: IntegrationsFile, signing_keys: SigningKeys
) -> APIRouter:
    """The routes below /v1/hooks."""
    routes = APIRouter(prefix=PREFIX, tags=["webhooks"])

    @routes.get("/unmapped", summary="List unmapped webhooks", responses={200: {"model": UnmappedWebhookListResponse}})
    async def list_unmapped(
        caller: MayAdminister,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[int, Query(ge=0, le=_MAX_ID)] = 0,
    ) -> JsonResponse:
        """The deliveries that integrations.yaml does not map. Correct the file, then replay them."""
        async with reader.connect() as connection:
            found = await WebhookStore(connection).list_unmapped(caller.tenant, cursor, limit + 1)
        page = found[:limit]
        next_cursor = str(page[-1].id) if len(found) > limit else None
        return JsonResponse({"items": [_rendered(delivery) for delivery in page], "next_cursor": next_cursor})

    @routes.post(
        "/unmapped/{delivery_id}/replay",
        summary="Replay an unmapped webhook",
        responses={
            200: {"model": WebhookResponse},
            202: {"model": WebhookResponse, "description": "Processing failed and is retried"},
        },
    )
    async def replay_unmapped(delivery_id: DeliveryId, caller: MayAdminister) -> JsonResponse:
        """Process the delivery with the present integrations.yaml. A delivery that is not unmapped stays as it is."""
        result = await worker.replay(caller.tenant, delivery_id)
        if result is None:
            raise Problem(404, "Webhook delivery not found.")
        return webhook_response(result)

    @routes.post(
        "/{provider}/{tenant}",
        summary="Deliver a webhook of a tool",
        responses={
            200: {"model": WebhookResponse},
            202: {"model": WebhookResponse, "description": "Stored; processing failed and is retried"},
        },
        openapi_extra=_BODY,
    )
    async def deliver(provider: str, tenant: str, request: Request) -> JsonResponse:
        """Receive a webhook of a PSA tool, authenticated by the tool's own signature or secret instead of an API key.

        The delivery is stored before it is processed.
        """
        integration = integrations.find(tenant, provider)
        if integration is None:
            raise Problem(404, "Integration not found.")
        body = await request.body()
        headers = _headers_sent_once(request)
        if not await _is_genuine(integration, headers, body, signing_keys):
            metrics.HOOK_DELIVERIES.labels(provider, "forged").inc()
            reason = auth_failure(integration, integration.auth.read_secrets(read_secret), headers, datetime.now(UTC))
            log.warning("webhook_rejected", provider=provider, tenant=tenant, reason=reason)
            raise Problem(401, "Missing or invalid signature.")
        key = delivery_key(integration, body) or uuid4().bytes
        stored_headers = {name: headers[name] for name in _STORED_HEADERS if name in headers}
        return webhook_response(await worker.receive(tenant, provider, key, stored_headers, body))

    return routes


_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"description": "The payload as the tool sends it"}}},
    }
}


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


def webhook_response(result: DeliveryResult | None) -> JsonResponse:
    """The response to a delivery; None is a duplicate."""
    if result is None:
        return JsonResponse(WebhookResponse(state="duplicate").model_dump(mode="json", exclude_none=True))
    response = WebhookResponse(
        state=result.state, delivery_id=result.delivery_id, reason=result.reason, detail=result.detail
    )
    status = 202 if result.state is WebhookState.WAITING else 200
    return JsonResponse(response.model_dump(mode="json", exclude_none=True), status)


def _rendered(delivery: WebhookDelivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "provider": delivery.provider,
        "received_at": render_instant(delivery.received_at),
        "reason": delivery.reason,
        "detail": delivery.detail,
        "body": delivery.body[: 4 * _LISTED_BODY_LENGTH].decode(errors="replace")[:_LISTED_BODY_LENGTH],
    }
