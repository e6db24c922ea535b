"""Alembic's entry: the escalator's tables, migrated by `python -m escalator migrate`."""

from escalator.store import metadata
from tocsin.runtime.database import run_migrations

run_migrations(metadata)
