"""Alembic's entry point: the escalator's tables, migrated by `python -m escalator migrate`."""

from escalator.store.tables import metadata
from tocsin.runtime.database.migrations import run_migrations

run_migrations(metadata)
