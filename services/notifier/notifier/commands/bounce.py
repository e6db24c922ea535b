"""`python -m notifier bounce FILE`: a report from a file or a mail server's pipe, without HTTP."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import orjson
import structlog
import typer
from sqlalchemy.exc import DBAPIError
from tocsin.directory import Directory, DirectoryError, load_directory
from tocsin.runtime.database.engine import describe_failure, engine, is_transient
from tocsin.runtime.http.limits_middleware import DEFAULT_LIMIT
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.process.clock import clock_from
from tocsin.runtime.process.settings import ClockSettings, DatabaseSettings, load

from notifier.api.bounces import report_answer
from notifier.handlers.bounces import take_report, understood

WRONG: Final = 2
"""It was called wrongly; a mail server gives a report up that ends so."""
NOT_TAKEN: Final = 65
"""EX_DATAERR: it is no report, or of no mail of ours."""
TRY_AGAIN: Final = 75
"""EX_TEMPFAIL: the mail server keeps the report and tries again."""


class BounceSettings(DatabaseSettings, ClockSettings):
    """All that `bounce` needs."""

    directory: Path


def bounce(
    file: Annotated[Path, typer.Argument(help="A raw message; `-` is standard input.")],
) -> None:
    """Take a mail server's report in as `POST /v1/bounces` does, of any tenant.

    Exits 0 when it was taken in, 65 when it is no report of a mail of ours, 75 when trying again may help, 2 when FILE
    cannot be read.
    """
    try:
        settings = load(BounceSettings)
    except SystemExit:  # told already; once they are mended, what the server kept comes in
        raise typer.Exit(TRY_AGAIN) from None
    # What comes of it is told by the command itself.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        raw = sys.stdin.buffer.read(DEFAULT_LIMIT + 1) if str(file) == "-" else file.read_bytes()
    except OSError as error:
        _fail(f"{file}: {error.strerror}", WRONG)
    if len(raw) > DEFAULT_LIMIT:
        _fail(f"A report may have {DEFAULT_LIMIT} bytes.", NOT_TAKEN)
    try:
        directory = load_directory(settings.directory.read_text(encoding="utf-8"), settings.directory.name)
    except OSError as error:  # it is being replaced, perhaps
        _fail(f"TOCSIN_DIRECTORY: {settings.directory}: {error.strerror}. Try again.", TRY_AGAIN)
    except (DirectoryError, UnicodeDecodeError) as error:
        _fail(f"TOCSIN_DIRECTORY: {error}", TRY_AGAIN)
    try:
        typer.echo(asyncio.run(_take(settings, directory, raw)))
    except Problem as problem:
        wrong = [f" {error.field or 'It'} {error.message}." for error in problem.body.errors or ()]
        _fail(f"{problem.body.detail}{''.join(wrong)}", TRY_AGAIN if problem.status == 503 else NOT_TAKEN)
    except (DBAPIError, OSError, TimeoutError) as error:
        if not is_transient(error):
            raise
        _fail(f"The database cannot be used: {describe_failure(error)}. Try again.", TRY_AGAIN)


async def _take(settings: BounceSettings, directory: Directory, raw: bytes) -> str:
    report = understood(raw)
    writer = engine(settings.database_url, "notifier-writer", pool_size=1)
    try:
        async with writer.begin() as connection:
            taken = await take_report(connection, clock_from(settings), directory, report, None)
        return orjson.dumps(report_answer(report, taken)).decode()
    finally:
        await writer.dispose()


def _fail(sentence: str, status: int) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(status)
