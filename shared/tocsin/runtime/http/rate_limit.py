"""How often is too often: requests with one key, and tries with none that is valid. In memory, for this process."""

import asyncio
import math
import time
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from tocsin.runtime.http.problems import Problem
from tocsin.runtime.metrics import KEYS_REFUSED, REQUESTS_LIMITED

FREE_TRIES: Final = 10
TRY_SECONDS: Final = 1.0
MOST_WAITING: Final = 50
"""Failed tries a minute that an address has before each further one waits so long, and how many may wait at a time."""

MOST_ADDRESSES: Final = 10_000
"""How many addresses are remembered; then all are forgotten, since the storage forgets none by itself."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a key's requests, out of `limit` a minute; `reset` is in how many seconds one more is free."""

    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """RateLimit-Limit, -Remaining, -Reset, and the policy, as most callers know them (IETF draft 6)."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
            "RateLimit-Policy": f"{self.limit};w=60",
        }


class Requests:
    """Counts the requests of each key within the last minute."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def one_more(self, key_id: str, per_minute: int) -> Allowance:
        """Count a request. Raises Problem 429, and then it does not count."""
        item = RateLimitItemPerMinute(per_minute)
        taken = self._limiter.hit(item, key_id)
        window = self._limiter.get_window_stats(item, key_id)
        left = Allowance(per_minute, max(0, window.remaining), max(1, math.ceil(window.reset_time - time.time())))
        if not taken:
            REQUESTS_LIMITED.inc()
            detail = f"This key may be used {per_minute} times a minute. Try again in {left.reset} s."
            raise Problem(429, detail, headers={"Retry-After": str(left.reset), **left.headers()})
        return left


class FailedTries:
    """Slows down who tries keys that are not valid. A valid key never comes here, whatever its address has tried."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._limiter = MovingWindowRateLimiter(self._storage)
        self._waiting = 0

    async def one_more(self, address: str, reason: str) -> None:
        """Count a failed try (metric: `reason`), and wait where that address had too many within the last minute.

        Raises Problem 429 where too many wait already.
        """
        KEYS_REFUSED.labels(reason).inc()
        if len(self._storage.events) >= MOST_ADDRESSES:
            self._storage.reset()
        if self._limiter.hit(_TRIES, address):
            return
        if self._waiting >= MOST_WAITING:
            raise Problem(429, "Too many tries with keys that are not valid.", headers={"Retry-After": "60"})
        self._waiting += 1
        try:
            await asyncio.sleep(TRY_SECONDS)
        finally:
            self._waiting -= 1


_TRIES: Final = RateLimitItemPerMinute(FREE_TRIES)
