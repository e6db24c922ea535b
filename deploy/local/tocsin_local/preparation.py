"""What must be there before a service starts: its migrated database, and the topics.

The same functions as `python -m SERVICE migrate` and `python -m tocsin topics`, called here in one process: five
interpreters more would cost a small machine most of the time that a start takes.
"""

import asyncio
from collections.abc import Mapping

from aiokafka.errors import KafkaError
from alembic.util.exc import CommandError
from sqlalchemy.exc import SQLAlchemyError
from tocsin.runtime.database.migrations import migrate
from tocsin.runtime.errors import TopicError
from tocsin.runtime.kafka.client import create_topics

from tocsin_local.errors import PartFailed


def migrate_all(databases: Mapping[str, str]) -> None:
    """Brings the database of each package (`{"intake": URL}`) to its newest schema. Raises PartFailed."""
    for package, url in databases.items():
        try:
            asyncio.run(migrate(package, url))
        except (SQLAlchemyError, CommandError, OSError) as error:
            raise PartFailed(f"the database of {package} could not be migrated: {error}") from error


def create_all_topics(bootstrap: str) -> None:
    """Creates the topics that are not there yet. Raises PartFailed."""
    try:
        asyncio.run(create_topics(bootstrap))
    except (KafkaError, TopicError, OSError) as error:
        raise PartFailed(f"the topics could not be created: {error}") from error
