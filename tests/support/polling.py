"""Waiting for a condition instead of sleeping for a time: the only polling loop of the tests."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

POLL_SECONDS = 0.05

Found = TypeVar("Found")
Description = str | Callable[[], object]


@overload
async def eventually(
    condition: Callable[[], Awaitable[Found | None]],
    description: Description = ...,
    seconds: float = ...,
    *,
    every: float = ...,
) -> Found: ...
@overload
async def eventually(
    condition: Callable[[], Found | None], description: Description = ..., seconds: float = ..., *, every: float = ...
) -> Found: ...
async def eventually(
    condition: Callable[[], Any],
    description: Description = "the condition is true",
    seconds: float = 60.0,
    *,
    every: float = POLL_SECONDS,
) -> Any:
    """Evaluates `condition` (a function or a coroutine function) every `every` seconds until its result is true, and
    returns the result. Raises AssertionError with the description after `seconds`.

    A function as `description` is called then, so that it can say what the state is.
    """
    deadline = time.monotonic() + seconds
    while not (found := await _result(condition())):
        if time.monotonic() > deadline:
            text = description if isinstance(description, str) else await _result(description())
            raise AssertionError(f"not within {seconds:.0f} s: {text}")
        await asyncio.sleep(every)
    return found


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
