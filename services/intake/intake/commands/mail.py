"""`python -m intake mail FILE`: a mail from a file or a mail server's pipe, without HTTP."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from sqlalchemy.exc import DBAPIError
from tocsin.runtime.database.engine import describe_failure
from tocsin.runtime.errors import ConfigurationError

from intake.commands.operation import fail, load_settings, run, warnings_on_stderr
from intake.domain.mail import MAX_MAIL_BYTES
from intake.handlers.deliveries import DeliveryResult
from intake.sources.integrations_file import IntegrationsFile

EX_USAGE: Final = 2
"""The file cannot be read."""
EX_DATAERR: Final = 65
"""The mail server returns the mail."""
EX_TEMPFAIL: Final = 75
"""The mail server keeps the mail and tries again."""


def mail(
    file: Annotated[Path, typer.Argument(help="A mail (RFC 5322); `-` is standard input.")],
    tenant: Annotated[str, typer.Option(help="The tenant of the mailbox.")] = "default",
) -> None:
    """Process a mail like `POST /v1/hooks/email/{tenant}`. Exits with 75 if the mail server should try again."""
    try:
        settings = load_settings()
    except SystemExit:  # the problem was printed; the mail server's next attempt succeeds once it is corrected
        raise typer.Exit(EX_TEMPFAIL) from None
    try:
        raw = sys.stdin.buffer.read(MAX_MAIL_BYTES + 1) if str(file) == "-" else file.read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror}", EX_USAGE)
    if len(raw) > MAX_MAIL_BYTES:
        fail(f"The mail exceeds the limit of {MAX_MAIL_BYTES:,} bytes.", EX_DATAERR)
    with warnings_on_stderr():
        integrations = IntegrationsFile(settings.integrations)
        current = integrations.last_valid()
        if current is None or tenant not in current.email:
            missing = f"TOCSIN_INTEGRATIONS has no `email` section for the tenant {tenant}."
            fail(integrations.problem or missing, EX_TEMPFAIL)
        try:
            result = asyncio.run(run(settings, lambda service: service.webhook_worker.receive_mail(tenant, raw)))
        except ConfigurationError as error:
            fail(str(error), EX_TEMPFAIL)
        except (DBAPIError, OSError, TimeoutError) as error:
            fail(f"The mail cannot be stored: {describe_failure(error)}. Try again.", EX_TEMPFAIL)
    typer.echo(_render(result))


def _render(result: DeliveryResult | None) -> str:
    """The result as JSON, like the response of the API."""
    fields = {"state": "duplicate"} if result is None else asdict(result)
    present = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(present, separators=(",", ":"), ensure_ascii=False)
