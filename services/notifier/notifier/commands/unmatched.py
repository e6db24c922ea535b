"""`python -m notifier unmatched`: list the bounce reports that could not be matched, or print one."""

import asyncio
import sys
from typing import Annotated, Final

import typer
from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.database.engine import engine
from tocsin.runtime.process.commands import exit_on_database_error
from tocsin.runtime.process.settings import DatabaseSettings, load, use_stack_environment

from notifier.api.schemas import UnmatchedReportResponse
from notifier.store import unmatched_reports

_PAGE: Final = 200
_LARGEST_ID: Final = (1 << 63) - 1


def unmatched(
    report_id: Annotated[
        int | None, typer.Argument(min=1, max=_LARGEST_ID, help="Print this message instead, up to its first 64 KiB.")
    ] = None,
) -> None:
    """List the bounce reports of all tenants and of the command that could not be matched, the newest first."""
    use_stack_environment("notifier")
    settings = load(DatabaseSettings)
    with exit_on_database_error():
        asyncio.run(_print(settings, report_id))


async def _print(settings: DatabaseSettings, report_id: int | None) -> None:
    reader = engine(settings.database_url, "notifier-reader", pool_size=1)
    try:
        async with reader.connect() as connection:
            await (_print_list(connection) if report_id is None else _print_message(connection, report_id))
    finally:
        await reader.dispose()


async def _print_list(connection: AsyncConnection) -> None:
    before: int | None = None
    while page := await unmatched_reports.load_page(connection, None, before=before, limit=_PAGE):
        for report in page:
            typer.echo(UnmatchedReportResponse.model_validate(report).model_dump_json())
        before = page[-1].id


async def _print_message(connection: AsyncConnection, report_id: int) -> None:
    raw = await unmatched_reports.load_raw(connection, None, report_id)
    if raw is None:
        typer.echo(
            f"No unmatched report has the id {report_id}. List them with `python -m notifier unmatched`.", err=True
        )
        raise typer.Exit(1)
    sys.stdout.buffer.write(raw)
