"""The delivery worker: claims the mails that are ready, and runs several attempts at a time."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.process.clock import TimeSource
from tocsin.runtime.process.tasks import cancel_all
from tocsin.sources.directory_file import DirectoryFile

from notifier.handlers.claims import ClaimedMail, ClaimTerms, claim_mails
from notifier.settings import Settings
from notifier.store import queue
from notifier.workers.attempts import AttemptRunner
from notifier.workers.capacity import Attempt, Capacity, free_capacity, next_to_connect
from notifier.workers.circuit_breaker import CircuitState
from notifier.workers.composer import MailComposer
from notifier.workers.smtp_servers import SmtpServers

log = structlog.get_logger(__name__)

_GATHER: Final = 0.1  # seconds


class Sender:
    """Sends the queued mails. `run` is a task of the service; `wake` makes it check the queue before its next poll.

    `allowance` returns how many single mails a minute a customer's terms allow (docs/rules.md#5-31). `wake_relay` tells
    this process's relay that events were committed.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        directory: DirectoryFile,
        composer: MailComposer,
        clock: TimeSource,
        settings: Settings,
        allowance: Callable[[str], int],
        wake_relay: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._directory = directory
        self._clock = clock
        self._settings = settings
        self._terms = ClaimTerms(settings.lease, allowance)
        self._wake_relay = wake_relay
        self._servers = SmtpServers(settings, self._on_progress)
        self._runner = AttemptRunner(
            engine, composer, self._servers, clock, settings, on_progress=self._on_progress, on_ready=self.wake
        )
        self._woken = asyncio.Event()
        self._has_more = True
        """Whether mails may be ready that the last claim left for lack of capacity."""
        self._is_gathering = False
        self._is_stopping = False
        self._attempts: dict[asyncio.Task[None], Attempt] = {}

    def wake(self) -> None:
        self._woken.set()

    async def read_certificates(self) -> None:
        """Record when the certificates of the mail servers expire; a job for the scheduler."""
        await self._servers.read_certificates()

    async def probe_failed_servers(self) -> None:
        """Check whether failed servers have recovered while the queue is empty; a job for the scheduler.

        Without this job, a replica would report a server as failing until its next mail through that server.
        """
        async with self._engine.connect() as connection:
            is_empty = not (await queue.measure(connection)).counts
        if is_empty:
            await self._servers.probe_failed()

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until `stopping`, then release what waits for a connection, and finish the other attempts."""
        background = [
            asyncio.create_task(self._renew_leases()),
            asyncio.create_task(self._servers.recheck(self._settings.poll_interval)),
        ]
        stopped = asyncio.create_task(stopping.wait())
        stopped.add_done_callback(lambda _: self.wake())
        try:
            while not stopping.is_set():
                for task in background:
                    if task.done():
                        task.result()
                self._woken.clear()
                await self._start_attempts()
                await self._rest()
            self._is_stopping = True
            self._connect_next()
            if self._attempts:
                await asyncio.wait(self._attempts)
        finally:
            await cancel_all([*background, stopped, *self._attempts])
            await self._servers.close_idle()

    async def _start_attempts(self) -> None:
        """Claim the mails that may be attempted now, and start the attempts."""
        capacity = self._capacity()
        self._has_more = capacity.is_limited
        self._is_gathering = False
        if capacity.attempts <= 0:
            return
        began, is_probe = time.monotonic(), self._servers.state is not CircuitState.CLOSED
        try:
            mails = await self._claim(capacity)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("claim_postponed", error=repr(error))
            return
        for mail in mails:
            attempt = Attempt(mail, is_probe, began)
            task = asyncio.create_task(self._runner.run(attempt))
            self._attempts[task] = attempt
            task.add_done_callback(self._on_done)
        if mails:
            self._on_progress()

    async def _claim(self, capacity: Capacity) -> list[ClaimedMail]:
        """Claim mails; without a directory, none. If all examined tickets must wait, examine the next ones."""
        while (directory := self._directory.current()) is not None:
            async with self._engine.begin() as connection:
                mails, has_more = await claim_mails(
                    connection,
                    self._clock,
                    directory,
                    self._terms,
                    limit=capacity.attempts,
                    severity=capacity.severity,
                )
            self._wake_relay()
            if mails or not has_more:
                self._has_more |= has_more
                return mails
        return []

    async def _rest(self) -> None:
        """Wait until woken, at most for one poll interval."""
        try:
            async with asyncio.timeout(self._settings.poll_interval):
                await self._woken.wait()
        except TimeoutError:
            if not self._attempts:
                await self._servers.close_idle()

    def _on_progress(self) -> None:
        """More attempts may go on. In a burst, mails are not claimed at once, so that one claim serves several."""
        self._connect_next()
        if not self._has_more:
            return
        if self._capacity().attempts >= self._settings.smtp_concurrency:
            self.wake()
        elif not self._is_gathering:
            self._is_gathering = True
            asyncio.get_running_loop().call_later(_GATHER, self.wake)

    def _connect_next(self) -> None:
        """Let attempts use the free connections. What was claimed ahead is given up when no server accepts mails."""
        if self._is_stopping or self._servers.state is not CircuitState.CLOSED:
            for attempt in self._attempts.values():
                if not attempt.turn.is_set() and not attempt.is_probe:
                    attempt.give_up()
        for attempt in next_to_connect(self._attempts.values(), self._settings.smtp_concurrency):
            attempt.turn.set()

    def _capacity(self) -> Capacity:
        return free_capacity(self._attempts.values(), self._servers.state, self._settings.smtp_concurrency)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        attempt = self._attempts.pop(task)
        self._on_progress()
        self._wake_relay()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its deliveries stay claimed until their lease expires.
            ticket_ids = sorted({str(delivery.ticket_id) for delivery in attempt.mail.deliveries})
            log.error("attempt_failed", ticket_id=", ".join(ticket_ids), error=repr(error), exc_info=error)

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            claimed = [delivery for attempt in self._attempts.values() for delivery in attempt.mail.deliveries]
            if not claimed:
                continue
            try:
                async with self._engine.begin() as connection:
                    await queue.renew_leases(connection, claimed, self._settings.lease)
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("leases_not_renewed", error=repr(error))
