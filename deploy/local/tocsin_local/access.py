"""Whom the sink takes mails from, where not from everybody."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Access:
    """Over STARTTLS alone, and after this login. `certificate` is a PEM file: the key, the certificate, its chain."""

    certificate: Path
    username: str
    password: str

    def options(self) -> tuple[str, ...]:
        """As the sink's command line has it."""
        certificate = str(self.certificate.resolve())
        return ("--certificate", certificate, "--username", self.username, "--password", self.password)

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        return context
