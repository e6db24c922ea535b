"""What is noted of an attempt: that DATA begins, that it goes on, and how it ended."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.group_commit import GroupCommit
from tocsin.runtime.process.clock import TimeSource

from notifier import metrics, store
from notifier.domain.delivery import Entering, Held, Key, Noted, Stored
from notifier.domain.smtp_result import Past, Patience, Verdict, follow
from notifier.handlers.fallback import go_on

log = structlog.get_logger(__name__)

_LINGER: Final = 0.03  # seconds; a group costs the same whatever its size: a fifth less CPU a mail than with 0.01
_BREACHES: Final = ("escalation", "response_missed", "answer_missed")


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: what the server's answer means, and its words. `addresses`: where else to try."""

    key: Key
    verdict: Verdict
    reply: str
    addresses: tuple[str, ...] = ()


class Attempts:
    """What attempts that go on side by side have to note becomes one transaction; all is fenced by the claims' tokens.

    `enter_data(entering)` commits that a message is about to be handed over. False: it must not be, the claim is lost
    or the mail cancelled. `finish(ending)` notes what the server said and what follows. None: the claim was lost, and
    with it the say in the matter.
    """

    def __init__(self, engine: AsyncEngine, clock: TimeSource, patience: Patience, lease: timedelta) -> None:
        self._engine = engine
        self._clock = clock
        self._patience = patience
        self._lease = lease
        self.enter_data = GroupCommit(self._enter_data, is_common=is_transient, linger=_LINGER)
        self.finish = GroupCommit(self._finish, is_common=is_transient, linger=_LINGER)

    async def renew(self, keys: Sequence[Key]) -> None:
        """Prolong the leases of attempts that go on."""
        if keys:
            async with self._engine.begin() as connection:
                await store.renew(connection, keys, self._lease)

    async def _enter_data(self, entering: Sequence[Entering]) -> Sequence[bool]:
        async with self._engine.begin() as connection:
            entered = await store.enter_data(connection, entering, self._lease)
        return [one.key.id in entered for one in entering]

    async def _finish(self, endings: Sequence[Ending]) -> Sequence[Stored | None]:
        ended: dict[Key, Stored] = {}
        noted: list[Noted] = []
        async with self._engine.begin() as connection:
            held = await store.held(connection, [ending.key for ending in endings])
            for ending in endings:
                if (found := held.get(ending.key.id)) is not None:
                    delivery = self._ended(ending, found)
                    ended[ending.key] = delivery
                    if ending.verdict is Verdict.AMBIGUOUS:
                        noted.append(Noted(delivery, "ambiguous"))
                    noted.append(Noted(delivery, delivery.state))
            await store.write(connection, ended.values(), noted)
            refused = {
                ended[ending.key].id: ending.addresses
                for ending in endings
                if ending.key in ended and ended[ending.key].state == "refused" and not held[ending.key.id].withdrawn
            }
            await go_on(connection, self._clock, refused, list({ending.key.ticket_id for ending in endings}))
            await store.wake_tickets(connection, (found.delivery.ticket_id for found in held.values() if found.others))
        for ending in endings:
            self._count(ending, ended.get(ending.key))
        return [ended.get(ending.key) for ending in endings]

    def _ended(self, ending: Ending, held: Held) -> Stored:
        past = Past(held.delivery.attempts, held.real_now - held.delivery.created_at, held.withdrawn)
        following = follow(ending.verdict, past, self._patience, random.random())
        now = self._clock.business(held.real_now)
        return replace(
            held.delivery,
            state=following.state,
            ready_at=held.real_now + following.retry_in if following.retry_in is not None else None,
            changed_at=now,
            reply=ending.reply,
            sent_at=now if ending.verdict is Verdict.SENT else held.delivery.sent_at,
            ambiguous=held.delivery.ambiguous or ending.verdict is Verdict.AMBIGUOUS,
        )

    def _count(self, ending: Ending, ended: Stored | None) -> None:
        about = {"ticket_id": str(ending.key.ticket_id), "delivery_id": str(ending.key.id)}
        if ended is None:
            log.warning("attempt_outlived_its_claim", **about, verdict=ending.verdict)
            return
        metrics.EMAILS.labels(ended.state).inc()
        if ending.verdict is Verdict.AMBIGUOUS:
            metrics.EMAILS.labels("ambiguous").inc()
        if ended.sent_at is not None and ended.kind in _BREACHES and not ended.redelivery:
            lateness = self._clock.lateness(ended.scheduled_at, ended.sent_at)
            metrics.BREACH_TO_EMAIL.observe(max(0.0, lateness.total_seconds()))
        log.info("delivery_attempted", **about, state=ended.state, attempts=ended.attempts, reply=ended.reply)
