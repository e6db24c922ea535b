"""A stored mail taken in, with its transaction."""

import asyncio
from typing import Final

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from intake.domain.mail import InboundMail, UnreadableMailError, read_mail
from intake.domain.webhooks.config.integrations import Integrations
from intake.domain.webhooks.update import Reason, UnmappedError
from intake.errors import RejectedError, UnavailableError
from intake.handlers.context import IngestContext
from intake.handlers.mail import AppliedMail, MailKnownError, apply_mail
from intake.store.webhooks import WebhookDelivery, WebhookState

log = structlog.get_logger(__name__)

_TRIES_FOR_QUESTION: Final = 10
"""How often our own answer waits for what it answers, ever longer: a quarter of an hour in all."""

_STATES: Final[dict[str, WebhookState]] = {"automatic": "ignored"}


async def process_mail(
    context: IngestContext, writer: AsyncEngine, integrations: Integrations | None, delivery: WebhookDelivery
) -> tuple[WebhookState, Reason | None, str]:
    """What became of a stored mail: its state, the reason where it is unmapped, and the detail.

    Raises UnavailableError, and whatever the database raises.
    """
    try:
        taken = await _taken(context, writer, integrations, delivery)
    except UnmappedError as unmapped:
        if unmapped.reason == "missing_opening" and delivery.attempts < _TRIES_FOR_QUESTION:
            raise UnavailableError(str(unmapped), retry_after=30) from None
        return "unmapped", unmapped.reason, str(unmapped)
    log.info("mail_taken", delivery=delivery.id, result=taken.result, ticket_id=str(taken.ticket_id or ""))
    detail = " ".join(str(part) for part in (taken.result, taken.ticket_id, taken.detail) if part is not None)
    return _STATES.get(taken.result, "taken"), None, detail


async def _taken(
    context: IngestContext, writer: AsyncEngine, integrations: Integrations | None, delivery: WebhookDelivery
) -> AppliedMail:
    mailing = integrations.email.get(delivery.tenant) if integrations is not None else None
    if integrations is None or mailing is None:
        raise UnmappedError("no_integration", "integrations.yaml has no `email` of this tenant.")
    tools = integrations.tenants.get(delivery.tenant, {})
    sources = [*mailing.sources, *(tool.source or provider for provider, tool in tools.items())]
    try:
        mail = await asyncio.to_thread(read_mail, delivery.body)  # a large one takes its time
        return await _once(context, writer, sources, mail, delivery, integrations)
    except UnreadableMailError as unreadable:
        raise UnmappedError("unreadable", f"The message {unreadable}.") from None
    except ValidationError as invalid:
        wrong = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        raise UnmappedError("refused", f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from None
    except RejectedError as error:
        raise UnmappedError("refused", str(error)) from None


async def _once(
    context: IngestContext,
    writer: AsyncEngine,
    sources: list[str],
    mail: InboundMail,
    delivery: WebhookDelivery,
    integrations: Integrations,
) -> AppliedMail:
    tenant = delivery.tenant
    mailing = integrations.email[tenant]
    while True:
        try:
            async with writer.begin() as connection:
                return await apply_mail(context, connection, tenant, mailing, sources, mail, delivery.received_at)
        except MailKnownError:  # by now the other copy is committed, and the next look finds it
            continue
