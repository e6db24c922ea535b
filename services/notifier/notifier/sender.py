"""The delivery worker: takes what is due from the queue and hands it to the mail server, a bounded number at a time."""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import stamina
import structlog
from tocsin.runtime.clock import Clock
from tocsin.runtime.database import is_transient

from notifier.attempts import Attempts, Ending
from notifier.claiming import Claim, Claims
from notifier.delivery import Entering
from notifier.letters import Letters
from notifier.message import Mail, UnmailableAddress
from notifier.metrics import SERVER_BACKING_OFF
from notifier.outcome import Answer, Phase, Verdict, backoff, judge
from notifier.settings import Settings
from notifier.smtp import Connection, Smtp
from notifier.untrusted import one_line
from notifier.wording import Reader

log = structlog.get_logger(__name__)

_LATE: Final = timedelta(seconds=60)
_REPLY: Final = 500
_FIRST_PAUSE: Final = timedelta(seconds=0.5)
_LONGEST_PAUSE: Final = timedelta(seconds=30)


class Gate:
    """Open while the mail server takes mails. At first, and after a failure that concerns every mail, one goes alone.

    So a wrong password is tried once a pause, not once a connection: servers lock accounts for less.
    """

    def __init__(self) -> None:
        self._open = False
        self._failures = 0
        self._closed_until = 0.0

    def room(self, concurrency: int, active: int) -> int:
        """How many more attempts may begin now."""
        if self._open:
            return concurrency - active
        return 1 if not active and time.monotonic() >= self._closed_until else 0

    def let_in(self) -> None:
        """The server accepted a login and an envelope: unless it failed before, the others need not wait any longer."""
        self._open = self._open or not self._failures

    def answered(self, verdict: Verdict) -> None:
        """What the server's answer to an attempt meant."""
        self._open = verdict is not Verdict.SERVER
        if self._open:
            self._failures = 0
            SERVER_BACKING_OFF.set(0)
        elif time.monotonic() >= self._closed_until:
            self._failures += 1
            pause = backoff(self._failures, _FIRST_PAUSE, _LONGEST_PAUSE, random.random())
            self._closed_until = time.monotonic() + pause.total_seconds()
            SERVER_BACKING_OFF.set(1)
            log.error("mail_server_fails", failures=self._failures, pause_seconds=pause.total_seconds())


class Sender:
    """`run` is a task of the service; `wake` tells it that something was queued (the poll finds it anyway).

    `told` is called when events about deliveries wait in the outbox.
    """

    def __init__(
        self,
        claims: Claims,
        attempts: Attempts,
        letters: Letters,
        clock: Clock,
        settings: Settings,
        told: Callable[[], None],
    ) -> None:
        self._claims = claims
        self._attempts = attempts
        self._letters = letters
        self._clock = clock
        self._settings = settings
        self._told = told
        self._smtp = Smtp(settings)
        self._gate = Gate()
        self._woken = asyncio.Event()
        self._active: dict[asyncio.Task[None], Claim] = {}

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
                if not await self._begin():
                    await self._rest()
            if self._active:
                await asyncio.wait(self._active)
        finally:
            asking.cancel()
            renewing.cancel()
            for task in self._active:
                task.cancel()
            await asyncio.gather(asking, renewing, *self._active, return_exceptions=True)
            await self._smtp.close_idle()

    async def _begin(self) -> int:
        """Claim as much as there is room for and begin the attempts; how many."""
        room = self._gate.room(self._settings.smtp_concurrency, len(self._active))
        if room <= 0:
            return 0
        try:
            claims = await self._claims.claim(room)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("claim_put_off", error=repr(error))
            return 0
        for claim in claims:
            task = asyncio.create_task(self._attempt(claim))
            self._active[task] = claim
            task.add_done_callback(self._done)
        return len(claims)

    async def _rest(self) -> None:
        """Until woken, or for the time of a poll."""
        try:
            async with asyncio.timeout(self._settings.poll_interval):
                await self._woken.wait()
        except TimeoutError:
            if not self._active:
                await self._smtp.close_idle()

    def _done(self, task: asyncio.Task[None]) -> None:
        claim = self._active.pop(task)
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
            claim.notice, _reader(claim), claim.told, now=now, late=late, redelivery=redelivery
        )

    async def _converse(self, claim: Claim, mail: Mail, *, late: bool) -> None:
        connection, answer = await self._envelope(mail.recipient)
        try:
            if connection is not None and judge(answer) is Verdict.SENT:
                self._gate.let_in()
                self.wake()
                if not await self._attempts.enter_data(Entering(claim.delivery.key, mail.message_id, late)):
                    log.info("delivery_called_off")
                    return
                answer = Answer(Phase.DATA, None, "cut off")  # what holds if this process is stopped meanwhile
                answer = await self._smtp.data(connection, mail.raw)
            self._gate.answered(judge(answer))
            await self._finish(claim, judge(answer), f"{answer.code} {answer.words}" if answer.code else answer.words)
        finally:
            if connection is not None:
                await self._smtp.release(connection, answer)

    async def _envelope(self, recipient: str) -> tuple[Connection | None, Answer]:
        """A connection on which the recipient was accepted, or the answer that says why not."""
        connection = await self._smtp.connect()
        if isinstance(connection, Answer):
            return None, connection
        answer = await self._smtp.envelope(connection, recipient)
        if connection.used > 1 and answer.phase is Phase.SENDER and judge(answer) is Verdict.SERVER:
            # A connection that had rested: the server may have closed it, which says nothing about the server.
            await self._smtp.release(connection, answer)
            connection = await self._smtp.connect(fresh=True)
            if isinstance(connection, Answer):
                return None, connection
            answer = await self._smtp.envelope(connection, recipient)
        return connection, answer

    async def _finish(self, claim: Claim, verdict: Verdict, reply: str) -> None:
        """Noted as soon as the database takes it: an answer that is lost makes the mail ambiguous."""
        async for attempt in stamina.retry_context(on=is_transient, timeout=60, attempts=None, wait_max=2):
            with attempt:
                await self._attempts.finish(
                    Ending(claim.delivery.key, verdict, one_line(reply, _REPLY), claim.addresses)
                )


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
    )
