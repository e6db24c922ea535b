"""Whom the sink takes mails from, where not from everybody."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Access:
    """Over STARTTLS alone, and after this login. `certificate` is a PEM file: the key, the certificate, its chain.

    `implicit_tls`: over TLS from the first octet on instead.
    """

    certificate: Path
    username: str
    password: str
    implicit_tls: bool = False

    def options(self) -> tuple[str, ...]:
        """As the sink's command line has it."""
        certificate = str(self.certificate.resolve())
        login = ("--username", self.username, "--password", self.password)
        return ("--certificate", certificate, *login, *(["--implicit-tls"] if self.implicit_tls else []))

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        return context
