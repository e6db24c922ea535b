"""The timer's migrations make what its code expects."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from servers import MakeDatabase
from sla_timer.store.tables import metadata
from sqlalchemy import Connection
from tocsin.runtime.database import engine


async def test_the_migrated_schema_is_the_tables(make_database: MakeDatabase) -> None:
    source = engine(make_database("sla-timer"), "test")

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    async with source.connect() as connection:
        assert await connection.run_sync(differences) == []
    await source.dispose()
