"""When the read model was emptied: what was read before then may be of tickets that no longer exist."""

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from board.store.tables import REBUILDS, VERSIONS
from board.store.versions import begin_changes


async def add_rebuild(connection: AsyncConnection) -> None:
    """Store that this transaction has emptied the read model: every ticket gets a higher version from now on."""
    await begin_changes(connection)  # nobody reads as far as this version before the commit
    await connection.execute(insert(REBUILDS).values(version=VERSIONS.next_value()))


async def load_rebuild_version(connection: AsyncConnection) -> int:
    """The version at the last rebuild; 0 before the first."""
    query = select(func.coalesce(func.max(REBUILDS.c.version), 0))
    version: int = (await connection.execute(query)).scalar_one()
    return version
