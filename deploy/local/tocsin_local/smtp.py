"""The SMTP sink as a part of the stack."""

import signal
import sys
from pathlib import Path

import httpx

from tocsin_local.ports import LOOPBACK
from tocsin_local.processes import Launch, answers, check_port
from tocsin_local.smtp_auth import Access


class SmtpSink:
    """`folder` keeps the mails; they outlive the sink. Without `access` it is plain and takes them from everybody."""

    name = "smtp"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, port: int, inbox_port: int, access: Access | None = None) -> None:
        self.folder = folder
        self.port = port
        self.inbox_port = inbox_port
        self.access = access

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def inbox(self) -> str:
        return f"http://{LOOPBACK}:{self.inbox_port}"

    def launch(self) -> Launch:
        check_port("the inbox", self.inbox_port)
        self.folder.mkdir(parents=True, exist_ok=True)
        mailbox = self.folder.resolve() / "mails.jsonl"
        ports = ("--smtp-port", str(self.port), "--inbox-port", str(self.inbox_port))
        access = self.access.options() if self.access else ()
        return Launch((sys.executable, "-m", "tocsin_local.sink", *ports, "--mailbox", str(mailbox), *access))

    def ready(self) -> bool:
        if not answers(self.port):
            return False
        try:
            return httpx.get(f"{self.inbox}/faults", timeout=2).is_success
        except httpx.TransportError:
            return False
