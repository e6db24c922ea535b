"""`POST /v1/hooks/{provider}/{tenant}`: what tools deliver; and the unmapped deliveries, to be listed and replayed."""

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
from intake.domain.webhooks.auth_failure import refusal
from intake.domain.webhooks.config.integrations import Integration
from intake.domain.webhooks.update import Reason
from intake.sources.integrations_file import IntegrationsFile, read_secret
from intake.sources.signing_keys import KeyUnavailableError, SigningKeys
from intake.store.webhooks import WebhookDelivery, WebhookState, WebhookStore
from intake.workers.webhook_worker import DeliveryResult, WebhookWorker, identity

log = structlog.get_logger(__name__)

PREFIX: Final = "/v1/hooks"
_KEPT_HEADERS: Final = ("content-type", "user-agent")
_SHOWN_BODY: Final = 2000
_LATER: Final = {"Retry-After": "30"}
_LARGEST_ID: Final = (1 << 63) - 1

MayAdminister = Annotated[Caller, Depends(require(ADMIN))]
DeliveryId = Annotated[int, Path(ge=1, le=_LARGEST_ID)]


class WebhookResponse(BaseModel):
    """What became of a delivery. `reason` and `detail` say why it is unmapped, or waits to be tried again."""

    model_config = ConfigDict(frozen=True)

    state: WebhookState | Literal["duplicate"]
    delivery_id: int | None = None
    reason: Reason | None = None
    detail: str | None = None


class UnmappedWebhookResponse(BaseModel):
    """A delivery that the mapping did not know what to make of; `body` is the beginning of its body."""

    model_config = ConfigDict(frozen=True)

    id: int
    provider: str
    received_at: str
    reason: Reason
    detail: str | None
    body: str


class UnmappedWebhookListResponse(BaseModel):
    """A page of them, the oldest first; `next_cursor` is null on the last page."""

    model_config = ConfigDict(frozen=True)

    items: tuple[UnmappedWebhookResponse, ...]
    next_cursor: str | None


def router(
    reader: AsyncEngine, deliveries: WebhookWorker, integrations: IntegrationsFile, signing_keys: SigningKeys
) -> APIRouter:
    """The calls below /v1/hooks."""
    routes = APIRouter(prefix=PREFIX, tags=["webhooks"])

    @routes.get("/unmapped", summary="List unmapped webhooks", responses={200: {"model": UnmappedWebhookListResponse}})
    async def list_unmapped(
        caller: MayAdminister,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[int, Query(ge=0, le=_LARGEST_ID)] = 0,
    ) -> JsonResponse:
        """What the mapping did not know what to make of. Mend integrations.yaml, then replay it."""
        async with reader.connect() as connection:
            found = await WebhookStore(connection).unmapped(caller.tenant, cursor, limit + 1)
        page = found[:limit]
        following = str(page[-1].id) if len(found) > limit else None
        return JsonResponse({"items": [_unmapped(item) for item in page], "next_cursor": following})

    @routes.post(
        "/unmapped/{delivery_id}/replay",
        summary="Replay an unmapped webhook",
        responses={
            200: {"model": WebhookResponse},
            202: {"model": WebhookResponse, "description": "It is tried again"},
        },
    )
    async def replay_unmapped(delivery_id: DeliveryId, caller: MayAdminister) -> JsonResponse:
        """Take it in by the mapping as it is now. What is not unmapped any more stays as it is."""
        async with reader.begin() as connection:
            store = WebhookStore(connection)
            replayed = await store.replay(caller.tenant, [delivery_id])
            delivery = await store.delivery(delivery_id, caller.tenant)
        if delivery is None:
            raise Problem(404, "There is no such webhook delivery.")
        if not replayed:
            return webhook_response(delivery.id, DeliveryResult(delivery.state, delivery.reason, delivery.detail))
        return webhook_response(delivery.id, await deliveries.take(delivery))

    @routes.post(
        "/{provider}/{tenant}",
        summary="Deliver a webhook of a tool",
        responses={
            200: {"model": WebhookResponse},
            202: {"model": WebhookResponse, "description": "Stored, and tried again"},
        },
        openapi_extra=_BODY,
    )
    async def deliver(provider: str, tenant: str, request: Request) -> JsonResponse:
        """What a PSA tool sends; its own signature stands for a key. It is stored before anything is made of it."""
        integration = integrations.find(tenant, provider)
        if integration is None:
            raise Problem(404, "There is no such integration.")
        body = await request.body()
        headers = _single(request)
        if not await _genuine(integration, headers, body, signing_keys):
            metrics.HOOK_DELIVERIES.labels(provider, "forged").inc()
            found = integration.auth.found(read_secret)
            why = refusal(integration, found, headers, datetime.now(UTC))
            log.warning("hook_refused", provider=provider, tenant=tenant, why=why)
            raise Problem(401, "The proof is missing or wrong.")
        key = identity(integration, body) or uuid4().bytes
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        delivery = await deliveries.keep(tenant, provider, key, kept, body)
        if delivery is None:
            metrics.HOOK_DELIVERIES.labels(provider, "duplicate").inc()
            return JsonResponse(WebhookResponse(state="duplicate").model_dump(exclude_none=True))
        return webhook_response(delivery.id, await deliveries.take(delivery))

    return routes


_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"description": "As the tool sends it"}}},
    }
}


async def _genuine(
    integration: Integration, headers: Mapping[str, str], body: bytes, signing_keys: SigningKeys
) -> bool:
    """Whether a secret proves the delivery; a key is only fetched where none does. Raises Problem 503."""
    adapter, auth = ADAPTERS[integration.adapter], integration.auth
    if adapter.genuine(auth, auth.found(read_secret), headers, body, datetime.now(UTC)):
        return True
    if not auth.fetch_keys:
        return False
    try:
        for anew in (False, True):
            fetched = await signing_keys.of(body, anew=anew)
            if not fetched or adapter.genuine(auth, fetched, headers, body, datetime.now(UTC)):
                return bool(fetched)
    except KeyUnavailableError:
        raise Problem(503, "The signing key cannot be fetched now. Try again.", headers=_LATER) from None
    return False


def _single(request: Request) -> Mapping[str, str]:
    """The headers that came once, by their lower-case names: of one that came twice nobody can tell which is meant."""
    times = Counter(name for name, _ in request.headers.items())
    return {name: value for name, value in request.headers.items() if times[name] == 1}


def webhook_response(delivery_id: int, settled: DeliveryResult) -> JsonResponse:
    """What a tool is told of its delivery."""
    answer = WebhookResponse(state=settled.state, delivery_id=delivery_id, reason=settled.reason, detail=settled.detail)
    return JsonResponse(answer.model_dump(exclude_none=True), 202 if settled.state == "waiting" else 200)


def _unmapped(delivery: WebhookDelivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "provider": delivery.provider,
        "received_at": render_instant(delivery.received_at),
        "reason": delivery.reason,
        "detail": delivery.detail,
        "body": delivery.body[: 4 * _SHOWN_BODY].decode(errors="replace")[:_SHOWN_BODY],
    }
