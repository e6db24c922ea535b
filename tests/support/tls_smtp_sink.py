"""A mail server like a provider's: TLS with a certificate of an authority, and a required login."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import trustme
from tocsin_local.loopback import LOOPBACK, free_port
from tocsin_local.smtp import SmtpLogin, SmtpSink

from support.servers import SharedSink, running


@contextmanager
def secured_sink(
    folder: Path, tls: Literal["starttls", "tls"] = "starttls", name: str = LOOPBACK
) -> Iterator[tuple[SharedSink, Mapping[str, Any]]]:
    """The server, and the notifier's settings for it, with a new authority and certificate.

    `name`: the host of the certificate.
    """
    authority = trustme.CA()
    ca, certificate = folder / "ca.pem", folder / "sink.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    access = SmtpLogin(certificate, "tocsin", "correct horse", implicit_tls=tls == "tls")
    part = SmtpSink(folder / "smtp", free_port(), free_port(), access)
    login = {"smtp_username": access.username, "smtp_password": access.password}
    with running(part, folder):
        yield SharedSink(part.address, part.inbox), {"smtp_tls": tls, "smtp_ca": ca, **login}
