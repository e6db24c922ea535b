"""The SMTP sink as a part of the stack, and the login that it can require."""

import signal
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

from tocsin_local.loopback import LOOPBACK, check_port, is_listening, responds
from tocsin_local.processes import LaunchCommand


@dataclass(frozen=True)
class SmtpLogin:
    """Required by a sink that accepts mail only over STARTTLS and after this login.

    `certificate` is a PEM file: the key, the certificate, its chain. With `implicit_tls` the connection starts in TLS.
    """

    certificate: Path
    username: str
    password: str
    implicit_tls: bool = False

    def options(self) -> tuple[str, ...]:
        """The options of `python -m tocsin_local.sink`."""
        certificate = str(self.certificate.resolve())
        login = ("--username", self.username, "--password", self.password)
        return ("--certificate", certificate, *login, *(["--implicit-tls"] if self.implicit_tls else []))

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        return context


class SmtpSink:
    """`folder` keeps the mails, which outlive the process. Without a `login` everyone can send mail in plain text."""

    name = "smtp"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, port: int, inbox_port: int, login: SmtpLogin | None = None) -> None:
        self.folder = folder
        self.port = port
        self.inbox_port = inbox_port
        self.login = login

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def inbox(self) -> str:
        return f"http://{LOOPBACK}:{self.inbox_port}"

    def launch(self) -> LaunchCommand:
        check_port("the inbox", self.inbox_port)
        self.folder.mkdir(parents=True, exist_ok=True)
        mailbox = self.folder.resolve() / "mails.jsonl"
        ports = ("--smtp-port", str(self.port), "--inbox-port", str(self.inbox_port))
        login = self.login.options() if self.login else ()
        return LaunchCommand((sys.executable, "-m", "tocsin_local.sink", *ports, "--mailbox", str(mailbox), *login))

    def ready(self) -> bool:
        return is_listening(self.port) and responds(self.inbox_port, "/faults")
