"""Processes one stored mail in a transaction."""

import asyncio
from typing import Final

import structlog
from pydantic import ValidationError
from tocsin.mail import UnreadableMailError

from intake import metrics
from intake.domain.mail import read_mail
from intake.domain.received_mail import classify_mail, describe_mail
from intake.domain.webhooks.config.integrations import Integrations
from intake.errors import OriginalNotArrivedError, RejectedError, UnmappedError, UnmappedReason
from intake.handlers.deliveries import DeliveryResult
from intake.handlers.mail import AppliedMail, MailResult, apply_mail
from intake.store.webhooks import WebhookDelivery, WebhookState
from intake.workers.context import DeliveryContext

log = structlog.get_logger(__name__)

_ATTEMPTS_FOR_ORIGINAL: Final = 10
"""How often our own reply waits for the original mail, with increasing delays: 15 minutes (docs/rules.md#6-19)."""

_UNREADABLE: Final = "Open the ticket with POST /v1/tickets, then dismiss the delivery."


async def process_mail(context: DeliveryContext, delivery: WebhookDelivery) -> DeliveryResult:
    """Apply the mail. Raises UnmappedError and UnavailableError."""
    try:
        applied = await _apply(context, delivery)
    except UnmappedError as error:
        if error.reason is UnmappedReason.MISSING_OPENING and delivery.attempts < _ATTEMPTS_FOR_ORIGINAL:
            raise OriginalNotArrivedError from None
        raise
    context.wake()
    if applied.opened is not None:
        metrics.count_created(applied.opened)
    if applied.opened_before and delivery.reason is None:  # a replayed mail was counted when it came
        metrics.MAILS_IGNORED_OF_KNOWN.inc()
    log.info("mail_processed", delivery=delivery.id, result=applied.result, ticket_id=str(applied.ticket_id or ""))
    state = WebhookState.IGNORED if applied.result is MailResult.AUTOMATIC else WebhookState.TAKEN
    result = "automatic:" if applied.result is MailResult.AUTOMATIC else applied.result
    parts = (result, applied.ticket_id, applied.detail)
    detail = " ".join(str(part) for part in parts if part is not None)
    return DeliveryResult(state, delivery.id, applied.ignored, detail)


async def _apply(context: DeliveryContext, delivery: WebhookDelivery) -> AppliedMail:
    integrations = context.integrations.current()
    integration = integrations.find_email(delivery.tenant)
    if integration is None:
        raise UnmappedError(UnmappedReason.NO_INTEGRATION, "integrations.yaml has no `email` section for this tenant.")
    sources = _sources(integrations, delivery.tenant)
    try:
        mail = await asyncio.to_thread(read_mail, delivery.body)  # a large mail takes a while
        received = classify_mail(mail, delivery.received_at, integration, context.ingest.policy.mailboxes)
        async with context.writer.begin() as connection:
            return await apply_mail(context.ingest, connection, delivery.tenant, received, sources)
    except UnmappedError as error:
        raise UnmappedError(error.reason, describe_mail(received, str(error))) from None
    except UnreadableMailError as error:
        raise UnmappedError(UnmappedReason.UNREADABLE, f"The mail {error}. {_UNREADABLE}") from None
    except ValidationError as error:
        raise UnmappedError.invalid(error) from None
    except RejectedError as error:
        raise UnmappedError(UnmappedReason.REFUSED, str(error)) from None


def _sources(integrations: Integrations, tenant: str) -> list[str]:
    """The tools whose ticket ids may be in a subject."""
    tools = integrations.tenants.get(tenant, {})
    return [*integrations.email[tenant].sources, *(tool.source or provider for provider, tool in tools.items())]
