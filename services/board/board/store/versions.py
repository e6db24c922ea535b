"""Versions of tickets, such that a reader misses none.

A sequence numbers the changes, and transactions commit in another order than they took their numbers: a reader that
continues after the highest version that it saw would miss the ones that were still uncommitted. Therefore a transaction
that will take versions first holds a shared lock, whose key is the version that was taken last. No version above the
lowest such key is complete. Nobody ever waits for these locks.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_SPACE: Final = 1_651_470_708
"""The first half of the locks' keys, which no other lock of this database has."""
_WRAP: Final = 2**31
"""The second half of a key is a 32-bit integer: the version modulo this number."""

_LAST: Final = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM ticket_versions"
_LOCK: Final = text(f"SELECT pg_advisory_xact_lock_shared({_SPACE}, CAST(({_LAST}) % {_WRAP} AS integer))")
_READ_LAST: Final = text(_LAST)
_LOCKED: Final = text(
    f"""
    SELECT CAST(objid AS bigint) FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {_SPACE} AND objsubid = 2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)


async def begin_changes(connection: AsyncConnection) -> None:
    """Announce that this transaction will take versions. It must be called before the first one is taken."""
    await connection.execute(_LOCK)


async def load_complete_version(connection: AsyncConnection) -> int:
    """The highest version such that this one and all lower ones are committed; 0 before the first.

    The next statement of a transaction at the level READ COMMITTED sees them.
    """
    # In this order and in two statements: who took a version up to `last` had its lock by then.
    last: int = (await connection.execute(_READ_LAST)).scalar_one()
    return complete_version(last, (await connection.execute(_LOCKED)).scalars())


def complete_version(last: int, keys: Iterable[int]) -> int:
    """The highest complete version, from the last one that was taken and the keys of the locks that are held.

    A key above `last` is that of a transaction which began after `last` was read: its versions are higher, too.
    """
    behind = ((last - key) % _WRAP for key in keys)
    return last - max((each for each in behind if each < _WRAP // 2), default=0)
