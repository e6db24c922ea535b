"""Records that attempts are about to send, and their results, many in one transaction. Never commits."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.engine import on_commit
from tocsin.runtime.process.clock import TimeSource

from notifier import metrics
from notifier.domain.delivery import Delivery, DeliveryState, JournalEntry, JournalNote
from notifier.domain.retry_policy import RetryPolicy, after_attempt
from notifier.domain.smtp_reply import SmtpOutcome
from notifier.handlers.fallback import queue_next_addresses
from notifier.store import deliveries, notifications, queue

log = structlog.get_logger(__name__)

_BREACHES: Final = ("escalation", "response_missed", "answer_missed")


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """How the attempt at a claimed delivery ended. `addresses`: where its mail may go, in order."""

    claimed: Delivery
    outcome: SmtpOutcome
    reply: str
    addresses: tuple[str, ...] = ()


async def enter_data(
    connection: AsyncConnection, clock: TimeSource, lease: timedelta, mails: Sequence[Sequence[Delivery]]
) -> list[bool]:
    """Record that the message of each mail is about to be sent; whether all claims of its deliveries still hold.

    If one was lost (it was cancelled, or another process has claimed it), the others are released: the message lists
    what is no longer needed.
    """
    claimed = [delivery for mail in mails for delivery in mail]
    current = await queue.load_claimed(connection, claimed)
    held = {id_ for id_, delivery in current.items() if delivery.state == DeliveryState.CLAIMED}
    complete = [all(delivery.id in held for delivery in mail) for mail in mails]
    entering = [delivery for mail, is_complete in zip(mails, complete, strict=True) if is_complete for delivery in mail]
    await queue.enter_data(connection, entering, lease)
    left = held - {delivery.id for delivery in entering}
    if left:
        now = await deliveries.load_now(connection, clock)
        await deliveries.save(connection, [current[id_].released(now) for id_ in left], [])
    return complete


async def finish_attempts(
    connection: AsyncConnection, clock: TimeSource, policy: RetryPolicy, results: Sequence[AttemptResult]
) -> None:
    """Save the deliveries after their attempts, and queue the next address of each refused one.

    A result whose claim was lost changes nothing: the mail was cancelled, or another process has claimed it.
    """
    current = await queue.load_claimed(connection, [result.claimed for result in results])
    now = await deliveries.load_now(connection, clock)
    failed = [result.claimed.notification_id for result in results if result.outcome is not SmtpOutcome.ACCEPTED]
    withdrawn = await notifications.load_withdrawal_reasons(connection, failed) if failed else {}
    changed: list[Delivery] = []
    entries: list[JournalEntry] = []
    refused: dict[Delivery, Sequence[str]] = {}
    for result in results:
        before = current.get(result.claimed.id)
        if before is None:
            log.warning("attempt_outlived_its_claim", **_about(result.claimed), outcome=result.outcome)
            continue
        is_needed = before.notification_id not in withdrawn
        delivery = after_attempt(
            before, result.outcome, result.reply, policy, now, is_needed=is_needed, jitter=random.random()
        )
        changed.append(delivery)
        if result.outcome is SmtpOutcome.AMBIGUOUS:
            entries.append(JournalEntry(delivery, JournalNote.AMBIGUOUS))
        entries.append(JournalEntry.of(delivery))
        if delivery.state == DeliveryState.REFUSED and is_needed:
            refused[delivery] = result.addresses
    await deliveries.save(connection, changed, entries)
    await queue_next_addresses(connection, refused, now)
    await queue.wake(connection, {delivery.ticket_id for delivery in changed})
    on_commit(connection, lambda: _report(changed, clock))


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
