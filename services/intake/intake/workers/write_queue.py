"""Where single tickets and events become durable: those that come at the same time share a transaction.

A transaction is everybody's lateness while it is open (DESIGN, Time), so a group is small; one that cannot be stored
fails alone. What a caller is told is told after the commit.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.group_commit import GroupCommit
from tocsin.runtime.errors import OverloadedError
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.metrics import REQUESTS_SHED

from intake.handlers import Asked, Desk, HeldTwiceError, Outcome, take_asked

GROUP: Final = 50
MOST_WAITING: Final = 500
PATIENCE_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0
"""How many share a transaction; how many may wait for theirs; how long one may take until others are sent away, and how
long a caller waits for an answer. All of it in real time.
"""

_CONTENDED: Final = ("40P01", "55P03")  # a deadlock, a lock that did not come: one alone may well get through


class Taking:
    """Takes in what single callers ask for; `wake` tells the relay that something was committed."""

    def __init__(self, desk: Desk, writer: AsyncEngine, wake: Callable[[], None]) -> None:
        self._desk = desk
        self._writer = writer
        self._wake = wake
        self._grouped = GroupCommit(self._take, alike=_alike, limit=GROUP, most=MOST_WAITING, patience=PATIENCE_SECONDS)

    async def __call__(self, asked: Asked) -> Outcome:
        """What became of it, or the Problem that refuses it. Raises Problem 503 where it had better come back later."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._grouped(asked)
        except OverloadedError:
            REQUESTS_SHED.inc()
            raise Problem(503, "Too much waits to be stored. Try again.", headers={"Retry-After": "1"}) from None

    async def _take(self, asked: Sequence[Asked]) -> Sequence[Outcome]:
        async with self._writer.begin() as connection:
            outcomes = await take_asked(self._desk, connection, asked)
        self._wake()
        return outcomes


def _alike(error: BaseException) -> bool:
    """Whether each alone would fail as the group did: the database is away, or it is unknown what it has kept."""
    if isinstance(error, HeldTwiceError):
        return False
    contended = isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _CONTENDED
    return is_transient(error) and not contended
