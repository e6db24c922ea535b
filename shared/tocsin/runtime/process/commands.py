"""The commands of every service: `migrate`, `republish --since T`. Without one it serves: `serve.py`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.events import Event
from tocsin.runtime.database import engine
from tocsin.runtime.database.outbox import Outbox
from tocsin.runtime.database.republish import republish
from tocsin.runtime.process.settings import DatabaseSettings, load

StoredEvents = Callable[[AsyncEngine, datetime], AsyncIterator[Sequence[Event]]]
"""Pages of the events stored at or after a business instant, in order per ticket."""


def instant_option(text: str) -> datetime:
    """Parse an option's value as an instant. Raises typer.BadParameter."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter("must be an instant with its zone, such as 2026-06-08T12:00:00Z")
    return at


@contextmanager
def exit_on_database_error() -> Iterator[None]:
    """Turn a failure of the database into one sentence on stderr and exit status 1."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:  # a TimeoutError is an OSError
        if not engine.is_transient(error):
            raise
        typer.echo(f"The database cannot be used: {engine.describe_failure(error)}.", err=True)
        raise typer.Exit(1) from None


def database_commands(package: str, about: str) -> typer.Typer:
    """The commands of `python -m PACKAGE` for a service that publishes no events of tickets."""
    about = f"{about} Without a command, serve."
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=about)

    @app.command("migrate")
    def migrate_database() -> None:
        """Upgrade the database schema to this version."""
        from tocsin.runtime.database.migrations import migrate  # here: a serving process needs no Alembic

        url = load(DatabaseSettings).database_url
        with exit_on_database_error():
            asyncio.run(migrate(package, url))

    return app


def service_commands(package: str, about: str, outbox: Outbox, stored_events: StoredEvents) -> typer.Typer:
    """The commands of `python -m PACKAGE`, to which a service adds its own. `stored_events` is for `republish`."""
    name = package.replace("_", "-")
    app = database_commands(package, about)

    @app.command("republish")
    def republish_events(
        since: Annotated[
            datetime, typer.Option(parser=instant_option, metavar="T", help="business time: 2026-06-08T12:00:00Z")
        ],
    ) -> None:
        """Queue the events stored since an instant again, with the same ids. The running service publishes them."""
        url = load(DatabaseSettings).database_url
        with exit_on_database_error():
            count = asyncio.run(_republish(url, name, outbox, stored_events, since))
        typer.echo(f"{count} events queued.")

    return app


async def _republish(url: str, name: str, outbox: Outbox, stored_events: StoredEvents, since: datetime) -> int:
    # Under the writers' name: intake's watermark must wait for these transactions too.
    writer = engine.engine(url, f"{name}-writer", pool_size=2)
    try:
        return await republish(writer, outbox, stored_events(writer, since))
    finally:
        await writer.dispose()
