"""Group commit: requests that many tasks make at the same time share one transaction."""

import asyncio
import math
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from tocsin.runtime.errors import OverloadedError

Item = TypeVar("Item")
Result = TypeVar("Result")

_BURST = 4
"""A group within this many lingers of the previous one belongs to a burst."""


class GroupCommit(Generic[Item, Result]):
    """`await group_commit(item)` is the item's own result of `act(items)`, where the items come from many tasks.

    Items that arrive while `act` runs form the next group, of at most `limit` items. A single item is not delayed; in a
    burst, a group is collected for `linger` seconds.

    `act` returns one result per item, in their order, and does all or nothing. If it fails for a group, every item is
    retried alone, so that a bad item does not fail its neighbours. Only an error for which `is_common(error)` is true
    goes to every item at once. A new item raises OverloadedError while `most_waiting` items wait or the current group
    has run for `patience` seconds.
    """

    def __init__(
        self,
        act: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        is_common: Callable[[BaseException], bool],
        linger: float = 0,
        limit: int = 100,
        most_waiting: int = sys.maxsize,
        patience: float = math.inf,
    ) -> None:
        self._act = act
        self._is_common = is_common
        self._linger = linger
        self._limit = limit
        self._most_waiting = most_waiting
        self._patience = patience
        self._started_at = math.inf
        self._finished_at = 0.0
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """The result for `item`, or the error that `act` raised for it. A cancelled caller does not stop the group.

        Raises OverloadedError before anything is done.
        """
        if len(self._waiting) >= self._most_waiting or time.monotonic() - self._started_at > self._patience:
            raise OverloadedError
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await result

    async def _run(self) -> None:
        try:
            while self._waiting:
                if time.monotonic() - self._finished_at < _BURST * self._linger:
                    await asyncio.sleep(self._linger)
                group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                self._started_at = time.monotonic()
                await self._resolve(group)
                self._started_at = math.inf
                self._finished_at = time.monotonic()
        finally:
            self._running = None
            self._started_at = math.inf
            for _, result in self._waiting:  # only if the event loop is ending and cancelled this task
                result.cancel()

    async def _resolve(self, group: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            found = await self._act([item for item, _ in group])
        except asyncio.CancelledError:
            for _, result in group:
                result.cancel()
            raise
        except Exception as error:  # any error belongs to the caller
            if len(group) > 1 and not self._is_common(error):
                for one in group:
                    await self._resolve([one])
                return
            for _, result in group:
                if not result.done():
                    result.set_exception(error)
        else:
            for (_, result), value in zip(group, found, strict=True):
                if not result.done():
                    result.set_result(value)
