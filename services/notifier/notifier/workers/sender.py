"""The delivery worker: takes what is due from the queue and hands it to the mail server, a bounded number at a time."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import stamina
import structlog
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.process.clock import TimeSource

from notifier.domain.delivery import Entering
from notifier.domain.message import Mail, UnmailableAddress
from notifier.domain.sanitize import one_line
from notifier.domain.smtp_result import Answer, Phase, Verdict, judge
from notifier.domain.template_context import Reader
from notifier.settings import Settings
from notifier.workers.attempts import Attempts, Ending
from notifier.workers.composer import Letters
from notifier.workers.queue import Claim, Claims
from notifier.workers.smtp_servers import Relays

log = structlog.get_logger(__name__)

_LATE: Final = timedelta(seconds=60)
_REPLY: Final = 500
_URGENT: Final = 1
_ANY: Final = 4
"""Severities: the least urgent that may be claimed."""


class Sender:
    """`run` is a task of the service; `wake` tells it that something was queued (the poll finds it anyway).

    `told` is called when events about deliveries wait in the outbox.
    """

    def __init__(
        self,
        claims: Claims,
        attempts: Attempts,
        letters: Letters,
        clock: TimeSource,
        settings: Settings,
        told: Callable[[], None],
    ) -> None:
        self._claims = claims
        self._attempts = attempts
        self._letters = letters
        self._clock = clock
        self._settings = settings
        self._told = told
        self._relays = Relays(settings)
        self._looking_back: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._active: dict[asyncio.Task[None], Claim] = {}
        self._trial: Claim | None = None
        """The last one that asks a server which takes nothing so far."""

    def wake(self) -> None:
        self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until `stopping`; then what is in flight is finished, as its own timeouts allow."""
        renewing = asyncio.create_task(self._renew())
        asking = asyncio.create_task(stopping.wait())
        asking.add_done_callback(lambda _: self._woken.set())
        try:
            while not stopping.is_set():
                if renewing.done():
                    renewing.result()
                self._woken.clear()
                self._look_back()
                if not await self._begin():
                    await self._rest()
            if self._active:
                await asyncio.wait(self._active)
        finally:
            beside = [asking, renewing, *([self._looking_back] if self._looking_back else []), *self._active]
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._relays.close_idle()

    async def _begin(self) -> int:
        """Claim as much as there is room for and begin the attempts; how many."""
        room, severity = self._room()
        if room <= 0:
            return 0
        try:
            claims = await self._claims.claim(room, severity)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("claim_put_off", error=repr(error))
            return 0
        if claims and not self._relays.are_open:
            self._trial = claims[0]
        for claim in claims:
            task = asyncio.create_task(self._attempt(claim))
            self._active[task] = claim
            task.add_done_callback(self._done)
        return len(claims)

    def _room(self) -> tuple[int, int]:
        """How many more attempts may begin now, and the least urgent severity that they may be of.

        A quarter of the connections, one at least, is kept for severity 1: a server that hangs on all others does not
        hold it up. Nor does what hangs keep a server that failed since from being asked again, nor a mail that asks it
        slowly, or that it let in after that and has not answered: what is not urgent waits for the answer.
        """
        most = self._settings.smtp_concurrency
        kept = max(most // 4, 1)
        others = sum(not _is_urgent(claim) for claim in self._active.values())
        room = most - len(self._active)
        if not self._relays.are_open:
            if self._trial is not None:
                beside = self._relays.are_being_asked and not _is_urgent(self._trial)
                return (min(room, 1) if beside else 0), _URGENT
            room = min(room, 1 if self._relays.are_due else 0)
        elif not self._relays.are_proven:
            return room, _URGENT
        room_for_others = min(room, most - kept - others)
        return (room_for_others, _ANY) if room_for_others > 0 else (room, _URGENT)

    def _look_back(self) -> None:
        if self._relays.are_to_be_asked and (self._looking_back is None or self._looking_back.done()):
            self._looking_back = asyncio.create_task(self._relays.look_back())

    async def _rest(self) -> None:
        """Until woken, or for the time of a poll."""
        try:
            async with asyncio.timeout(self._settings.poll_interval):
                await self._woken.wait()
        except TimeoutError:
            if not self._active:
                await self._relays.close_idle()

    def _done(self, task: asyncio.Task[None]) -> None:
        claim = self._active.pop(task)
        if claim is self._trial:
            self._trial = None
        self._woken.set()
        self._told()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The row keeps its claim until the lease ends, and is then taken up again.
            log.error("attempt_broke_off", ticket_id=str(claim.delivery.ticket_id), error=repr(error), exc_info=error)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            try:
                await self._attempts.renew([claim.delivery.key for claim in self._active.values()])
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("leases_not_renewed", error=repr(error))

    async def _attempt(self, claim: Claim) -> None:
        with structlog.contextvars.bound_contextvars(
            ticket_id=str(claim.delivery.ticket_id), delivery_id=str(claim.delivery.id)
        ):
            now = self._clock.now()
            late = self._clock.lateness(claim.notice.at, now) > _LATE
            try:
                mail = self._compose(claim, now, late=late)
            except UnmailableAddress as error:
                await self._finish(claim, Verdict.REFUSED, str(error))
            except Exception as error:  # the edge of one attempt: the others go on, and this one is tried again later
                log.exception("mail_not_composed")
                await self._finish(claim, Verdict.DEFERRED, f"not composed: {type(error).__name__}: {error}")
            else:
                await self._converse(claim, mail, late=late)

    def _compose(self, claim: Claim, now: datetime, *, late: bool) -> Mail:
        redelivery = claim.delivery.asked_again
        return self._letters.compose(
            claim.notice,
            _reader(claim),
            claim.told,
            now=now,
            before=claim.before,
            late=late and redelivery is None,  # it is as late as somebody asked for it, and says when that was
            redelivery=redelivery,
        )

    async def _converse(self, claim: Claim, mail: Mail, *, late: bool) -> None:
        opened = await self._relays.envelope(mail.recipient, urgent=_is_urgent(claim))
        if isinstance(opened, Answer):
            await self._answered(claim, opened)
            return
        answer = Answer(Phase.RECIPIENT, 250, "")
        self._trial = None
        self.wake()
        try:
            if not await self._attempts.enter_data(Entering(claim.delivery.key, mail.message_id, late)):
                log.info("delivery_called_off")
                self._relays.answered(opened, answer)  # it accepted the recipient, and will not be asked more
                return
            answer = Answer(Phase.DATA, None, "cut off")  # what holds if this process is stopped meanwhile
            answer = await opened.relay.smtp.data(opened.connection, mail.raw)
            self._relays.answered(opened, answer)
            await self._answered(claim, answer)
        finally:
            await self._relays.leave(opened, answer)

    async def _answered(self, claim: Claim, answer: Answer) -> None:
        await self._finish(claim, judge(answer), f"{answer.code} {answer.words}" if answer.code else answer.words)

    async def _finish(self, claim: Claim, verdict: Verdict, reply: str) -> None:
        """Noted as soon as the database takes it: an answer that is lost makes the mail ambiguous."""
        async for attempt in stamina.retry_context(on=is_transient, timeout=60, attempts=None, wait_max=2):
            with attempt:
                await self._attempts.finish(
                    Ending(claim.delivery.key, verdict, one_line(reply, _REPLY), claim.addresses)
                )


def _is_urgent(claim: Claim) -> bool:
    return claim.delivery.severity <= _URGENT


def _reader(claim: Claim) -> Reader:
    delivery, person = claim.delivery, claim.person
    return Reader(
        person.person,
        person.name,
        person.email,
        delivery.role,
        delivery.role_title,
        delivery.tier,
        person.rule,
        claim.instead_of,
        claim.of_group,
    )
