"""Every service's migrations create the tables that its code declares; database errors are one sentence."""

from pathlib import Path

import board.store.tables
import escalator.store.tables
import intake.store.tables
import notifier.store.tables
import pytest
import sla_timer.store.tables
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from intake.commands.app import app
from sqlalchemy import Connection, MetaData, delete
from sqlalchemy.exc import DBAPIError
from support.intake_world import command_environment
from support.servers import MakeDatabase
from support.service_apps import SERVICES, build_service
from tocsin.runtime.database.engine import engine
from typer.testing import CliRunner


@pytest.mark.parametrize(
    ("service", "metadata"),
    [
        ("intake", intake.store.tables.metadata),
        ("sla-timer", sla_timer.store.tables.metadata),
        ("escalator", escalator.store.tables.metadata),
        ("notifier", notifier.store.tables.metadata),
        ("board", board.store.tables.metadata),
    ],
)
async def test_the_migrations_create_the_declared_tables(
    service: str, metadata: MetaData, make_database: MakeDatabase
) -> None:
    # Alembic compares for a while between two statements, on a busy machine.
    source = engine(make_database(service), "test", idle_seconds=300)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, metadata))

    async with source.connect() as connection:
        assert await connection.run_sync(differences) == []
    await source.dispose()


@pytest.mark.parametrize("service", SERVICES)
async def test_the_reader_of_a_service_cannot_write(service: str, make_database: MakeDatabase, tmp_path: Path) -> None:
    runtime = build_service(service, make_database(service), tmp_path).runtime
    async with runtime.reader.connect() as connection:
        with pytest.raises(DBAPIError, match="read-only transaction"):
            await connection.execute(delete(runtime.outbox.table))
    async with runtime.side_writer.begin() as connection:
        await connection.execute(delete(runtime.outbox.table))
    await runtime.dispose()


@pytest.mark.parametrize(
    "command", [["migrate"], ["republish", "--since", "2026-06-08T12:00:00Z"], ["hooks", "unmapped"]]
)
@pytest.mark.parametrize(
    ("place", "wrong", "said"),
    [("/", "/no_such_one", 'database "no_such_one" does not exist'), (":", ":1/nowhere", "Connect call failed")],
)
def test_an_unusable_database_is_one_sentence(
    command: list[str], place: str, wrong: str, said: str, make_database: MakeDatabase, tmp_path: Path
) -> None:
    url = make_database("intake").rpartition(place)[0] + wrong
    (tmp_path / "integrations.yaml").write_text('version: "1"\ntenants: {}\n')
    done = CliRunner().invoke(app, command, env=command_environment(url, tmp_path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("The database cannot be used: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
