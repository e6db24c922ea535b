"""Waits for events, and ends tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_REPEAT_SECONDS: Final = 1.0


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait until all have ended. Their exceptions are dropped.

    Cancellation is repeated every second, because a library may turn it into another exception, which a retry loop then
    handles as a failure of the database or the network.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=_REPEAT_SECONDS)
        await asyncio.gather(*done, return_exceptions=True)


async def wait_any(seconds: float, *events: asyncio.Event) -> None:
    """Return when one of the events is set, or after this many seconds."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
