"""The delivery worker: claims deliveries that are ready and hands their mails to a mail server, several at a time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import stamina
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.group_commit import GroupCommit
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from notifier.domain.delivery import Delivery
from notifier.domain.message import Mail
from notifier.domain.sanitize import one_line
from notifier.domain.smtp_reply import SmtpOutcome, SmtpPhase, SmtpReply
from notifier.errors import UnmailableAddressError
from notifier.handlers.attempts import AttemptResult, finish_attempts
from notifier.handlers.claims import Claim, claim_deliveries
from notifier.settings import Settings
from notifier.store import queue
from notifier.workers.circuit_breaker import CircuitState
from notifier.workers.composer import MailComposer
from notifier.workers.smtp_servers import SmtpServers

log = structlog.get_logger(__name__)

_LATE: Final = timedelta(seconds=60)
_MAX_REPLY: Final = 500
_LINGER: Final = 0.03  # seconds; in a burst a mail costs a fifth less CPU than with 0.01
_SEVERITY_1: Final = 1
_ANY_SEVERITY: Final = 4


@dataclass(slots=True)
class Attempt:
    """One claimed delivery in flight. `is_probe`: no server was known to accept mails when it started."""

    claim: Claim
    is_probe: bool
    is_connecting: bool = True
    """Whether no server has accepted its envelope yet."""

    @property
    def is_severity_1(self) -> bool:
        return self.claim.delivery.is_severity_1


class Sender:
    """`run` is a task of the service. `wake` makes it look into the queue at once, instead of at its next poll.

    `wake_relay` tells this process's relay that events were committed.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        directory: DirectoryFile,
        composer: MailComposer,
        clock: TimeSource,
        settings: Settings,
        wake_relay: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._directory = directory
        self._composer = composer
        self._clock = clock
        self._settings = settings
        self._wake_relay = wake_relay
        self._servers = SmtpServers(settings)
        self._woken = asyncio.Event()
        self._attempts: dict[asyncio.Task[None], Attempt] = {}
        # What simultaneous attempts save becomes one transaction.
        self._enter_data = GroupCommit(self._enter_data_group, is_common=is_transient, linger=_LINGER)
        self._finish = GroupCommit(self._finish_group, is_common=is_transient, linger=_LINGER)

    def wake(self) -> None:
        self._woken.set()

    async def read_certificates(self) -> None:
        """Record when the certificates of the mail servers expire; a job for the scheduler."""
        await self._servers.read_certificates()

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until `stopping`, then finish the attempts in flight within their timeouts."""
        renewing = asyncio.create_task(self._renew_leases())
        rechecking = asyncio.create_task(self._servers.recheck(self._settings.poll_interval))
        stopped = asyncio.create_task(stopping.wait())
        stopped.add_done_callback(lambda _: self.wake())
        try:
            while not stopping.is_set():
                for background in (renewing, rechecking):
                    if background.done():
                        background.result()
                self._woken.clear()
                if not await self._start_attempts():
                    await self._rest()
            if self._attempts:
                await asyncio.wait(self._attempts)
        finally:
            tasks = [renewing, rechecking, stopped, *self._attempts]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._servers.close_idle()

    async def _start_attempts(self) -> int:
        """Claim the deliveries that may be attempted now, and start the attempts; returns their number."""
        limit, severity = self._capacity()
        if limit <= 0:
            return 0
        try:
            claims = await self._claim(limit, severity)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("claim_postponed", error=repr(error))
            return 0
        is_probe = self._servers.state is not CircuitState.CLOSED
        for claim in claims:
            attempt = Attempt(claim, is_probe)
            task = asyncio.create_task(self._deliver(attempt))
            self._attempts[task] = attempt
            task.add_done_callback(self._on_done)
        return len(claims)

    def _capacity(self) -> tuple[int, int]:
        """How many attempts may start now, and the least urgent severity that they may have.

        - A quarter of the connections, at least one, is reserved for severity 1.
        - While no server is known to accept mails, one mail at a time probes, because servers lock accounts.
        - A mail of severity 1 may probe beside a less urgent one, and once the envelope of the one before is accepted.
        """
        attempts = self._attempts.values()
        limit = self._settings.smtp_concurrency
        free = limit - len(attempts)
        ordinary = sum(not attempt.is_severity_1 for attempt in attempts)
        free_ordinary = min(free, limit - max(limit // 4, 1) - ordinary)
        match self._servers.state:
            case CircuitState.OPEN:
                return 0, _SEVERITY_1
            case CircuitState.HALF_OPEN:
                probes = [attempt for attempt in attempts if attempt.is_probe]
                free_ordinary = min(free_ordinary, 0 if probes else 1)
                free = min(free, 0 if any(probe.is_severity_1 and probe.is_connecting for probe in probes) else 1)
        return (free_ordinary, _ANY_SEVERITY) if free_ordinary > 0 else (free, _SEVERITY_1)

    async def _claim(self, limit: int, severity: int) -> list[Claim]:
        """Claim deliveries; none without a directory. If all examined tickets must wait, the next ones are examined."""
        while (directory := self._directory.current()) is not None:
            async with self._engine.begin() as connection:
                claims, examined = await claim_deliveries(
                    connection, self._clock, directory, self._settings.lease, limit=limit, severity=severity
                )
            if claims or not examined:
                return claims
        return []

    async def _rest(self) -> None:
        """Wait until woken, at most for one poll interval."""
        try:
            async with asyncio.timeout(self._settings.poll_interval):
                await self._woken.wait()
        except TimeoutError:
            if not self._attempts:
                await self._servers.close_idle()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        attempt = self._attempts.pop(task)
        self.wake()
        self._wake_relay()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The delivery stays claimed until its lease expires.
            ticket_id = str(attempt.claim.delivery.ticket_id)
            log.error("attempt_failed", ticket_id=ticket_id, error=repr(error), exc_info=error)

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            claimed = [attempt.claim.delivery for attempt in self._attempts.values()]
            if not claimed:
                continue
            try:
                async with self._engine.begin() as connection:
                    await queue.renew_leases(connection, claimed, self._settings.lease)
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("leases_not_renewed", error=repr(error))

    async def _deliver(self, attempt: Attempt) -> None:
        delivery = attempt.claim.delivery
        with structlog.contextvars.bound_contextvars(ticket_id=str(delivery.ticket_id), delivery_id=str(delivery.id)):
            now = self._clock.now()
            late = self._clock.lateness(delivery.scheduled_at, now) > _LATE
            try:
                mail = self._composer.compose(attempt.claim, now, late=late)
            except UnmailableAddressError as error:
                await self._record(attempt.claim, SmtpOutcome.REFUSED, str(error))
            except Exception as error:  # the other attempts go on, and this one is repeated later
                log.exception("mail_not_rendered")
                await self._record(
                    attempt.claim, SmtpOutcome.DEFERRED, f"not rendered: {type(error).__name__}: {error}"
                )
            else:
                await self._send(attempt, mail, late=late)

    async def _send(self, attempt: Attempt, mail: Mail, *, late: bool) -> None:
        claim = attempt.claim
        envelope = await self._servers.open_envelope(mail.recipient, probe=attempt.is_probe)
        attempt.is_connecting = False
        if isinstance(envelope, SmtpReply):
            await self._record(claim, envelope.outcome, str(envelope))
            return
        self.wake()
        server, connection = envelope.server, envelope.connection
        reply = SmtpReply(SmtpPhase.RECIPIENT, 250, "")
        try:
            if not await self._enter_data(replace(claim.delivery, message_id=mail.message_id, late=late)):
                log.info("delivery_withdrawn_before_data")
                self._servers.record(server, reply)
                return
            reply = SmtpReply(SmtpPhase.DATA, None, "the attempt was interrupted")  # if this process stops meanwhile
            reply = await server.send(connection, mail.raw)
            self._servers.record(server, reply)
            await self._record(claim, reply.outcome, str(reply))
        finally:
            await server.release(connection, reply)

    async def _record(self, claim: Claim, outcome: SmtpOutcome, reply: str) -> None:
        """Save the result as soon as the database responds: a lost result would make the mail ambiguous."""
        result = AttemptResult(claim.delivery, outcome, one_line(reply, _MAX_REPLY), claim.addresses)
        async for attempt in stamina.retry_context(on=is_transient, timeout=60, attempts=None, wait_max=2):
            with attempt:
                await self._finish(result)

    async def _enter_data_group(self, claimed: Sequence[Delivery]) -> Sequence[bool]:
        """Commit that these messages are about to be sent; whether each claim still holds."""
        async with self._engine.begin() as connection:
            entered = await queue.enter_data(connection, claimed, self._settings.lease)
        return [delivery.id in entered for delivery in claimed]

    async def _finish_group(self, results: Sequence[AttemptResult]) -> Sequence[None]:
        async with self._engine.begin() as connection:
            await finish_attempts(connection, self._clock, self._settings.retry_policy, results)
        return [None] * len(results)
