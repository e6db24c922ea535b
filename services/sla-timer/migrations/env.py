"""Alembic's entry point: the timer's tables, migrated by `python -m sla_timer migrate`."""

from sla_timer.store.tables import metadata
from tocsin.runtime.database.migrations import run_migrations

run_migrations(metadata)
