"""What must exist before a service starts: its migrated database, and the topics.

This runs in the stack's own process, since starting more interpreters would take longer than the work itself. The
module is slow to import, so the stack imports it while the servers start.
"""

import asyncio

from aiokafka.errors import KafkaError
from alembic.util.exc import CommandError
from sqlalchemy.exc import SQLAlchemyError
from tocsin.runtime.database.migrations import migrate
from tocsin.runtime.errors import TopicError
from tocsin.runtime.kafka.client import create_topics

from tocsin_local.errors import PartFailedError


def migrate_database(package: str, url: str) -> None:
    """Upgrade the database of a service, as `python -m PACKAGE migrate` does. Raises PartFailedError."""
    try:
        asyncio.run(migrate(package, url))
    except (SQLAlchemyError, CommandError, OSError) as error:
        raise PartFailedError(f"the database of {package} could not be migrated: {error}") from error


def create_all_topics(bootstrap: str) -> None:
    """Create the missing topics, as `python -m tocsin topics` does. Raises PartFailedError."""
    try:
        asyncio.run(create_topics(bootstrap))
    except (KafkaError, TopicError, OSError) as error:
        raise PartFailedError(f"the topics could not be created: {error}") from error
