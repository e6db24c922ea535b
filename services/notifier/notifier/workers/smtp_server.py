"""The SMTP session with one mail server: every failure becomes an `SmtpReply` with the phase in which it happened."""

import contextlib
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPResponseException
from tocsin.runtime.metrics import set_certificate

from notifier.domain.smtp_reply import SmtpPhase, SmtpReply
from notifier.settings import MailServer, Settings

_QUIT_SECONDS: Final = 2.0


@dataclass(slots=True)
class SmtpConnection:
    """An open connection, and how many messages it was used for."""

    client: SMTP
    used: int = 0


class SmtpServer:
    """Opens connections to one server and keeps them for a few mails. TLS is explicit: it cannot be stripped."""

    def __init__(self, server: MailServer, settings: Settings) -> None:
        self.name = server.name
        self._server = server
        self._settings = settings
        self._sender = settings.bounce_address or settings.mail_from  # of a probe
        self._host_name = _host_name()
        self._tls = _tls_context(server)
        self._idle: list[SmtpConnection] = []

    async def open_envelope(self, *, sender: str, recipient: str) -> SmtpConnection | SmtpReply:
        """A connection on which the server has accepted sender and recipient, or its reply."""
        connection = await self.connect()
        if isinstance(connection, SmtpReply):
            return connection
        reply = await self._envelope(connection, sender=sender, recipient=recipient)
        if connection.used > 1 and reply.phase is SmtpPhase.SENDER and reply.is_server_failure:
            # It was idle, and the server may have closed it meanwhile. That says nothing about the server.
            connection.client.close()
            connection = await self.connect(fresh=True)
            if isinstance(connection, SmtpReply):
                return connection
            reply = await self._envelope(connection, sender=sender, recipient=recipient)
        if reply.is_accepted:
            return connection
        await self.release(connection, reply)
        return reply

    async def send(self, connection: SmtpConnection, raw: bytes) -> SmtpReply:
        """Send the message. The final dot has its own long timeout, because servers scan before they reply."""
        sending = connection.client.data(raw, timeout=self._settings.smtp_data_timeout)
        return await _reply(SmtpPhase.DATA, sending)

    async def release(self, connection: SmtpConnection, reply: SmtpReply) -> None:
        """Keep the connection for the next mail if it can be used again, otherwise close it."""
        if reply.code is None or reply.is_server_failure:
            connection.client.close()  # it would not answer QUIT either
        elif connection.used < self._settings.smtp_batch and await self._is_clean(connection, reply):
            self._idle.append(connection)
        else:
            await _quit(connection)

    async def probe(self) -> SmtpReply:
        """Whether the server would accept a mail now: up to its sender, on a separate connection."""
        connection = await self.connect(fresh=True)
        if isinstance(connection, SmtpReply):
            return connection
        reply = await _reply(SmtpPhase.SENDER, connection.client.mail(self._sender))
        await _quit(connection)
        return reply

    async def connect(self, *, fresh: bool = False) -> SmtpConnection | SmtpReply:
        """An open connection, encrypted and logged in where the settings say so; or the reason why there is none."""
        if self._idle and not fresh:
            return self._idle.pop()
        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=self._host_name,
            timeout=self._settings.smtp_timeout,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=self._tls,
        )
        reply = await _reply(SmtpPhase.CONNECT, self._log_in(client))
        if reply.is_accepted:
            return SmtpConnection(client)
        client.close()
        return reply

    @property
    def uses_tls(self) -> bool:
        return self._tls is not None

    async def close_idle(self) -> None:
        while self._idle:
            await _quit(self._idle.pop())

    async def _envelope(self, connection: SmtpConnection, *, sender: str, recipient: str) -> SmtpReply:
        client, connection.used = connection.client, connection.used + 1
        options = []
        if not recipient.isascii():
            greeting = await self._greet(client)
            if not greeting.is_accepted:
                return greeting
            if not client.supports_extension("smtputf8"):
                text = f"{recipient} needs SMTPUTF8, which the mail server does not offer"
                return SmtpReply(SmtpPhase.RECIPIENT, 553, text)
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        reply = await _reply(SmtpPhase.SENDER, client.mail(sender, options=options))
        if not reply.is_accepted:
            return reply
        return await _reply(SmtpPhase.RECIPIENT, client.rcpt(recipient, encoding="utf-8"))

    async def _log_in(self, client: SMTP) -> SMTPResponse:
        """Connect and, with a username, log in by a single mechanism.

        aiosmtplib's own login tries all that are offered, and servers count each failure against the account.
        """
        greeting = await client.connect()
        if self.uses_tls:
            set_certificate(self.name, client.get_transport_info("peercert"))
        username, password = self._server.username, self._server.password
        if username is None or password is None:
            return greeting
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
        mechanisms = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        for name, log_in in mechanisms.items():
            if name in client.supported_auth_methods:
                return await log_in(username, password.get_secret_value())
        raise SMTPException("the mail server offers no login by PLAIN, LOGIN or CRAM-MD5")

    async def _greet(self, client: SMTP) -> SmtpReply:
        """Send EHLO unless it was sent before; its reply lists the server's extensions."""
        if not client.is_ehlo_or_helo_needed:
            return SmtpReply(SmtpPhase.SENDER, 250, "")
        return await _reply(SmtpPhase.SENDER, client.ehlo())

    async def _is_clean(self, connection: SmtpConnection, reply: SmtpReply) -> bool:
        """Whether it is open, and no unfinished envelope is left on it."""
        if not connection.client.is_connected:
            return False
        if reply.phase is SmtpPhase.DATA:
            return True
        return (await _reply(SmtpPhase.SENDER, connection.client.rset())).is_accepted


def _tls_context(server: MailServer) -> ssl.SSLContext | None:
    """Certificate and host name are checked; TLS 1.2 at least."""
    if server.tls == "none":
        return None
    context = ssl.create_default_context(cafile=server.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _reply(phase: SmtpPhase, command: Awaitable[object]) -> SmtpReply:
    try:
        result = await command
    except SMTPResponseException as error:
        if error.code < 400:  # malformed, or out of place: a 250 before there was a message
            return SmtpReply(phase, None, f"unexpected reply: {error.code} {error.message}")
        return SmtpReply(phase, error.code, error.message)
    except (SMTPException, OSError, TimeoutError) as error:
        return SmtpReply(phase, None, _describe_failure(error))
    code, text = result if isinstance(result, tuple) else (250, "")
    return SmtpReply(phase, code, text)


def _describe_failure(error: Exception) -> str:
    """Why the server did not reply, in one line."""
    default = "it did not reply in time" if isinstance(error, TimeoutError) else "the connection was lost"
    return " ".join(str(error).split()) or default


async def _quit(connection: SmtpConnection) -> None:
    if connection.client.is_connected:
        with contextlib.suppress(SMTPException, OSError, TimeoutError):
            await connection.client.quit(timeout=_QUIT_SECONDS)
    connection.client.close()


def _host_name() -> str:
    """This host's name for EHLO, without a DNS query, which may hang."""
    name = socket.gethostname()
    return name if name and name.isascii() and " " not in name else "localhost"
