"""`POST /v1/hooks/email/{tenant}`: mails to the two mailboxes, stored as they came and then taken in."""

from hashlib import sha256
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from tocsin.runtime.http.openapi import error_response
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse

from intake import metrics
from intake.api.webhooks import PREFIX, WebhookResponse, webhook_response
from intake.domain.mail_rules import SOURCE as PROVIDER
from intake.domain.webhooks import signatures
from intake.sources.integrations_file import IntegrationsFile, read_secret
from intake.workers.webhook_worker import WebhookWorker

log = structlog.get_logger(__name__)

MAIL_PREFIX: Final = f"{PREFIX}/{PROVIDER}"
MAIL_BYTES: Final = 10_000_000

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "message/rfc822": {
                "schema": {"type": "string", "contentMediaType": "message/rfc822"},
                "example": "From: Ada <ada@acme.example>\r\nTo: Support@betterworldtech.com\r\n"
                "Subject: Printer\r\nMessage-ID: <1@acme.example>\r\n\r\nIt is broken.\r\n",
            }
        },
    }
}
_FORGED: Final = Problem(401, "The secret is missing or wrong.", headers={"WWW-Authenticate": "Bearer, Basic"})


def router(deliveries: WebhookWorker, integrations: IntegrationsFile) -> APIRouter:
    """The call; to be included before the one that takes any provider."""
    routes = APIRouter(tags=["webhooks"])

    @routes.post(
        MAIL_PREFIX + "/{tenant}",
        summary="Deliver a mail",
        responses={
            200: {"model": WebhookResponse, "description": "Stored, and taken in as `detail` says"},
            202: {"model": WebhookResponse, "description": "Stored, and tried again"},
            401: error_response("The secret is missing or wrong", _FORGED),
        },
        openapi_extra=_BODY,
    )
    async def deliver_mail(tenant: str, request: Request) -> JsonResponse:
        """A message as RFC 5322 writes it, from a mail server's pipe; a secret of the `email` section stands for a key.

        It is stored before anything is made of it: a ticket, something that happened to one, or, of what a machine
        wrote, nothing.
        """
        current = integrations.current()
        mailing = current.email.get(tenant) if current is not None else None
        if mailing is None or mailing.auth is None:
            raise Problem(404, "There is no such integration.")
        given = request.headers.getlist("authorization")
        secrets = mailing.auth.found(read_secret)
        if len(given) != 1 or not signatures.authorized(given[0], secrets, user=mailing.auth.user):
            metrics.HOOK_DELIVERIES.labels(PROVIDER, "forged").inc()
            why = "no_secret" if not secrets else "wrong" if len(given) == 1 else "header_missing"
            log.warning("hook_refused", provider=PROVIDER, tenant=tenant, why=why)
            raise _FORGED
        return await receive_mail(deliveries, tenant, await request.body())

    return routes


async def receive_mail(deliveries: WebhookWorker, tenant: str, raw: bytes) -> JsonResponse:
    """Store a message and take it in; the same bytes again are the same delivery."""
    delivery = await deliveries.keep(tenant, PROVIDER, sha256(raw).digest(), {"content-type": "message/rfc822"}, raw)
    if delivery is None:
        metrics.HOOK_DELIVERIES.labels(PROVIDER, "duplicate").inc()
        return JsonResponse(WebhookResponse(state="duplicate").model_dump(exclude_none=True))
    return webhook_response(delivery.id, await deliveries.take(delivery))
