"""Checks that a database was migrated, without importing Alembic: that would slow down every start."""

import importlib
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.runtime.errors import NotMigratedError


async def check_migrated(engine: AsyncEngine, package: str) -> None:
    """Raise NotMigratedError unless the database has the schema of this version of `package`, or a newer one.

    A newer schema is accepted because migrations are backward compatible: the database is migrated before the code.
    """
    known = sorted(script.name.partition("_")[0] for script in migrations_folder(package).glob("versions/[0-9]*_*.py"))
    async with engine.connect() as connection:
        exists = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
        current = await connection.scalar(text("SELECT version_num FROM alembic_version")) if exists else None
    if current is None or current in known[:-1]:
        raise NotMigratedError(f"The database is not migrated: run `python -m {package} migrate`.")


def migrations_folder(package: str) -> Path:
    """The folder `migrations` beside the package. Its scripts are named REVISION_title.py (`0001_initial.py`)."""
    source = importlib.import_module(package).__file__
    if source is None:
        raise ImportError(f"{package} is not a package with a file")
    return Path(source).parent.parent / "migrations"
