"""`python -m notifier bounce FILE`: apply a bounce report from a file or a mail server's pipe."""

import asyncio
import logging
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Final, NoReturn, Self

import structlog
import typer
from pydantic import SecretStr, model_validator
from sqlalchemy.exc import DBAPIError
from tocsin.directory import Directory, DirectoryError, load_directory
from tocsin.runtime.database.engine import describe_failure, engine, is_transient
from tocsin.runtime.errors import FileReadError
from tocsin.runtime.http.limits_middleware import DEFAULT_LIMIT
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.regular_file import read_text
from tocsin.runtime.process.settings import ClockSettings, DatabaseSettings, load

from notifier.api.schemas import BounceResponse
from notifier.errors import MailInTransitError
from notifier.handlers.bounces import BounceResult, apply_report
from notifier.settings import ReturnPathSettings

USAGE: Final = 2
"""Wrong arguments; a mail server gives up a report on this exit code."""
DATA_ERROR: Final = 65
"""EX_DATAERR: the message is empty."""
TEMPORARY_FAILURE: Final = 75
"""EX_TEMPFAIL: the mail server keeps the report and retries."""


class BounceSettings(DatabaseSettings, ClockSettings, ReturnPathSettings):
    """The settings of `bounce`."""

    directory: Path
    ack_keys: SecretStr | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if self.bounce_address is not None and self.ack_keys is None:
            raise ValueError("TOCSIN_ACK_KEYS is needed with TOCSIN_BOUNCE_ADDRESS: it signs the envelope senders")
        return self


def bounce(
    file: Annotated[Path, typer.Argument(help="A raw message; `-` is standard input.")],
) -> None:
    """Apply a mail server's bounce report, as `POST /v1/bounces` does, to mails of any tenant.

    Exits 0 when it was applied, or kept because it could not be matched (`python -m notifier unmatched` lists it), 75
    when a retry may help, 65 if it is empty, 2 if FILE cannot be read.
    """
    try:
        settings = load(BounceSettings)
    except SystemExit:  # the problem was printed; the server's retry succeeds once it is fixed
        raise typer.Exit(TEMPORARY_FAILURE) from None
    # Standard error is for the mail server's operator: this command prints one sentence itself.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    raw = _read(file)
    directory = _load_directory(settings.directory)
    try:
        result = asyncio.run(_apply(settings, directory, raw))
    except MailInTransitError as error:
        _fail(str(error), TEMPORARY_FAILURE)
    except (DBAPIError, OSError, TimeoutError) as error:
        if not is_transient(error):
            raise
        _fail(f"The database cannot be used: {describe_failure(error)}. Retry later.", TEMPORARY_FAILURE)
    typer.echo(BounceResponse.model_validate(result).model_dump_json())


def _read(file: Path) -> bytes:
    """The message, or the beginning of a large one: what a report says comes before the mail that it returns."""
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as source:
            raw = source.read(DEFAULT_LIMIT)
    except OSError as error:
        _fail(f"{file}: {error.strerror}", USAGE)
    if not raw.strip():
        _fail(f"{file}: the message is empty; pass the raw message", DATA_ERROR)
    return raw


def _load_directory(path: Path) -> Directory:
    try:
        return load_directory(read_text(path), path.name)
    except FileReadError as error:  # it may be being replaced
        _fail(f"TOCSIN_DIRECTORY: {path} cannot be read: {error.reason}. Retry later.", TEMPORARY_FAILURE)
    except DirectoryError as error:
        _fail(f"TOCSIN_DIRECTORY: {error}", TEMPORARY_FAILURE)


async def _apply(settings: BounceSettings, directory: Directory, raw: bytes) -> BounceResult:
    path = settings.return_path(settings.ack_keys) if settings.ack_keys else None
    writer = engine(settings.database_url, "notifier-writer", pool_size=1)
    try:
        async with writer.begin() as connection:
            return await apply_report(connection, clock_from(settings), directory, path, raw, tenant=None)
    finally:
        await writer.dispose()


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(status)
