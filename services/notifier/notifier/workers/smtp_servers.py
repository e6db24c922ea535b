"""The mail servers in the order of use (docs/decisions/0018). The second is used while the first one fails."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from notifier import metrics
from notifier.domain.smtp_reply import SmtpPhase, SmtpReply
from notifier.settings import Settings
from notifier.workers.capacity import Attempt
from notifier.workers.circuit_breaker import CircuitBreaker, CircuitState
from notifier.workers.reply_watch import ReplyWatch
from notifier.workers.smtp_server import SmtpConnection, SmtpServer

log = structlog.get_logger(__name__)

_MANY: Final = 2
"""So many mails must wait for an overdue reply before a server counts as hung."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A connection on which the server has accepted sender and recipient, ready for the message."""

    server: SmtpServer
    connection: SmtpConnection


@dataclass(frozen=True, slots=True)
class _Wait:
    """A wait for a reply that began then."""

    watch: ReplyWatch
    began_at: float

    @property
    def is_outdated(self) -> bool:
        """Whether the server has replied to others meanwhile: then it works, whatever happens here."""
        return self.watch.has_replied_since(self.began_at)

    def replied(self) -> None:
        self.watch.replied(self.began_at, time.monotonic())


class SmtpServers:
    """A server fails if it cannot be reached or refuses every mail: no connection, TLS, login, sender, or 421.

    It hangs if replies to two mails are overdue and none comes; then only the reply to a mail shows recovery.
    If a server refuses the recipient, the next server is not tried. `on_change` is called when more attempts may start.
    """

    def __init__(self, settings: Settings, on_change: Callable[[], None]) -> None:
        self._circuits = {SmtpServer(server, settings): CircuitBreaker() for server in settings.mail_servers}
        timeouts = {SmtpPhase.RECIPIENT: settings.smtp_timeout, SmtpPhase.DATA: settings.smtp_data_timeout}
        self._watches = {
            (server, phase): ReplyWatch(seconds) for server in self._circuits for phase, seconds in timeouts.items()
        }
        self._on_change = on_change

    @property
    def state(self) -> CircuitState:
        """Closed if any server accepts mails; then trial or half-open if any may be probed; otherwise open."""
        states = [circuit.state for circuit in self._circuits.values()]
        order = (CircuitState.CLOSED, CircuitState.TRIAL, CircuitState.HALF_OPEN)
        return next((state for state in order if state in states), CircuitState.OPEN)

    async def open_envelope(self, attempt: Attempt, *, sender: str, recipient: str) -> Envelope | SmtpReply:
        """An accepted envelope, or the last server's reply."""
        reply = SmtpReply(SmtpPhase.CONNECT, None, "all mail servers are failing")
        for server in self._choose(attempt):
            with self._watch(server, SmtpPhase.RECIPIENT, attempt) as watch:
                opened = await server.open_envelope(sender=sender, recipient=recipient)
            if isinstance(opened, SmtpConnection):
                watch.replied()
                attempt.is_connecting = False
                return Envelope(server, opened)
            reply = opened
            if reply.code is not None or not watch.is_outdated:
                self.record(server, reply)
            if not reply.is_server_failure:
                break
        return reply

    async def send(self, attempt: Attempt, envelope: Envelope, raw: bytes) -> SmtpReply:
        """Send the message; the reply to it. A late reply counts, also of a server that was thought to hang."""
        with self._watch(envelope.server, SmtpPhase.DATA, attempt) as watch:
            reply = await envelope.server.send(envelope.connection, raw)
        if reply.code is not None:
            watch.replied()
        self.record(envelope.server, reply)
        return reply

    def _choose(self, attempt: Attempt) -> list[SmtpServer]:
        """The servers for a mail, in order. While one works, one that hung is rarely tried, and not with severity 1."""
        closed = [server for server, circuit in self._circuits.items() if circuit.state is CircuitState.CLOSED]
        hung = [server for server, circuit in self._circuits.items() if circuit.state is CircuitState.TRIAL]
        if not closed:
            unknown = [server for server, circuit in self._circuits.items() if circuit.state is CircuitState.HALF_OPEN]
            return [*unknown, *hung] if attempt.is_probe else []
        if hung and not attempt.is_severity_1:
            self._circuits[hung[0]].begin_trial()
            return [hung[0], *closed]
        return closed

    def record(self, server: SmtpServer, reply: SmtpReply) -> None:
        """Update the circuit and the gauges of a server by its reply to a probe, a refused envelope or a message."""
        circuit = self._circuits[server]
        if reply.is_server_failure:
            pause = circuit.fail()
            if pause is not None:
                event = "mail_login_refused" if reply.refuses_login else "mail_server_fails"
                about = {"relay": server.name, "failures": circuit.failures, "pause_seconds": pause}
                log.error(event, **about, code=reply.code, reply=reply.text)
                asyncio.get_running_loop().call_later(pause, self._on_change)
        elif not circuit.is_hung or (reply.phase is SmtpPhase.DATA and reply.code is not None):
            if circuit.failures:
                log.info("mail_server_recovered", relay=server.name, failures=circuit.failures)
            circuit.succeed()
        metrics.LOGIN_REFUSED.labels(server.name).set(reply.is_server_failure and reply.refuses_login)
        self._show(server)

    @contextmanager
    def _watch(self, server: SmtpServer, phase: SmtpPhase, attempt: Attempt) -> Iterator[_Wait]:
        watch, began_at = self._watches[server, phase], time.monotonic()
        limit = watch.limit(is_hung=self._circuits[server].is_hung)

        def overdue() -> None:
            self._on_overdue(server, phase, began_at, watch.add_overdue(attempt, began_at, time.monotonic()))

        timer = asyncio.get_running_loop().call_later(limit, overdue)
        try:
            yield _Wait(watch, began_at)
        finally:
            timer.cancel()
            attempt.is_stalled = False
            watch.ended(attempt)

    def _on_overdue(self, server: SmtpServer, phase: SmtpPhase, began_at: float, waiting: Sequence[Attempt]) -> None:
        circuit = self._circuits[server]
        metrics.OVERDUE_REPLIES.labels(server.name).inc()
        about = {
            "relay": server.name,
            "phase": phase,
            "waiting": len(waiting),
            "seconds": round(time.monotonic() - began_at, 1),
        }
        if circuit.state is CircuitState.CLOSED and len(waiting) < _MANY:
            log.warning("mail_server_reply_overdue", **about)
            return
        for attempt in waiting:
            attempt.is_stalled = True
        pause = circuit.hang(began_at)
        if pause is not None:
            log.error("mail_server_hangs", **about, failures=circuit.failures, pause_seconds=pause)
            asyncio.get_running_loop().call_later(pause, self._on_change)
        self._show(server)
        self._on_change()

    def _show(self, server: SmtpServer) -> None:
        circuit = self._circuits[server]
        metrics.SERVER_FAILING.labels(server.name).set(circuit.state is not CircuitState.CLOSED)
        metrics.SERVER_HUNG.labels(server.name).set(circuit.is_hung)
        metrics.ALL_SERVERS_FAILING.set(self.state is not CircuitState.CLOSED)

    async def recheck(self, interval: float) -> None:
        """Run for ever: show which hangs have expired, and probe failed servers while another one accepts mails."""
        while True:
            await asyncio.sleep(interval)
            for server, circuit in self._circuits.items():
                metrics.SERVER_HUNG.labels(server.name).set(circuit.is_hung)
                if self.state is CircuitState.CLOSED and circuit.state is CircuitState.HALF_OPEN:
                    self.record(server, await server.probe())

    async def probe_failed(self) -> None:
        """Probe the servers that failed last. For while no mail is queued, which would find out."""
        for server, circuit in self._circuits.items():
            if circuit.failures and circuit.state is CircuitState.HALF_OPEN:
                self.record(server, await server.probe())

    async def read_certificates(self) -> None:
        """Connect to every server that uses TLS, so that its certificate is known although no mail is sent."""
        for server in self._circuits:
            if server.uses_tls:
                await server.probe()

    async def close_idle(self) -> None:
        """Close connections that are not in use: servers drop long-lived ones without notice."""
        for server in self._circuits:
            await server.close_idle()
