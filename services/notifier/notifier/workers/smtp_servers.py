"""The mail servers in the order of use (docs/decisions/0018). The second is used while the first one fails."""

import asyncio
from dataclasses import dataclass

import structlog

from notifier import metrics
from notifier.domain.smtp_reply import SmtpPhase, SmtpReply
from notifier.settings import Settings
from notifier.workers.circuit_breaker import CircuitBreaker, CircuitState
from notifier.workers.smtp_server import SmtpConnection, SmtpServer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A connection on which the server has accepted sender and recipient, ready for the message."""

    server: SmtpServer
    connection: SmtpConnection


class SmtpServers:
    """A server fails if it cannot be reached or refuses every mail: no connection, TLS, login, sender, or 421.

    If a server refuses the recipient, the next server is not tried.
    """

    def __init__(self, settings: Settings) -> None:
        self._circuits = {SmtpServer(server, settings): CircuitBreaker() for server in settings.mail_servers}

    @property
    def state(self) -> CircuitState:
        """Closed if any server accepts mails; half-open if any may be probed; otherwise open."""
        states = [circuit.state for circuit in self._circuits.values()]
        return next((s for s in (CircuitState.CLOSED, CircuitState.HALF_OPEN) if s in states), CircuitState.OPEN)

    async def open_envelope(self, *, sender: str, recipient: str, probe: bool) -> Envelope | SmtpReply:
        """An accepted envelope, or the last server's reply. A `probe` uses half-open servers while none is closed."""
        reply = SmtpReply(SmtpPhase.CONNECT, None, "all mail servers are failing")
        usable = CircuitState.HALF_OPEN if probe and self.state is CircuitState.HALF_OPEN else CircuitState.CLOSED
        for server in [server for server, circuit in self._circuits.items() if circuit.state is usable]:
            opened = await server.open_envelope(sender=sender, recipient=recipient)
            if isinstance(opened, SmtpConnection):
                return Envelope(server, opened)
            reply = opened
            self.record(server, reply)
            if not reply.is_server_failure:
                break
        return reply

    def record(self, server: SmtpServer, reply: SmtpReply) -> None:
        """Update the circuit and the gauges of a server by its reply to a probe, a refused envelope or a message."""
        circuit = self._circuits[server]
        if reply.is_server_failure:
            pause = circuit.fail()
            if pause is not None:
                event = "mail_login_refused" if reply.refuses_login else "mail_server_fails"
                about = {"relay": server.name, "failures": circuit.failures, "pause_seconds": pause}
                log.error(event, **about, code=reply.code, reply=reply.text)
        else:
            circuit.succeed()
        metrics.SERVER_FAILING.labels(server.name).set(reply.is_server_failure)
        metrics.LOGIN_REFUSED.labels(server.name).set(reply.is_server_failure and reply.refuses_login)
        metrics.ALL_SERVERS_FAILING.set(self.state is not CircuitState.CLOSED)

    async def recheck(self, interval: float) -> None:
        """Run for ever: probe failed servers without a mail while another one accepts mails."""
        while True:
            await asyncio.sleep(interval)
            for server, circuit in self._circuits.items():
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
