"""Records the results of attempts, many in one transaction. Never commits."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
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
    on_commit(connection, lambda: _count(entries, clock))


def _count(entries: Sequence[JournalEntry], clock: TimeSource) -> None:
    for entry in entries:
        delivery = entry.delivery
        metrics.EMAILS.labels(entry.entry).inc()
        if entry.entry == JournalNote.AMBIGUOUS:
            continue
        if delivery.sent_at is not None and delivery.kind in _BREACHES and not delivery.redelivery_number:
            lateness = clock.lateness(delivery.scheduled_at, delivery.sent_at)
            metrics.BREACH_TO_EMAIL.observe(max(0.0, lateness.total_seconds()))
        about = {"state": delivery.state, "attempts": delivery.attempts, "reply": delivery.reply}
        log.info("delivery_attempted", **_about(delivery), **about)


def _about(delivery: Delivery) -> dict[str, str]:
    return {"ticket_id": str(delivery.ticket_id), "delivery_id": str(delivery.id)}
