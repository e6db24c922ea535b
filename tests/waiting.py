"""Waiting for what will be, never for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.05


async def eventually(
    condition: Callable[[], Awaitable[bool]], what: str | Callable[[], str], seconds: float = 120.0
) -> None:
    """Polls an async condition until it holds; fails the story at the deadline, which says what was waited for."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}"
        await asyncio.sleep(POLL_SECONDS)
