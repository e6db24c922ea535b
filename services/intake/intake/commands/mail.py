"""`python -m intake mail FILE`: a mail from a file or a mail server's pipe, without HTTP."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from sqlalchemy.exc import DBAPIError
from tocsin.policy import PolicyError
from tocsin.runtime.database.engine import describe_failure, engine, is_transient
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.settings import ClockSettings, DatabaseSettings, load
from tocsin.sources.policy_file import read_policy

from intake.api.mail import MAIL_BYTES, receive_mail
from intake.handlers.context import IngestContext
from intake.sources.integrations_file import IntegrationsFile
from intake.store.tables import outbox
from intake.workers.webhook_worker import WebhookWorker

WRONG: Final = 2
NOT_TAKEN: Final = 65
"""EX_DATAERR: the mail server returns the mail."""
TRY_AGAIN: Final = 75
"""EX_TEMPFAIL: the mail server keeps the mail and tries again."""


class MailSettings(DatabaseSettings, ClockSettings):
    """All that `mail` needs."""

    policy: Path
    integrations: Path


def mail(
    file: Annotated[Path, typer.Argument(help="A message as RFC 5322 writes it; `-` is standard input.")],
    tenant: Annotated[str, typer.Option(help="Whose mailbox it came to.")] = "default",
) -> None:
    """Take a mail in as `POST /v1/hooks/email/{tenant}` does. Exits 75 where the mail server should try again."""
    settings = load(MailSettings)
    try:
        raw = sys.stdin.buffer.read(MAIL_BYTES + 1) if str(file) == "-" else file.read_bytes()
    except OSError as error:
        _fail(f"{file}: {error.strerror}", WRONG)
    if len(raw) > MAIL_BYTES:
        _fail(f"A mail may have {MAIL_BYTES} bytes.", NOT_TAKEN)
    try:
        typer.echo(asyncio.run(_take(settings, tenant, raw)))
    except (DBAPIError, OSError, TimeoutError) as error:
        if not is_transient(error):
            raise
        _fail(f"The database cannot be used: {describe_failure(error)}. Try again.", TRY_AGAIN)


async def _take(settings: MailSettings, tenant: str, raw: bytes) -> str:
    try:
        policy = read_policy(settings.policy)
    except (PolicyError, OSError) as error:
        _fail(f"TOCSIN_POLICY: {error}", WRONG)
    integrations = IntegrationsFile(settings.integrations)
    current = integrations.current()
    if current is None or tenant not in current.email:
        _fail(integrations.problem or f"TOCSIN_INTEGRATIONS has no `email` of the tenant {tenant}.", TRY_AGAIN)
    # As a writer, so that intake's progress waits for it.
    writer = engine(settings.database_url, "intake-writer", pool_size=1)
    keeper = engine(settings.database_url, "intake-reader", pool_size=1)
    try:
        context = IngestContext(policy, clock_from(settings).business, outbox, 0)
        deliveries = WebhookWorker(context, writer, keeper, lambda: None, integrations)
        answer = await receive_mail(deliveries, tenant, raw)
        return bytes(answer.body).decode()
    finally:
        await writer.dispose()
        await keeper.dispose()


def _fail(sentence: str, status: int) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(status)
