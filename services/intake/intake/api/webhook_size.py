"""Counts and logs webhooks that exceed the size limit, which no route sees."""

import structlog
from starlette.datastructures import Headers
from starlette.types import Scope

from intake import metrics
from intake.api.webhooks import PREFIX
from intake.domain.received_mail import EMAIL
from intake.sources.integrations_file import IntegrationsFile

log = structlog.get_logger(__name__)


class OversizedWebhooks:
    """Counts and logs a request that was too large, if it is a delivery to a configured webhook."""

    def __init__(self, integrations: IntegrationsFile) -> None:
        self._integrations = integrations

    def __call__(self, scope: Scope) -> None:
        provider, _, tenant = scope["path"].removeprefix(f"{PREFIX}/").partition("/")
        if self._is_known(provider, tenant):
            metrics.HOOK_DELIVERIES.labels(provider, "too_large").inc()
            length = Headers(scope=scope).get("content-length", "")[:20]
            log.warning("webhook_too_large", provider=provider, tenant=tenant, content_length=length)

    def _is_known(self, provider: str, tenant: str) -> bool:
        current = self._integrations.last_valid()
        if current is None:
            return False
        return current.find(tenant, provider) is not None or (provider == EMAIL and tenant in current.email)
