"""Saves the results of attempts, many in one transaction. Never commits."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.engine import on_commit
from tocsin.runtime.process.clock import TimeSource

from notifier import metrics
from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry, JournalNote, Now
from notifier.domain.retry_policy import RetryPolicy, after_attempt
from notifier.domain.smtp_reply import SmtpOutcome
from notifier.handlers.fallback import queue_next_addresses
from notifier.store import attempts, deliveries, notifications

log = structlog.get_logger(__name__)

_BREACHES: Final = ("escalation", "response_missed", "answer_missed")


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How the attempt at a delivery ended. `addresses`: where its mail may go, in order.

    `delivery` is as it was claimed, or as it entered DATA. `at`: the real instant of the end, by the database's clock.
    """

    delivery: Delivery
    outcome: SmtpOutcome
    reply: str
    at: datetime
    addresses: tuple[str, ...] = ()


async def finish_attempts(
    connection: AsyncConnection, clock: TimeSource, policy: RetryPolicy, results: Sequence[AttemptResult]
) -> bool:
    """Save the deliveries after their attempts, and queue the next address of each refused one.

    A result whose claim was lost changes nothing: the mail was cancelled, or another process has claimed it. Returns
    whether other deliveries became ready. If all mails were accepted, this is a single statement.
    """
    withdrawn: Collection[UUID] = ()
    if failed := [result.delivery for result in results if result.outcome is not SmtpOutcome.ACCEPTED]:
        await notifications.lock_tickets(connection, {result.delivery.ticket_id for result in results})
        withdrawn = await notifications.load_withdrawal_reasons(connection, {each.notification_id for each in failed})
    ended: list[Delivery] = []
    entries: list[JournalEntry] = []
    for result in results:
        is_needed = result.delivery.notification_id not in withdrawn
        now, jitter = Now(result.at, clock.business(result.at)), random.random()
        delivery = after_attempt(
            result.delivery, result.outcome, result.reply, policy, now, is_needed=is_needed, jitter=jitter
        )
        ended.append(delivery)
        if result.outcome is SmtpOutcome.AMBIGUOUS:
            entries.append(JournalEntry(delivery, JournalNote.AMBIGUOUS))
        entries.append(JournalEntry.of(delivery))
    saved, has_woken = await attempts.finish(connection, ended, entries)
    for result in results:
        if result.delivery.id not in saved:
            log.warning("attempt_outlived_its_claim", **_about(result.delivery), outcome=result.outcome)
    ended = [delivery for delivery in ended if delivery.id in saved]
    refused = [row for row in ended if row.state == DeliveryState.REFUSED and row.notification_id not in withdrawn]
    if refused:
        addresses = {result.delivery.id: result.addresses for result in results}
        now = await deliveries.load_now(connection, clock)
        await queue_next_addresses(connection, {delivery: addresses[delivery.id] for delivery in refused}, now)
    on_commit(connection, lambda: _report(ended, clock))
    return has_woken or bool(refused)


def _report(delivered: Sequence[Delivery], clock: TimeSource) -> None:
    """Log the results, and measure those that were sent."""
    for delivery in delivered:
        if delivery.sent_at is not None and delivery.kind in _BREACHES and not delivery.redelivery_number:
            metrics.BREACH_TO_EMAIL.observe(_seconds_to_mail(delivery, clock))
        about = {"state": delivery.state, "attempts": delivery.attempts, "reply": delivery.reply}
        log.info("delivery_attempted", **_about(delivery), **about)
    digests = {delivery.digest_id for delivery in delivered if delivery.state == DeliveryState.SENT} - {None}
    metrics.DIGESTS.inc(len(digests))
    metrics.DIGEST_ITEMS.inc(sum(delivery.digest_id in digests for delivery in delivered))


def _seconds_to_mail(delivery: Delivery, clock: TimeSource) -> float:
    """Real seconds to the sending, from the scheduled instant or from the publication if that was later."""
    if delivery.sent_at is None or delivery.sent_real_at is None:
        raise ValueError("only of a mail that was sent")
    lateness = clock.lateness(delivery.scheduled_at, delivery.sent_at)
    return max(0.0, min(lateness, delivery.sent_real_at - delivery.published_at).total_seconds())


def _about(delivery: Delivery) -> dict[str, str]:
    return {"ticket_id": str(delivery.ticket_id), "delivery_id": str(delivery.id)}
