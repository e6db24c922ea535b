"""Ends tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_REPEAT_SECONDS: Final = 1.0


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until all have ended. Their exceptions are dropped.

    The cancellation is repeated: a library may answer one with an exception of its own, which a loop that retries takes
    for a failure of the database or the network.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=_REPEAT_SECONDS)
        await asyncio.gather(*done, return_exceptions=True)
