"""Spaces out a periodic job whose cost grows with the data."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

SHARE: Final = 50
LONGEST_SECONDS: Final = 60.0
"""A gauge that is older than a minute would mislead."""


def paced(
    job: Callable[[], Awaitable[object]], *, now: Callable[[], float] = time.monotonic
) -> Callable[[], Awaitable[None]]:
    """The job, skipped until 50 times the duration of its last run (at most a minute) have passed since that began.

    A run that failed does not delay the next one. `now` is a monotonic clock in seconds.
    """
    next_at = float("-inf")

    async def run_if_due() -> None:
        nonlocal next_at
        begun = now()
        if begun >= next_at:
            await job()
            next_at = begun + min(SHARE * (now() - begun), LONGEST_SECONDS)

    return run_if_due
