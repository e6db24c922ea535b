"""Group commit: what several tasks want from the database at the same time becomes one transaction."""

import asyncio
import math
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from tocsin.runtime.errors import OverloadedError

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


_BURST = 4  # a group within so many lingers of the one before is part of a burst


class GroupCommit(Generic[Asked, Answer]):
    """`await grouped(item)` is the item's own result of `act(items)`, in which the items of many tasks come together.

    What arrives while `act` runs is the next group. An item that comes alone waits for nobody; in a burst a group is
    waited for up to `linger` seconds. `act` answers in the order asked and does all or nothing. Where it fails for a
    group, each item is tried alone, so that one that cannot be done does not fail its neighbours; `alike(error)` says
    for which errors that would be useless: every item gets those.

    Raises OverloadedError for another item while `most` items wait or the current group has run for `patience` seconds.
    """

    def __init__(
        self,
        act: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]],
        *,
        alike: Callable[[BaseException], bool],
        linger: float = 0,
        limit: int = 100,
        most: int = sys.maxsize,
        patience: float = math.inf,
    ) -> None:
        self._act = act
        self._alike = alike
        self._linger = linger
        self._limit = limit
        self._most = most
        self._patience = patience
        self._begun = math.inf
        self._last = 0.0
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: Asked) -> Answer:
        """The result for `item`, or what `act` raised for it. A caller that is cancelled leaves the act to its end.

        Raises OverloadedError, and then nothing was done.
        """
        if len(self._waiting) >= self._most or time.monotonic() - self._begun > self._patience:
            raise OverloadedError
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                if time.monotonic() - self._last < _BURST * self._linger:
                    await asyncio.sleep(self._linger)
                group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                self._begun = time.monotonic()
                await self._answer(group)
                self._begun = math.inf
                self._last = time.monotonic()
        finally:
            self._running = None
            self._begun = math.inf
            for _, answer in self._waiting:  # only where the loop is ending and cancelled this task
                answer.cancel()

    async def _answer(self, group: Sequence[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._act([item for item, _ in group])
        except asyncio.CancelledError:
            for _, answer in group:
                answer.cancel()
            raise
        except Exception as error:  # whatever it is, it belongs to who asked
            if len(group) > 1 and not self._alike(error):
                for one in group:
                    await self._answer([one])
                return
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for (_, answer), found in zip(group, answers, strict=True):
                if not answer.done():
                    answer.set_result(found)
