"""The databases of tests: migrated once, emptied before each test, replaced when a test changed the schema."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import asyncpg
from tocsin.runtime.database.migrations import migrate
from tocsin_local.postgres import Postgres
from tocsin_local.services import PACKAGES

from support.servers import service_role

Result = TypeVar("Result")
_SCHEMA: Final = """
    SELECT array_agg(name ORDER BY name) FROM (
        SELECT 'constraint ' || oid || conname AS name FROM pg_constraint
        UNION ALL SELECT 'relation ' || oid || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    ) AS names"""
_EMPTY: Final = """
    DO $$ BEGIN EXECUTE (
        SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') || ' RESTART IDENTITY CASCADE'
        FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    ); END $$"""
_DISCONNECT: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


@dataclass(frozen=True, slots=True)
class _Database:
    name: str
    url: str
    schema: list[str]


class DatabasePool:
    """Databases of one process of a test run. `prefix` keeps them apart from those of other processes."""

    def __init__(self, postgres: Postgres, prefix: str) -> None:
        self._postgres = postgres
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._free: dict[str, list[_Database]] = defaultdict(list)
        self._lent: list[tuple[str, _Database]] = []

    def lend(self, service: str) -> str:
        """The SQLAlchemy URL of a migrated database of that service without rows; nobody else has it."""
        while self._free[service]:
            database = self._free[service].pop()
            if _in_a_thread(_emptied(database)):
                break
            self._postgres.drop_database(database.name)
        else:
            database = self._migrated(service)
        self._lent.append((service, database))
        return database.url

    def take_back(self) -> None:
        """All databases that were lent may be used again."""
        for service, database in self._lent:
            self._free[service].append(database)
        self._lent.clear()

    def create_empty(self) -> tuple[str, str]:
        """A database without tables: its name, for `drop`, and its SQLAlchemy URL."""
        return self._create("tocsin")

    def drop(self, name: str) -> None:
        self._postgres.drop_database(name)

    def _migrated(self, service: str) -> _Database:
        name, url = self._create(service)
        _in_a_thread(migrate(PACKAGES[service], url))
        return _Database(name, url, _in_a_thread(_schema(url)))

    def _create(self, owner: str) -> tuple[str, str]:
        role = service_role(owner)
        name = f"{self._prefix}{role.name}_{next(self._numbers)}"
        self._postgres.create_role(role)
        return name, self._postgres.create_database(name, role)


async def _emptied(database: _Database) -> bool:
    """Empties the database. False: its schema is not as migrated, so that it cannot be used again."""
    connection = await _connect(database.url)
    try:
        await connection.execute(_DISCONNECT)
        if await connection.fetchval(_SCHEMA) != database.schema:
            return False
        await connection.execute(_EMPTY)
        return True
    finally:
        await connection.close()


async def _schema(url: str) -> list[str]:
    connection = await _connect(url)
    try:
        found: list[str] = await connection.fetchval(_SCHEMA)
        return found
    finally:
        await connection.close()


async def _connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url.replace("+asyncpg", ""), timeout=10)


def _in_a_thread(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`; the caller may itself run inside an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
