"""Alembic's entry point: the notifier's tables, migrated by `python -m notifier migrate`."""

from notifier.store.tables import metadata
from tocsin.runtime.database.migrations import run_migrations

run_migrations(metadata)
