"""What is noted of an attempt: that DATA begins, that it goes on, and how it ended."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tocsin.runtime.clock import Clock

from notifier import store
from notifier.claiming import Claim
from notifier.delivery import Stored
from notifier.metrics import BREACH_TO_EMAIL, EMAILS
from notifier.outcome import Past, Patience, Verdict, follow

log = structlog.get_logger(__name__)

_BREACHES: Final = ("escalation", "response_missed", "answer_missed")


class Attempts:
    """Each method is one transaction; all of them are fenced by the claim's token."""

    def __init__(self, engine: AsyncEngine, clock: Clock, patience: Patience, lease: timedelta) -> None:
        self._engine = engine
        self._clock = clock
        self._patience = patience
        self._lease = lease

    async def enter_data(self, claim: Claim, message_id: str, *, late: bool) -> bool:
        """Commit that the message is about to be handed over. False: it must not be, the claim is lost or cancelled."""
        async with self._engine.begin() as connection:
            message = {"message_id": message_id, "late": late}
            return await store.enter_data(connection, claim.delivery, self._lease, message)

    async def renew(self, claims: Sequence[Claim]) -> None:
        """Prolong the leases of attempts that go on."""
        held = sorted((claim.delivery.id, claim.delivery.token) for claim in claims)
        async with self._engine.begin() as connection:
            await store.renew(connection, held, self._lease)

    async def finish(self, claim: Claim, verdict: Verdict, reply: str) -> Stored | None:
        """Note what the server said and what follows. None: the lease was lost, and with it the say in the matter."""
        async with self._engine.begin() as connection:
            await store.lock_tickets(connection, [claim.delivery.ticket_id])
            found = await store.in_flight(connection, claim.delivery)
            if found is None:
                log.warning("attempt_outlived_its_claim", delivery_id=str(claim.delivery.id), verdict=verdict)
                return None
            delivery, real_now, withdrawn = found
            past = Past(delivery.attempts, real_now - delivery.created_at, withdrawn)
            ended = await self._end(connection, delivery, verdict, past, reply, real_now)
            await store.wake_ticket(connection, delivery.ticket_id)
        self._count(ended, verdict)
        return ended

    async def _end(
        self,
        connection: AsyncConnection,
        delivery: Stored,
        verdict: Verdict,
        past: Past,
        reply: str,
        real_now: datetime,
    ) -> Stored:
        following = follow(verdict, past, self._patience, random.random())
        now = self._clock.business(real_now)
        changes: dict[str, Any] = {
            "state": following.state,
            "ready_at": real_now + following.retry_in if following.retry_in is not None else None,
            "changed_at": now,
            "reply": reply,
        }
        if verdict is Verdict.SENT:
            changes["sent_at"] = now
        if verdict is Verdict.AMBIGUOUS:
            changes["ambiguous"] = True
        ended = await store.change(connection, delivery, **changes)
        if verdict is Verdict.AMBIGUOUS:
            await store.journal_ambiguous(connection, ended)
        await store.tell(connection, [ended])
        return ended

    def _count(self, ended: Stored, verdict: Verdict) -> None:
        EMAILS.labels(ended.state).inc()
        if verdict is Verdict.AMBIGUOUS:
            EMAILS.labels("ambiguous").inc()
        if ended.sent_at is not None and ended.kind in _BREACHES:
            lateness = self._clock.lateness(ended.scheduled_at, ended.sent_at)
            BREACH_TO_EMAIL.observe(max(0.0, lateness.total_seconds()))
        log.info("delivery_attempted", state=ended.state, attempts=ended.attempts, reply=ended.reply)
