"""Waiting for what will be, never for a time: the one poller of all tests."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

POLL_SECONDS = 0.05

Found = TypeVar("Found")
Words = str | Callable[[], object]


@overload
async def eventually(
    look: Callable[[], Awaitable[Found | None]], what: Words = ..., seconds: float = ..., *, every: float = ...
) -> Found: ...
@overload
async def eventually(
    look: Callable[[], Found | None], what: Words = ..., seconds: float = ..., *, every: float = ...
) -> Found: ...
async def eventually(
    look: Callable[[], Any], what: Words = "it is so", seconds: float = 60.0, *, every: float = POLL_SECONDS
) -> Any:
    """Looks, in passing or awaited, until what it finds is true, and returns that.

    Fails at the deadline with `what` was waited for, or what it tells (awaited too, if need be) of how things stand.
    """
    deadline = time.monotonic() + seconds
    while not (found := await _come(look())):
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else await _come(what())
            raise AssertionError(f"not within {seconds:.0f} s: {told}")
        await asyncio.sleep(every)
    return found


async def _come(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
