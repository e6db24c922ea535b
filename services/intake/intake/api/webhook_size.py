"""Counts and logs webhooks that exceed the size limit, which no route sees."""

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake import metrics
from intake.api.webhooks import PREFIX
from intake.domain.received_mail import EMAIL
from intake.sources.integrations_file import IntegrationsFile

log = structlog.get_logger(__name__)


class WebhookSizeMiddleware:
    """Counts and logs 413 responses to configured webhooks; add it outside the middleware that enforces the limit."""

    def __init__(self, app: ASGIApp, integrations: IntegrationsFile) -> None:
        self._app = app
        self._integrations = integrations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        provider, _, tenant = scope.get("path", "").removeprefix(f"{PREFIX}/").partition("/")

        async def sending(message: Message) -> None:
            if (
                message["type"] == "http.response.start"
                and message["status"] == 413
                and self._is_known(provider, tenant)
            ):
                metrics.HOOK_DELIVERIES.labels(provider, "too_large").inc()
                length = Headers(scope=scope).get("content-length", "")[:20]
                log.warning("webhook_too_large", provider=provider, tenant=tenant, content_length=length)
            await send(message)

        await self._app(scope, receive, sending if scope["type"] == "http" else send)

    def _is_known(self, provider: str, tenant: str) -> bool:
        current = self._integrations.last_valid()
        if current is None:
            return False
        return current.find(tenant, provider) is not None or (provider == EMAIL and tenant in current.email)
