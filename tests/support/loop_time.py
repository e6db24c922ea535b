"""How long a coroutine keeps the event loop busy without a turn for other tasks."""

import asyncio
import gc
import time
from collections.abc import Awaitable
from typing import TypeVar

_Result = TypeVar("_Result")


async def longest_turn(work: Awaitable[_Result]) -> tuple[_Result, float, float]:
    """The result, the longest CPU time of the loop's thread between two turns of another task, and the CPU time of all
    threads together. In seconds of CPU time, so that other processes do not matter.
    """
    gc.disable()  # a collection may happen in any thread
    longest, last, begin = 0.0, time.thread_time(), time.process_time()

    async def watch() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    watcher = asyncio.create_task(watch())
    try:
        result = await work
        # The turn in which the work ended counts too.
        longest = max(longest, time.thread_time() - last)
    finally:
        watcher.cancel()
        gc.enable()
    return result, longest, time.process_time() - begin
