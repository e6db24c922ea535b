"""The SMTP sink and its inbox: accepts every mail, shows it on a page, and fails on request.

python -m tocsin_local.sink --smtp-port 2525 --inbox-port 8025 --mailbox FILE
    [--certificate FILE --username NAME --password PASSWORD]   accept mail only over STARTTLS and after this login
    [--implicit-tls]                                           start in TLS instead of STARTTLS
"""

import asyncio
import socket
import struct
from pathlib import Path
from typing import Annotated, Literal
from weakref import WeakSet

import typer
import uvicorn
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from tocsin.validation import field_errors

from tocsin_local.loopback import LOOPBACK
from tocsin_local.mailbox import Mailbox, parse_message
from tocsin_local.smtp import SmtpLogin

PAGE = Path(__file__).with_name("inbox.html")
MAX_MAIL_BYTES = 32 * 1024 * 1024
ACCEPTED = "250 2.0.0 accepted"


class Fault(BaseModel):
    """How the sink misbehaves: for all mail or, from RCPT on, for one recipient.

    The sink accepts no mail in the modes refuse_connection (the port is closed), slow_banner (it greets after
    `seconds`), busy (it greets with 421), refuse_login (AUTH is 535, and MAIL without a login 530), refuse (RCPT is
    `code`), drop (the connection ends at RCPT), drop_in_data (it ends after the first line of the message),
    hang_at_ehlo, hang_at_mail and hang_at_rcpt (no reply to this command).

    strip_tls acts like an attacker in the middle: it does not offer STARTTLS and accepts mail in plain text. In the
    other modes the sink accepts the mail, then: delay (250 after `seconds`), hang_after_dot (no reply, or 250 after
    `seconds`), reset_after_dot (the connection is reset).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mode: Literal[
        "none",
        "refuse_connection",
        "slow_banner",
        "busy",
        "refuse_login",
        "strip_tls",
        "refuse",
        "drop",
        "drop_in_data",
        "hang_at_ehlo",
        "hang_at_mail",
        "hang_at_rcpt",
        "delay",
        "hang_after_dot",
        "reset_after_dot",
    ]
    code: int = Field(default=450, ge=400, le=599)
    seconds: float | None = Field(default=None, ge=0)
    recipient: str | None = None

    def applies_to(self, recipients: list[str]) -> bool:
        return self.recipient is None or self.recipient.lower() in (address.lower() for address in recipients)


class Sink:
    """A mailbox and the present fault; the SMTP server writes to it, the inbox shows it."""

    def __init__(self, mailbox: Mailbox, login: SmtpLogin | None = None) -> None:
        self.mailbox = mailbox
        self.fault = Fault(mode="none")
        self._login = login
        self._tls = login.tls() if login else None
        self._implicit = login is not None and login.implicit_tls
        self._sessions: WeakSet[SMTP] = WeakSet()
        self._port = 0
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> None:
        """Accept mail on that port, as far as the fault allows."""
        self._port = port
        tls = self._tls if self._implicit else None
        self._server = await asyncio.get_running_loop().create_server(self._new_session, LOOPBACK, port, ssl=tls)

    def stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def set_fault(self, fault: Fault) -> None:
        """Misbehave like this from now on; `refuse_connection` also ends open connections."""
        self.fault = fault
        if fault.mode == "refuse_connection":
            self.stop_listening()
            for session in list(self._sessions):
                if isinstance(session.transport, asyncio.Transport):
                    session.transport.abort()
        elif self._server is None:
            await self.listen(self._port)

    def _new_session(self) -> SMTP:
        secured = self._login is not None and self.fault.mode != "strip_tls"
        starttls = secured and not self._implicit
        session = FaultySession(
            self,
            data_size_limit=MAX_MAIL_BYTES,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="tocsin sink",
            tls_context=self._tls if starttls else None,
            require_starttls=starttls,
            auth_required=secured,
            auth_require_tls=not self._implicit,
            authenticator=self._authenticate,
        )
        self._sessions.add(session)
        return session

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, given: LoginPassword
    ) -> AuthResult:
        if self.fault.mode == "refuse_login":
            reply = f"535 5.7.8 authentication by {mechanism} refused on request"
            return AuthResult(success=False, handled=False, message=reply)
        known = self._login and LoginPassword(self._login.username.encode(), self._login.password.encode())
        return AuthResult(success=given == known, handled=False, auth_data=given)

    async def handle_MAIL(
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.fault.mode == "refuse_login" and not session.authenticated:
            return "530 5.7.0 authentication required on request"
        if self.fault.mode == "hang_at_mail":
            await _hang()
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.fault.applies_to([address]):
            if self.fault.mode == "refuse":
                return f"{self.fault.code} {self.fault.code // 100}.2.0 refused on request"
            if self.fault.mode == "hang_at_rcpt":
                await _hang()
            if self.fault.mode == "drop":
                _connection(server).abort()
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        self.mailbox.add(parse_message(content, mail_from=envelope.mail_from or "", rcpt_to=envelope.rcpt_tos))
        if self.fault.applies_to(envelope.rcpt_tos):
            await self._fail_after_data(server)
        return ACCEPTED

    async def _fail_after_data(self, server: SMTP) -> None:
        match self.fault:
            case Fault(mode="delay", seconds=seconds):
                await asyncio.sleep(5 if seconds is None else seconds)
            case Fault(mode="hang_after_dot", seconds=None):
                await _hang()
            case Fault(mode="hang_after_dot", seconds=seconds):
                await asyncio.sleep(seconds or 0)
            case Fault(mode="reset_after_dot"):
                close_with_reset = struct.pack("ii", 1, 0)
                connection = _connection(server)
                connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, close_with_reset)
                connection.abort()


class FaultySession(SMTP):
    """One connection, which can also fail before the first command and in the middle of a message."""

    async def _handle_client(self) -> None:
        match self.event_handler.fault:
            case Fault(mode="slow_banner", seconds=seconds):
                await asyncio.sleep(5 if seconds is None else seconds)
            case Fault(mode="busy"):
                await self.push("421 4.3.2 busy on request")
                _connection(self).close()
                return
        await super()._handle_client()

    async def smtp_EHLO(self, hostname: str) -> None:
        if self.event_handler.fault.mode == "hang_at_ehlo":
            await _hang()
        await super().smtp_EHLO(hostname)

    async def smtp_DATA(self, arg: str) -> None:
        fault = self.event_handler.fault
        if fault.mode == "drop_in_data" and self.envelope is not None and fault.applies_to(self.envelope.rcpt_tos):
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._reader.readline()
            _connection(self).abort()
            return
        await super().smtp_DATA(arg)


async def _hang() -> None:
    await asyncio.Event().wait()  # aiosmtpd cancels this when the client disconnects


def _connection(server: SMTP) -> asyncio.Transport:
    assert isinstance(server.transport, asyncio.Transport)
    return server.transport


def web(sink: Sink) -> Starlette:
    """The inbox: a page for people, and an API for programs."""

    async def page(_request: Request) -> Response:
        return FileResponse(PAGE)

    async def messages(request: Request) -> Response:
        if request.method == "DELETE":
            sink.mailbox.clear()
            return Response(status_code=204)
        return Response(sink.mailbox.json(), media_type="application/json")

    async def faults(request: Request) -> Response:
        if request.method == "PUT":
            try:
                await sink.set_fault(Fault.model_validate_json(await request.body()))
            except ValidationError as error:
                return _problem(error)
        return Response(sink.fault.model_dump_json(), media_type="application/json")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/messages", messages, methods=["GET", "DELETE"]),
            Route("/faults", faults, methods=["GET", "PUT"]),
        ]
    )


def _problem(error: ValidationError) -> Response:
    errors = [each.model_dump() for each in field_errors(error.errors(include_url=False, include_input=False))]
    problem = {"type": "about:blank", "title": "Invalid fault", "status": 422, "errors": errors}
    return JSONResponse(problem, status_code=422, media_type="application/problem+json")


async def serve(smtp_port: int, inbox_port: int, mailbox: Path, login: SmtpLogin | None) -> None:
    """Accept mail and show it until TERM or INT."""
    sink = Sink(Mailbox(mailbox), login)
    await sink.listen(smtp_port)
    try:
        config = uvicorn.Config(web(sink), host=LOOPBACK, port=inbox_port, log_level="warning", access_log=False)
        await uvicorn.Server(config).serve()
    finally:
        sink.stop_listening()


def main(
    smtp_port: Annotated[int, typer.Option()],
    inbox_port: Annotated[int, typer.Option()],
    mailbox: Annotated[Path, typer.Option(help="the file that stores the mails")],
    certificate: Annotated[Path | None, typer.Option(help="a PEM file: key, certificate and its chain")] = None,
    username: Annotated[str, typer.Option()] = "",
    password: Annotated[str, typer.Option()] = "",
    implicit_tls: Annotated[bool, typer.Option("--implicit-tls")] = False,
) -> None:
    login = SmtpLogin(certificate, username, password, implicit_tls) if certificate else None
    asyncio.run(serve(smtp_port, inbox_port, mailbox, login))


if __name__ == "__main__":
    typer.run(main)
