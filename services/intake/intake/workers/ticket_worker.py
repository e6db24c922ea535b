"""Processes one stored webhook delivery, each of its tickets in its own transaction."""

from collections.abc import Callable, Sequence
from uuid import UUID

import structlog
from tocsin.runtime.database.engine import is_transient

from intake import metrics
from intake.domain.webhooks.delivery_reader import read_delivery
from intake.errors import MISSING_FIELDS, RejectedError, UnmappedError, UnmappedReason, UnreadableError
from intake.handlers.deliveries import DeliveryResult, ignored_result
from intake.handlers.webhooks import AppliedUpdate, DeliveredTicket, apply_ticket
from intake.store.ticket_updates import TicketUpdateStore
from intake.store.webhooks import WebhookDelivery, WebhookState
from intake.workers.context import DeliveryContext

log = structlog.get_logger(__name__)

_UNCONFIGURED = "integrations.yaml no longer configures this provider for the tenant."


async def process_webhook(
    context: DeliveryContext, delivery: WebhookDelivery, before_ticket: Callable[[], None]
) -> DeliveryResult:
    """Apply each ticket of the delivery; one that fails does not stop the others.

    `before_ticket` is called before each ticket. Raises UnmappedError, and the first error that a retry may remove.
    """
    integrations = context.integrations.current()
    integration = integrations.find(delivery.tenant, delivery.provider)
    if integration is None:
        raise UnmappedError(UnmappedReason.NO_INTEGRATION, _UNCONFIGURED)
    try:
        content = read_delivery(delivery.body, integration)
    except UnreadableError as error:
        raise UnmappedError(error.reason, str(error)) from None
    it_contacts = integrations.it_contacts_of(delivery.tenant)
    tickets = [
        UnmappedError(ticket.reason, str(ticket))
        if isinstance(ticket, UnreadableError)
        else DeliveredTicket(delivery, position, ticket, integration, it_contacts)
        for position, ticket in enumerate(content.tickets)
    ]
    outcomes = await _apply_each(context, delivery, tickets, before_ticket)
    applied = [outcome for outcome in outcomes if isinstance(outcome, AppliedUpdate)]
    if unmapped := [outcome for outcome in outcomes if isinstance(outcome, UnmappedError)]:
        # Reasons that a later delivery may remove come last, so that nothing else is left then (see
        # `TicketUpdateStore.finish_waiting_for`).
        raise min(unmapped, key=lambda error: error.reason in MISSING_FIELDS)
    ignored = [each.ignored for each in applied]
    reason = content.ignored or (ignored[0] if all(ignored) else None)
    return (
        ignored_result(delivery, reason, content.about) if reason else DeliveryResult(WebhookState.TAKEN, delivery.id)
    )


async def _apply_each(
    context: DeliveryContext,
    delivery: WebhookDelivery,
    tickets: Sequence[DeliveredTicket | UnmappedError],
    before_ticket: Callable[[], None],
) -> list[AppliedUpdate | UnmappedError]:
    async with context.side_writer.begin() as connection:
        applied_to = await TicketUpdateStore(connection).drop_unapplied(delivery.id)
    outcomes: list[AppliedUpdate | UnmappedError] = []
    failure: Exception | None = None
    for ticket in tickets:
        before_ticket()
        if isinstance(ticket, UnmappedError):
            outcomes.append(ticket)
            continue
        try:
            outcomes.append(await _apply(context, ticket, applied_to.get(ticket.position)))
        except RejectedError as error:
            outcomes.append(UnmappedError(UnmappedReason.REFUSED, str(error)))
        except Exception as error:  # the edge of one ticket: raised after the others
            if is_transient(error):
                raise
            failure = failure or error
    if failure is not None:
        raise failure
    return outcomes


async def _apply(
    context: DeliveryContext, ticket: DeliveredTicket, applied_to: UUID | None
) -> AppliedUpdate | UnmappedError:
    async with context.writer.begin() as connection:
        outcome = await apply_ticket(context.ingest, connection, ticket, applied_to)
    context.wake()
    if isinstance(outcome, AppliedUpdate):
        if outcome.opened is not None:
            metrics.count_created(outcome.opened.ticket)
        log.info("webhook_ticket_updated", ticket_id=str(outcome.ticket_id), result=outcome.result, facts=outcome.facts)
    return outcome
