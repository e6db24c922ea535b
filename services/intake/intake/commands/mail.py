"""`python -m intake mail FILE`: a mail from a file or a mail server's pipe, without HTTP."""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from sqlalchemy.exc import DBAPIError
from tocsin.policy import PolicyError
from tocsin.runtime.database.engine import describe_failure, engine, is_transient
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.settings import ClockSettings, DatabaseSettings, load
from tocsin.sources.policy_file import read_policy

from intake.domain.mail import MAX_MAIL_BYTES
from intake.handlers.context import IngestContext
from intake.sources.integrations_file import IntegrationsFile
from intake.store.tables import OUTBOX
from intake.workers.webhook_worker import DeliveryResult, WebhookWorker

EX_USAGE: Final = 2
EX_DATAERR: Final = 65
"""The mail server returns the mail."""
EX_TEMPFAIL: Final = 75
"""The mail server keeps the mail and tries again."""


class MailSettings(DatabaseSettings, ClockSettings):
    """The settings of `mail`."""

    policy: Path
    integrations: Path


def mail(
    file: Annotated[Path, typer.Argument(help="A mail (RFC 5322); `-` is standard input.")],
    tenant: Annotated[str, typer.Option(help="The tenant of the mailbox.")] = "default",
) -> None:
    """Process a mail like `POST /v1/hooks/email/{tenant}`. Exits with 75 if the mail server should try again."""
    settings = load(MailSettings)
    try:
        raw = sys.stdin.buffer.read(MAX_MAIL_BYTES + 1) if str(file) == "-" else file.read_bytes()
    except OSError as error:
        _fail(f"{file}: {error.strerror}", EX_USAGE)
    if len(raw) > MAX_MAIL_BYTES:
        _fail(f"The mail exceeds the limit of {MAX_MAIL_BYTES:,} bytes.", EX_DATAERR)
    try:
        result = asyncio.run(_receive(settings, tenant, raw))
    except (DBAPIError, OSError, TimeoutError) as error:
        if not is_transient(error):
            raise
        _fail(f"The database is not available: {describe_failure(error)}. Try again.", EX_TEMPFAIL)
    typer.echo(_rendered(result))


async def _receive(settings: MailSettings, tenant: str, raw: bytes) -> DeliveryResult | None:
    try:
        policy = read_policy(settings.policy)
    except (PolicyError, OSError) as error:
        _fail(f"TOCSIN_POLICY: {error}", EX_USAGE)
    integrations = IntegrationsFile(settings.integrations)
    current = integrations.current()
    if current is None or tenant not in current.email:
        _fail(integrations.problem or f"TOCSIN_INTEGRATIONS has no `email` section of {tenant}.", EX_TEMPFAIL)
    # As a writer, so that intake's watermark waits for it.
    writer = engine(settings.database_url, "intake-writer", pool_size=1)
    reader = engine(settings.database_url, "intake-reader", pool_size=1)
    try:
        context = IngestContext(policy, clock_from(settings).business, OUTBOX, 0)
        worker = WebhookWorker(context, writer, reader, lambda: None, integrations)
        return await worker.receive_mail(tenant, raw)
    finally:
        await writer.dispose()
        await reader.dispose()


def _rendered(result: DeliveryResult | None) -> str:
    """The result as JSON, like the response of the API."""
    fields = {"state": "duplicate"} if result is None else asdict(result)
    present = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(present, separators=(",", ":"), ensure_ascii=False)


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(status)
