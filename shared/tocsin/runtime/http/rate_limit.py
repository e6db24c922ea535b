"""Rate limits of this process, in memory: requests per API key, and failed authentication per client address."""

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

FREE_ATTEMPTS: Final = 10
"""Failed attempts per minute and address that get an immediate response."""
DELAY_SECONDS: Final = 1.0
"""The delay of every further failed attempt."""
MOST_DELAYED: Final = 50
"""Attempts that may be delayed at the same time."""
MOST_ADDRESSES: Final = 10_000
"""The largest number of addresses in memory. Beyond it, all are deleted, since the storage never expires them."""

_FREE: Final = RateLimitItemPerMinute(FREE_ATTEMPTS)


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """A key's `limit` per minute, the requests `remaining`, and the seconds until one more is free (`reset`)."""

    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """RateLimit-Limit, -Remaining, -Reset and -Policy, as in IETF draft 6, which most clients know."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
            "RateLimit-Policy": f"{self.limit};w=60",
        }


class KeyRateLimiter:
    """Counts the requests of each API key in a moving window of a minute."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count_request(self, key_id: str, per_minute: int) -> RateLimitStatus:
        """Count a request. Raises Problem 429, which does not count it, when the limit is reached."""
        item = RateLimitItemPerMinute(per_minute)
        allowed = self._limiter.hit(item, key_id)
        window = self._limiter.get_window_stats(item, key_id)
        reset = max(1, math.ceil(window.reset_time - time.time()))
        status = RateLimitStatus(per_minute, max(0, window.remaining), reset)
        if not allowed:
            REQUESTS_LIMITED.inc()
            detail = f"This key is limited to {per_minute} requests per minute. Retry in {reset} s."
            raise Problem(429, detail, headers={"Retry-After": str(reset), **status.headers()})
        return status


class FailedAuthLimiter:
    """Slows down clients that guess API keys. A valid key is never delayed, whatever its address did before."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._limiter = MovingWindowRateLimiter(self._storage)
        self._delayed = 0

    async def count_failure(self, address: str, reason: str) -> None:
        """Count a failed attempt (also as a metric, by `reason`). Beyond the free ones of a minute, wait.

        Raises Problem 429 when too many attempts are delayed already.
        """
        KEYS_REFUSED.labels(reason).inc()
        if len(self._storage.events) >= MOST_ADDRESSES:
            self._storage.reset()
        if self._limiter.hit(_FREE, address):
            return
        if self._delayed >= MOST_DELAYED:
            raise Problem(429, "Too many failed authentication attempts.", headers={"Retry-After": "60"})
        self._delayed += 1
        try:
            await asyncio.sleep(DELAY_SECONDS)
        finally:
            self._delayed -= 1
