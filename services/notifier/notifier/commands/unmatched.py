"""`python -m notifier unmatched`: list the bounce reports that could not be matched, or print one."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final

import typer
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.database.engine import engine
from tocsin.runtime.process.commands import exit_on_database_error
from tocsin.runtime.process.settings import DatabaseSettings, load, use_stack_environment

from notifier.api.schemas import UnmatchedReportResponse
from notifier.store import unmatched_reports
from notifier.store.unmatched_reports import UnmatchedReport

_PAGE: Final = 200


def unmatched(
    report_id: Annotated[int | None, typer.Argument(help="Print this message instead, up to its first 64 KiB.")] = None,
) -> None:
    """List the bounce reports of all tenants and of the command that could not be matched, the newest first."""
    use_stack_environment("notifier")
    settings = load(DatabaseSettings)
    with exit_on_database_error():
        asyncio.run(_print(settings, report_id))


async def _print(settings: DatabaseSettings, report_id: int | None) -> None:
    reader = engine(settings.database_url, "notifier-reader", pool_size=1)
    try:
        if report_id is None:
            async for page in _pages(reader):
                for report in page:
                    typer.echo(UnmatchedReportResponse.model_validate(report).model_dump_json())
            return
        async with reader.connect() as connection:
            raw = await unmatched_reports.load_raw(connection, None, report_id)
    finally:
        await reader.dispose()
    if raw is None:
        typer.echo(f"There is no unmatched report {report_id}.", err=True)
        raise typer.Exit(1)
    sys.stdout.buffer.write(raw)


async def _pages(reader: AsyncEngine) -> AsyncIterator[Sequence[UnmatchedReport]]:
    before: int | None = None
    async with reader.connect() as connection:
        while page := await unmatched_reports.load_page(connection, None, before=before, limit=_PAGE):
            yield page
            before = page[-1].id
