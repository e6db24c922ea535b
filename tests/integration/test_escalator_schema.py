"""The escalator's migrations make what its code expects."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from escalator.store import metadata
from servers import MakeDatabase
from sqlalchemy import Connection
from tocsin.runtime.database import engine


async def test_the_migrated_schema_is_the_tables(make_database: MakeDatabase) -> None:
    source = engine(make_database("escalator"), "test")

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    async with source.connect() as connection:
        assert await connection.run_sync(differences) == []
    await source.dispose()
