"""Alembic's entry: intake's tables, migrated by `python -m intake migrate`."""

from intake.store.tables import metadata
from tocsin.runtime.database.migrations import run_migrations

run_migrations(metadata)
