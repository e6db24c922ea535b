"""Alembic's entry point: the board's tables, migrated by `python -m board migrate`."""

from board.store.tables import metadata
from tocsin.runtime.database.migrations import run_migrations

run_migrations(metadata)
