"""Webhooks that are refused for their size before any route sees them: counted and logged."""

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake import metrics
from intake.api.hooks import PREFIX

log = structlog.get_logger(__name__)


class TooLargeTold:
    """Counts and logs answers of 413 to the hook of a provider; to be added outside what enforces the limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        provider, _, tenant = scope.get("path", "").removeprefix(f"{PREFIX}/").partition("/")
        if provider not in metrics.hook_providers():
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 413:
                metrics.HOOK_DELIVERIES.labels(provider, "too_large").inc()
                length = Headers(scope=scope).get("content-length", "")[:20]
                log.warning("hook_too_large", provider=provider, tenant=tenant[:60], content_length=length)
            await send(message)

        await self._app(scope, receive, sending)
