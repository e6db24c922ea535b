"""Many open tickets within a minute or two: copies of the rows of a few, inside the database."""

from typing import Final

import asyncpg
from tocsin_local.loopback import LOOPBACK
from tocsin_local.postgres import SUPERUSER, Postgres

_TABLES: Final = """
    SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns
    WHERE table_schema = 'public' AND is_identity = 'NO' AND is_generated = 'NEVER' AND table_name = ANY(
        SELECT table_name FROM information_schema.columns WHERE column_name = 'ticket_id' AND table_name <> 'outbox')
    GROUP BY table_name"""
_KEYS: Final = """
    SELECT column_name FROM information_schema.key_column_usage JOIN information_schema.columns
    USING (table_schema, table_name, column_name) WHERE table_name = $1 AND data_type = 'uuid'"""
_INDEXES: Final = """
    SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY($1)
    AND indexname NOT IN (SELECT conname FROM pg_constraint)"""
_FOR_BULK: Final = """
    SET session_replication_role = replica; SET synchronous_commit = off;
    SET maintenance_work_mem = '512MB'; SET max_parallel_maintenance_workers = 0"""
MANY: Final = 100_000
"""From so many copies on, it is faster to build the indexes anew."""


class OpenTickets:
    """The open tickets of one service's database. The service must be down while they are filled.

    Copies have ids of their own in keys, and inside their JSON that of the original, so they must never fall due.
    """

    def __init__(self, postgres: Postgres, database: str) -> None:
        self._postgres = postgres
        self._database = database
        self._copies = 0

    async def keep_originals(self) -> None:
        """The tickets that exist now are what `fill` copies."""
        connection = await self._connect()
        await connection.execute("CREATE SCHEMA IF NOT EXISTS originals")
        self._tables = {row[0]: row[1] for row in await connection.fetch(_TABLES)}
        for table in self._tables:
            await connection.execute(f"CREATE TABLE originals.{table} AS SELECT * FROM public.{table}")
        self._count = await connection.fetchval("SELECT count(*) FROM originals.tickets")
        await connection.close()

    async def fill(self, total: int) -> None:
        """Copies the originals until about `total` tickets are open, and analyses the tables."""
        copies = max(0, round(total / self._count) - 1 - self._copies)
        connection = await self._connect()
        await connection.execute(_FOR_BULK)
        tables = self._ordered()
        rebuilt = await connection.fetch(_INDEXES, tables) if copies * self._count >= MANY else []
        for index in rebuilt:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        for table in tables:
            await connection.execute(await self._copy(connection, table, copies))
        for index in rebuilt:
            await connection.execute(index["indexdef"])
        await connection.execute("CHECKPOINT")
        for table in tables:
            await connection.execute(f"VACUUM ANALYZE {table}")
        await connection.close()
        self._copies += copies

    async def _copy(self, connection: asyncpg.Connection, table: str, copies: int) -> str:
        """One INSERT for each copy: its ids begin alike, so that the pages of an index are filled one by one."""
        ids = {row[0] for row in await connection.fetch(_KEYS, table)} | {"ticket_id"}
        columns = self._tables[table]
        values = [f"(start || substr({name}::text, 14))::uuid" if name in ids else f'"{name}"' for name in columns]
        names = ", ".join(f'"{name}"' for name in columns)
        return f"""
            DO $$ DECLARE start text; BEGIN
                FOR n IN {self._copies + 1}..{self._copies + copies} LOOP
                    start := substr(md5(n::text), 1, 8) || '-' || substr(md5(n::text), 9, 4);
                    INSERT INTO public.{table} ({names}) SELECT {", ".join(values)} FROM originals.{table};
                END LOOP;
            END $$"""

    def _ordered(self) -> list[str]:
        return sorted(self._tables, key=lambda name: name != "tickets")

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            host=LOOPBACK,
            port=self._postgres.port,
            user=SUPERUSER,
            password=self._postgres.password,
            database=self._database,
        )
