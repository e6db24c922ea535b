"""Processes one stored mail in a transaction."""

import asyncio
from typing import Final

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from intake.domain.mail import read_mail
from intake.domain.mail_rules import classify_mail
from intake.domain.webhooks.config.integrations import Integrations
from intake.errors import (
    DuplicateMailError,
    OriginalNotArrivedError,
    RejectedError,
    UnmappedError,
    UnmappedReason,
    UnreadableMailError,
)
from intake.handlers.context import IngestContext
from intake.handlers.mail import AppliedMail, MailResult, apply_mail
from intake.store.webhooks import WebhookDelivery, WebhookState

log = structlog.get_logger(__name__)

_ATTEMPTS_FOR_ORIGINAL: Final = 10
"""How often our own reply waits for the original mail, with increasing delays: 15 minutes (docs/rules.md#6-19)."""


async def process_mail(
    context: IngestContext, writer: AsyncEngine, integrations: Integrations | None, delivery: WebhookDelivery
) -> tuple[WebhookState, str]:
    """The state and the detail of a processed mail. Raises UnmappedError and UnavailableError."""
    try:
        applied = await _apply(context, writer, integrations, delivery)
    except UnmappedError as error:
        if error.reason is UnmappedReason.MISSING_OPENING and delivery.attempts < _ATTEMPTS_FOR_ORIGINAL:
            raise OriginalNotArrivedError from None
        raise
    log.info("mail_processed", delivery=delivery.id, result=applied.result, ticket_id=str(applied.ticket_id or ""))
    detail = " ".join(str(part) for part in (applied.result, applied.ticket_id, applied.detail) if part is not None)
    return WebhookState.IGNORED if applied.result is MailResult.AUTOMATIC else WebhookState.TAKEN, detail


async def _apply(
    context: IngestContext, writer: AsyncEngine, integrations: Integrations | None, delivery: WebhookDelivery
) -> AppliedMail:
    config = integrations.email.get(delivery.tenant) if integrations is not None else None
    if integrations is None or config is None:
        raise UnmappedError(UnmappedReason.NO_INTEGRATION, "integrations.yaml has no `email` section for this tenant.")
    tools = integrations.tenants.get(delivery.tenant, {})
    sources = [*config.sources, *(tool.source or provider for provider, tool in tools.items())]
    try:
        mail = await asyncio.to_thread(read_mail, delivery.body)  # a large mail takes a while
        received = classify_mail(mail, delivery.received_at, config, context.policy.mailboxes)
        while True:
            try:
                async with writer.begin() as connection:
                    return await apply_mail(context, connection, delivery.tenant, received, sources)
            except DuplicateMailError:  # the other copy is committed now, so the next attempt finds it
                continue
    except UnreadableMailError as error:
        raise UnmappedError(UnmappedReason.UNREADABLE, f"The mail {error}.") from None
    except ValidationError as error:
        raise UnmappedError.invalid(error) from None
    except RejectedError as error:
        raise UnmappedError(UnmappedReason.REFUSED, str(error)) from None
