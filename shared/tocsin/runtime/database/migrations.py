"""Runs database migrations with Alembic, and creates the tables that every service has."""

import sqlalchemy as sa
from alembic import command, context, op
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text

from tocsin.runtime.database.engine import engine
from tocsin.runtime.database.schema_version import migrations_folder


async def migrate(package: str, url: str) -> None:
    """Upgrade the database of `package` (`intake`, `sla_timer` ...) to the newest schema.

    Two migrations of one database run one after the other.
    """
    # Alembic reads the scripts between two statements, which takes a while on a busy machine: hence `idle_seconds`.
    worker = engine(url, f"{package}-migrate", pool_size=1, statement_seconds=3600, idle_seconds=300)
    try:
        async with worker.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(7031986)"))
            await connection.run_sync(_upgrade, package)
    finally:
        await worker.dispose()


def run_migrations(metadata: MetaData) -> None:
    """The body of a service's migrations/env.py: run the migrations on the connection that `migrate` opened."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


def create_runtime_tables(*, offsets: bool) -> None:
    """Create the runtime's tables in a service's first migration; `offsets` if the service consumes a topic.

    The statements are frozen: a later change of these tables needs a new migration in every service.
    """
    instant = sa.DateTime(timezone=True)
    if offsets:
        op.create_table(
            "offsets",
            sa.Column("topic", sa.Text, primary_key=True),
            sa.Column("partition", sa.SmallInteger, primary_key=True, autoincrement=False),
            sa.Column("next_offset", sa.BigInteger, nullable=False),
            sa.Column("accepted_through", instant),
            sa.Column("holder", sa.Uuid),
            sa.Column("token", sa.BigInteger, nullable=False, server_default=text("0")),
            postgresql_with={"fillfactor": 50},
        )
        op.create_table(
            "consumer_replicas",
            sa.Column("topic", sa.Text, primary_key=True),
            sa.Column("holder", sa.Uuid, primary_key=True),
            sa.Column("expires_at", instant, nullable=False),
            postgresql_with={"fillfactor": 50},
        )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.SmallInteger, nullable=False),
        sa.Column("offset", sa.BigInteger),
        sa.Column("key", sa.LargeBinary),
        sa.Column("headers", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", instant, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("replayed_at", instant),
    )
    op.create_index(
        "dead_letters_waiting_idx", "dead_letters", ["topic", "key"], postgresql_where=text("replayed_at IS NULL")
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("partition", sa.SmallInteger, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("headers", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("received_at", instant, nullable=False, server_default=sa.func.clock_timestamp()),
    )
    op.create_index("outbox_partition_received_at_idx", "outbox", ["partition", "received_at"])
    op.create_table(
        "outbox_lease",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.Uuid, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("expires_at", instant, nullable=False),
    )
    op.create_table(
        "key_uses",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("last_used_at", instant, nullable=False),
    )


def _upgrade(connection: Connection, package: str) -> None:
    config = _config(package)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config(package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder(package)).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
