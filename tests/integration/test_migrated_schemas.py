"""Each service's migrations make what its code expects."""

import escalator.store
import intake.store
import notifier.tables
import pytest
import sla_timer.store.tables
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from servers import MakeDatabase
from sqlalchemy import Connection, MetaData
from tocsin.runtime.database import engine


@pytest.mark.parametrize(
    ("service", "metadata"),
    [
        ("intake", intake.store.metadata),
        ("sla-timer", sla_timer.store.tables.metadata),
        ("escalator", escalator.store.metadata),
        ("notifier", notifier.tables.metadata),
    ],
)
async def test_the_migrated_schema_is_the_tables(service: str, metadata: MetaData, make_database: MakeDatabase) -> None:
    source = engine(make_database(service), "test")

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, metadata))

    async with source.connect() as connection:
        assert await connection.run_sync(differences) == []
    await source.dispose()
