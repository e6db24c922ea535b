"""Leaves a failing mail server alone for a while, and lets probes find out whether it has recovered."""

import random
import time
from datetime import timedelta
from enum import StrEnum
from typing import Final

from tocsin.backoff import Backoff

_BACKOFF: Final = Backoff(first=timedelta(seconds=0.5), longest=timedelta(seconds=30))
# Each trial of a server that hangs may double a mail, yet mail must flow soon after it has recovered. So the pauses
# grow slowly: to 3 s after half a minute, to half a minute after four.
_HANG_BACKOFF: Final = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=30), factor=1.15)
_TRIAL_PAUSE: Final = 30.0
_HUNG_FOR: Final = 600.0
"""After so many seconds without a trial, a hang counts as any other failure."""


class CircuitState(StrEnum):
    CLOSED = "closed"
    """The server accepts mails."""
    OPEN = "open"
    """It failed a short time ago and is left alone."""
    HALF_OPEN = "half-open"
    """Unknown, at first and after each pause: only probes may use the server."""
    TRIAL = "trial"
    """Half-open after a hang: only one mail at a time may use the server, because only a reply shows recovery."""


class CircuitBreaker:
    """One server's circuit. Pauses grow from half a second to half a minute, half of each at random."""

    def __init__(self) -> None:
        self._closed = False
        self.failures = 0
        """Consecutive failures. Those during a pause count as one: their attempts had started before it."""
        self._retry_at = 0.0
        self._hung_at = -_HUNG_FOR

    @property
    def state(self) -> CircuitState:
        if self._closed:
            return CircuitState.CLOSED
        if time.monotonic() < self._retry_at:
            return CircuitState.OPEN
        return CircuitState.TRIAL if self.is_hung else CircuitState.HALF_OPEN

    @property
    def is_hung(self) -> bool:
        """Whether the last known problem is a hang."""
        return time.monotonic() - self._hung_at < _HUNG_FOR

    def succeed(self) -> None:
        """Close the circuit."""
        self._closed = True
        self.failures = 0
        self._hung_at = -_HUNG_FOR

    def fail(self) -> float | None:
        """Record a failure; returns the pause in seconds if it started one, else None."""
        return self._pause(_BACKOFF)

    def hang(self, began_at: float) -> float | None:
        """Record that the server does not reply to what began then; returns the pause in seconds if it started one.

        What began before the last hang says nothing new.
        """
        if began_at < self._hung_at:
            return None
        pause = self._pause(_HANG_BACKOFF)
        self._hung_at = time.monotonic()
        return pause

    def begin_trial(self) -> None:
        """Use the server for one mail, although another server accepts mails; the next trial is not soon."""
        self._retry_at = time.monotonic() + _TRIAL_PAUSE

    def _pause(self, backoff: Backoff) -> float | None:
        self._closed = False
        if self.state is CircuitState.OPEN:
            return None
        self.failures += 1
        pause = backoff.pause(self.failures, random.random()).total_seconds()
        self._retry_at = time.monotonic() + pause
        return pause
