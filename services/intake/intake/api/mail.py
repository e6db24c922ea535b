"""`POST /v1/hooks/email/{tenant}`: mails to the two mailboxes."""

from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Path, Request
from tocsin.runtime.http.openapi import error_response
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.query_parameters import ANY_QUERY
from tocsin.runtime.http.responses import JsonResponse
from tocsin.sources.secrets import read_secret

from intake import metrics
from intake.api.problems import document_error
from intake.api.webhook_schemas import delivery_responses
from intake.api.webhooks import PREFIX, render
from intake.domain.received_mail import EMAIL
from intake.domain.webhooks import signatures
from intake.domain.webhooks.auth_failure import AuthFailure
from intake.errors import IntegrationsUnavailableError
from intake.sources.integrations_file import IntegrationsFile
from intake.workers.webhook_worker import WebhookWorker

log = structlog.get_logger(__name__)

MAIL_PREFIX: Final = f"{PREFIX}/{EMAIL}"

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
_UNAUTHORIZED: Final = Problem(401, "Missing or invalid secret.", headers={"WWW-Authenticate": "Bearer, Basic"})


def router(worker: WebhookWorker, integrations: IntegrationsFile) -> APIRouter:
    """The route; include it before the one for any provider."""
    routes = APIRouter(tags=["webhooks"])

    @routes.post(
        MAIL_PREFIX + "/{tenant}",
        summary="Deliver a mail",
        responses={
            **delivery_responses("Stored and processed; `detail` states the result"),
            401: error_response("Missing or invalid secret", _UNAUTHORIZED),
            **document_error("integrations.yaml is invalid, or the database fails", IntegrationsUnavailableError()),
        },
        openapi_extra=_BODY,
        dependencies=[ANY_QUERY],
    )
    async def deliver_mail(
        tenant: Annotated[str, Path(description="The tenant of the mailbox")], request: Request
    ) -> JsonResponse:
        """Receives a mail (RFC 5322) from a mail server, authenticated by a secret of the `email` section.

        The mail is stored before it is processed. It opens a ticket, or causes events on one; a mail that a machine
        wrote changes nothing.
        """
        config = integrations.current().email.get(tenant)
        if config is None or config.auth is None:
            raise Problem(404, "Integration not found.")
        authorization = request.headers.getlist("authorization")
        secrets = config.auth.read_secrets(read_secret)
        is_single = len(authorization) == 1
        if not is_single or not signatures.has_credentials(authorization[0], secrets, user=config.auth.user):
            metrics.HOOK_DELIVERIES.labels(EMAIL, "forged").inc()
            reason = AuthFailure.WRONG if is_single else AuthFailure.HEADER_MISSING
            reason = reason if secrets else AuthFailure.NO_SECRET
            log.warning("webhook_rejected", provider=EMAIL, tenant=tenant, reason=reason)
            raise _UNAUTHORIZED
        return render(await worker.receive_mail(tenant, await request.body()))

    return routes
