"""Leaves a failing mail server alone for a while, and lets probes find out whether it has recovered."""

import random
import time
from datetime import timedelta
from enum import StrEnum
from typing import Final

from tocsin.backoff import Backoff

_BACKOFF: Final = Backoff(first=timedelta(seconds=0.5), longest=timedelta(seconds=30))


class CircuitState(StrEnum):
    CLOSED = "closed"
    """The server accepts mails."""
    OPEN = "open"
    """It failed a short time ago and is left alone."""
    HALF_OPEN = "half-open"
    """Unknown, at first and after each pause: only probes may use the server."""


class CircuitBreaker:
    """One server's circuit. Pauses grow from half a second to half a minute, half of each at random."""

    def __init__(self) -> None:
        self._closed = False
        self.failures = 0
        """Consecutive failures. Those during a pause count as one: their attempts had started before it."""
        self._retry_at = 0.0

    @property
    def state(self) -> CircuitState:
        if self._closed:
            return CircuitState.CLOSED
        return CircuitState.HALF_OPEN if time.monotonic() >= self._retry_at else CircuitState.OPEN

    def succeed(self) -> None:
        """Close the circuit."""
        self._closed = True
        self.failures = 0

    def fail(self) -> float | None:
        """Record a failure; returns the pause in seconds if it started one, else None."""
        self._closed = False
        if self.state is CircuitState.OPEN:
            return None
        self.failures += 1
        pause = _BACKOFF.pause(self.failures, random.random()).total_seconds()
        self._retry_at = time.monotonic() + pause
        return pause
