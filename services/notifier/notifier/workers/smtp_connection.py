"""The conversation with the mail server: every failure becomes an `Answer` that says at which point it happened."""

import contextlib
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPResponseException

from notifier.domain.smtp_result import Answer, Phase, Verdict, judge
from notifier.settings import MailServer, Settings

_QUIT_SECONDS: Final = 2.0


@dataclass(slots=True)
class Connection:
    """An open connection and how many messages it was used for."""

    client: SMTP
    used: int = 0


class Smtp:
    """Opens connections to one server and speaks on them. TLS is explicit: it can be neither offered nor stripped."""

    def __init__(self, server: MailServer, settings: Settings) -> None:
        self._server = server
        self._settings = settings
        self._own_name = _own_name()
        self._tls = _tls(server)
        self._idle: list[Connection] = []

    async def connect(self, *, fresh: bool = False) -> Connection | Answer:
        """A connection that is open and, where asked for, encrypted and logged in; or why there is none."""
        if self._idle and not fresh:
            return self._idle.pop()
        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=self._own_name,
            timeout=self._settings.smtp_timeout,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=self._tls,
        )
        answer = await _answered(Phase.CONNECT, self._enter(client))
        if judge(answer) is Verdict.SENT:
            return Connection(client)
        client.close()
        return answer

    async def envelope(self, connection: Connection, recipient: str) -> Answer:
        """Sender and recipient; the answer of the last one asked."""
        client, connection.used = connection.client, connection.used + 1
        options = []
        if not recipient.isascii():
            greeted = await self._greeted(client)
            if judge(greeted) is not Verdict.SENT:
                return greeted
            if not client.supports_extension("smtputf8"):
                words = f"{recipient} needs SMTPUTF8, which the mail server does not offer"
                return Answer(Phase.RECIPIENT, 553, words)
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        answer = await _answered(Phase.SENDER, client.mail(self._settings.mail_from, options=options))
        if judge(answer) is not Verdict.SENT:
            return answer
        return await _answered(Phase.RECIPIENT, client.rcpt(recipient, encoding="utf-8"))

    async def probe(self) -> Answer:
        """Whether the server would take a mail now: as far as its sender, on a connection of its own."""
        connection = await self.connect(fresh=True)
        if isinstance(connection, Answer):
            return connection
        answer = await _answered(Phase.SENDER, connection.client.mail(self._settings.mail_from))
        await _quit(connection)
        return answer

    async def data(self, connection: Connection, raw: bytes) -> Answer:
        """The message itself. The end of DATA has its own, long timeout: servers scan before they answer."""
        sending = connection.client.data(raw, timeout=self._settings.smtp_data_timeout)
        return await _answered(Phase.DATA, sending)

    async def release(self, connection: Connection, answer: Answer) -> None:
        """Keep the connection for the next message where it can be used again, otherwise end it."""
        reusable = answer.code is not None and judge(answer) is not Verdict.SERVER and connection.client.is_connected
        if reusable and connection.used < self._settings.smtp_batch and await self._is_clean(connection, answer):
            self._idle.append(connection)
        else:
            await _quit(connection)

    async def close_idle(self) -> None:
        """End the connections that nobody uses: long-lived ones hang."""
        while self._idle:
            await _quit(self._idle.pop())

    async def _enter(self, client: SMTP) -> SMTPResponse:
        """Connect and, where there is a login, log in: once, by one mechanism.

        aiosmtplib's own login tries all that are offered, and servers count each against the account.
        """
        said = await client.connect()
        username, password = self._server.username, self._server.password
        if username is None or password is None:
            return said
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
        mechanisms = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        for name, log_in in mechanisms.items():
            if name in client.supported_auth_methods:
                return await log_in(username, password.get_secret_value())
        raise SMTPException("the mail server offers no login by PLAIN, LOGIN or CRAM-MD5")

    async def _greeted(self, client: SMTP) -> Answer:
        """The answer to EHLO, asked where it was not: it says what the server offers."""
        if not client.is_ehlo_or_helo_needed:
            return Answer(Phase.SENDER, 250, "")
        return await _answered(Phase.SENDER, client.ehlo())

    async def _is_clean(self, connection: Connection, answer: Answer) -> bool:
        """True once no half-told envelope is left on the connection."""
        if answer.phase is Phase.DATA:
            return True
        return judge(await _answered(Phase.SENDER, connection.client.rset())) is Verdict.SENT


def _tls(server: MailServer) -> ssl.SSLContext | None:
    """Certificate and name checked, TLS 1.2 at least; made once, since reading the authorities takes a while."""
    if server.tls == "none":
        return None
    context = ssl.create_default_context(cafile=server.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _answered(phase: Phase, speaking: Awaitable[object]) -> Answer:
    try:
        said = await speaking
    except SMTPResponseException as error:
        if error.code < 400:  # no answer at all, or none to this: 250 before there was a message to take
            return Answer(phase, None, f"{type(error).__name__}: {error.code} {error.message}")
        return Answer(phase, error.code, error.message)
    except (SMTPException, OSError, TimeoutError) as error:
        return Answer(phase, None, f"{type(error).__name__}: {error}")
    code, words = said if isinstance(said, tuple) else (250, "")
    return Answer(phase, code, words)


async def _quit(connection: Connection) -> None:
    if connection.client.is_connected:
        with contextlib.suppress(SMTPException, OSError, TimeoutError):
            await connection.client.quit(timeout=_QUIT_SECONDS)
    connection.client.close()


def _own_name() -> str:
    """The host's name for EHLO, without asking DNS, which may not answer."""
    name = socket.gethostname()
    return name if name and name.isascii() and " " not in name else "localhost"
