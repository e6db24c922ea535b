"""Alembic's entry: the notifier's tables, migrated by `python -m notifier migrate`."""

from notifier.tables import metadata
from tocsin.runtime.database import run_migrations

run_migrations(metadata)
