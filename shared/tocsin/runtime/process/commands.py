"""The command line that every service has: serve by default, `migrate`, `republish --since T`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, TypeVar

import typer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.events import Event
from tocsin.runtime.database import engine, migrations
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.database.republish import republish
from tocsin.runtime.errors import ConfigurationError
from tocsin.runtime.process.logging import configure
from tocsin.runtime.process.service import Service
from tocsin.runtime.process.settings import DatabaseSettings, ServiceSettings, load

S = TypeVar("S", bound=ServiceSettings)
Stored = Callable[[AsyncEngine, datetime], AsyncIterator[Sequence[Event]]]
"""Pages of the events that a service stored at or after a business instant, in order per ticket."""


def instant_option(text: str) -> datetime:
    """The parser of an option that is an instant. Raises typer.BadParameter."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter("must be an instant with its zone, such as 2026-06-08T12:00:00Z")
    return at


@contextmanager
def exit_on_database_error() -> Iterator[None]:
    """Where the database cannot be used, say why in a sentence and exit with 1."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:  # a TimeoutError is an OSError
        if not engine.is_transient(error):
            raise
        typer.echo(f"The database cannot be used: {engine.describe_failure(error)}.", err=True)
        raise typer.Exit(1) from None


def service_commands(
    package: str,
    about: str,
    settings: type[S],
    build: Callable[[S], Service],
    outbox: Outbox,
    stored: Stored,
) -> typer.Typer:
    """The commands of `python -m PACKAGE`; a service adds its own to the result."""
    name = package.replace("_", "-")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=about)

    @app.callback(invoke_without_command=True)
    def main(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            loaded = load(settings)
            configure(name, loaded)
            asyncio.run(_serve(loaded, build))

    @app.command("migrate")
    def migrate() -> None:
        """Bring the database to this version's schema."""
        url = load(DatabaseSettings).database_url
        with exit_on_database_error():
            asyncio.run(migrations.migrate(package, url))

    @app.command("republish")
    def queue_again(
        since: Annotated[
            datetime, typer.Option(parser=instant_option, metavar="T", help="business time: 2026-06-08T12:00:00Z")
        ],
    ) -> None:
        """Queue what was stored at or after an instant once more, with the same ids. The running service sends it."""
        url = load(DatabaseSettings).database_url
        with exit_on_database_error():
            count = asyncio.run(_queue_again(url, name, outbox, stored, since))
        typer.echo(f"{count} events queued.")

    return app


async def _serve(settings: S, build: Callable[[S], Service]) -> None:
    try:
        await build(settings).run()
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None


async def _queue_again(url: str, name: str, outbox: Outbox, stored: Stored, since: datetime) -> int:
    # As a writer, so that intake's progress waits for it.
    writer = engine.engine(url, f"{name}-writer", pool_size=2)
    try:
        return await republish(writer, outbox, stored(writer, since))
    finally:
        await writer.dispose()
