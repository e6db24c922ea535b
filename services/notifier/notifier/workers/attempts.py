"""Attempts: each hands one claimed mail to a mail server and saves the result."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import stamina
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.characters import one_line
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.group_commit import GroupCommit
from tocsin.runtime.process.clock import TimeSource

from notifier.domain.delivery import Delivery
from notifier.domain.message import Mail
from notifier.domain.smtp_reply import SmtpOutcome, SmtpPhase, SmtpReply
from notifier.errors import UnmailableAddressError
from notifier.handlers.attempts import AttemptResult, finish_attempts
from notifier.handlers.claims import ClaimedMail
from notifier.settings import Settings
from notifier.store.attempts import enter_data, release
from notifier.workers.capacity import Attempt
from notifier.workers.composer import MailComposer
from notifier.workers.smtp_servers import SmtpServers

log = structlog.get_logger(__name__)

_LATE: Final = timedelta(seconds=60)
_NOT_RENDERED: Final = "internal error: the notifier's log describes it at `mail_not_rendered`; the mail is tried again"
_MAX_REPLY: Final = 500
_LINGER: Final = 0.01  # seconds
_RESULT_LINGER: Final = 0.03
"""No connection waits for a result to be saved."""


class AttemptRunner:
    """`on_progress` is called when more attempts may start: a server accepted an envelope, or has answered a mail.

    `on_ready` is called when other deliveries became ready.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        composer: MailComposer,
        servers: SmtpServers,
        clock: TimeSource,
        settings: Settings,
        *,
        on_progress: Callable[[], None],
        on_ready: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._composer = composer
        self._servers = servers
        self._clock = clock
        self._settings = settings
        self._return_path = settings.return_path(settings.ack_keys)
        self._on_progress = on_progress
        self._on_ready = on_ready
        # What simultaneous attempts save becomes one transaction, usually of one statement.
        self._single_statements = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._enter_data = GroupCommit(self._enter_data_group, is_common=is_transient, linger=_LINGER)
        self._finish = GroupCommit(self._finish_group, is_common=is_transient, linger=_RESULT_LINGER)
        self._release = GroupCommit(self._release_group, is_common=is_transient)

    async def run(self, attempt: Attempt) -> None:
        """Render the mail, wait for a connection, open an envelope, record that DATA begins, send, save the result."""
        mail = attempt.mail
        with structlog.contextvars.bound_contextvars(**_about(mail)):
            now = self._clock.now()
            late = {row.id for row in mail.deliveries if self._clock.lateness(row.scheduled_at, now) > _LATE}
            try:
                if mail.digest_id is None:
                    message = self._composer.compose(mail.claims[0], now, late=bool(late))
                else:
                    message = self._composer.compose_digest(mail, mail.digest_id, now, late)
            except UnmailableAddressError as error:
                await self._save(attempt, mail.deliveries, SmtpOutcome.REFUSED, str(error))
            except Exception:  # the other attempts go on, and this one is repeated later
                log.exception("mail_not_rendered")
                await self._save(attempt, mail.deliveries, SmtpOutcome.DEFERRED, _NOT_RENDERED)
            else:
                await self._wait_for_turn(attempt)
                if attempt.is_given_up:
                    await self._release(mail.deliveries)
                    self._on_ready()
                else:
                    await self._send(attempt, message, late)

    async def _wait_for_turn(self, attempt: Attempt) -> None:
        """Wait for a connection, but not for long, because the mail's recipient was chosen when it was claimed."""
        try:
            async with asyncio.timeout(self._settings.lease_seconds):
                await attempt.turn.wait()
        except TimeoutError:
            attempt.give_up()

    async def _send(self, attempt: Attempt, message: Mail, late: set[UUID]) -> None:
        mail = attempt.mail
        sender = self._envelope_sender(mail)
        envelope = await self._servers.open_envelope(attempt, sender=sender, recipient=message.recipient)
        if isinstance(envelope, SmtpReply):
            await self._save(attempt, mail.deliveries, envelope.outcome, str(envelope))
            return
        self._on_progress()
        entering = [replace(row, message_id=message.message_id, late=row.id in late) for row in mail.deliveries]
        reply = SmtpReply(SmtpPhase.RECIPIENT, 250, "")
        try:
            if not await self._enter_data(entering):
                log.info("delivery_withdrawn_before_data")
                self._servers.record(envelope.server, reply)
                self._on_ready()
                return
            reply = SmtpReply(SmtpPhase.DATA, None, "the attempt was interrupted")  # if this process stops meanwhile
            reply = await self._servers.send(attempt, envelope, message.raw)
        finally:
            await envelope.server.release(envelope.connection, reply)
        await self._save(attempt, entering, reply.outcome, str(reply))

    def _envelope_sender(self, mail: ClaimedMail) -> str:
        """Where reports about this mail go. That of a digest names its first delivery."""
        path = self._return_path
        return path.of(mail.claims[0].delivery.id) if path else self._settings.mail_from

    async def _save(self, attempt: Attempt, rows: Sequence[Delivery], outcome: SmtpOutcome, reply: str) -> None:
        """Save the result as soon as the database responds: a lost result would make the mail ambiguous."""
        attempt.is_answered = True
        self._on_progress()
        at = attempt.mail.claimed_at + timedelta(seconds=time.monotonic() - attempt.claim_began)
        shown = one_line(reply, _MAX_REPLY)
        results = [
            AttemptResult(row, outcome, shown, at, claim.addresses)
            for row, claim in zip(rows, attempt.mail.claims, strict=True)
        ]
        async for again in stamina.retry_context(on=is_transient, timeout=60, attempts=None, wait_max=2):
            with again:
                has_ready = await self._finish(results)
        if has_ready:
            self._on_ready()

    async def _enter_data_group(self, mails: Sequence[Sequence[Delivery]]) -> Sequence[bool]:
        async with self._single_statements.begin() as connection:
            return await enter_data(connection, mails, self._settings.lease)

    async def _release_group(self, mails: Sequence[Sequence[Delivery]]) -> Sequence[None]:
        async with self._single_statements.begin() as connection:
            await release(connection, [delivery for mail in mails for delivery in mail])
        return [None] * len(mails)

    async def _finish_group(self, results: Sequence[Sequence[AttemptResult]]) -> Sequence[bool]:
        every = [result for of_mail in results for result in of_mail]
        is_single = all(result.outcome is SmtpOutcome.ACCEPTED for result in every)
        async with (self._single_statements if is_single else self._engine).begin() as connection:
            has_ready = await finish_attempts(connection, self._clock, self._settings.retry_policy, every)
        return [has_ready] * len(results)


def _about(mail: ClaimedMail) -> dict[str, str]:
    """What the log says about the mail; each delivery of a digest is named when its result is saved."""
    first = mail.claims[0].delivery
    if mail.digest_id is not None:
        return {"digest_id": str(mail.digest_id)}
    return {"ticket_id": str(first.ticket_id), "delivery_id": str(first.id)}
