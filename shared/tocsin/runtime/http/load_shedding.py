"""Load shedding: a call that would wait for too long gets 503 at once, before anything is done for it."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Final

_MEMORY_SECONDS: Final = 1.0
"""How far back the measured rate looks."""


class Admission:
    """Admits calls of one kind, unless the expected wait exceeds `seconds`.

    The expected wait is the number of calls in progress, divided by the rate at which they were completed lately
    (Little's law). `always`: so many calls in progress are admitted in any case; with fewer the rate says nothing,
    because it would be that of the callers. Until a rate is measured, `most` calls are admitted, and never more.
    """

    def __init__(self, *, seconds: float, always: int, most: int) -> None:
        self._seconds = seconds
        self._always = always
        self._most = most
        self._in_progress = 0
        self._per_call = seconds / most
        self._completed = 0
        self._measured_at = -math.inf

    @property
    def expected_wait(self) -> float:
        """Real seconds until a call that begins now would be completed."""
        return (self._in_progress + 1) * self._per_call

    @property
    def is_open(self) -> bool:
        """Whether a call that begins now would be admitted."""
        if self._in_progress < self._always:
            return True
        return self._in_progress < self._most and self.expected_wait <= self._seconds

    def enter(self) -> bool:
        """Whether a call is admitted; if so, call `leave` when it is completed."""
        if not self.is_open:
            return False
        self._in_progress += 1
        return True

    def leave(self) -> None:
        """An admitted call is completed."""
        if self._in_progress < self._always:
            self._measured_at = -math.inf  # not busy: what is completed now shows nothing
        else:
            self._measure()
        self._in_progress -= 1

    def _measure(self) -> None:
        now = time.monotonic()
        self._completed += 1
        elapsed = now - self._measured_at
        if elapsed > 10 * _MEMORY_SECONDS:  # the first since it is busy
            self._measured_at, self._completed = now, 0
        elif elapsed >= _MEMORY_SECONDS / 10:
            weight = min(1.0, elapsed / _MEMORY_SECONDS)
            self._per_call += weight * (elapsed / self._completed - self._per_call)
            self._measured_at, self._completed = now, 0


class Place:
    """The place of one call in an admission: entered at most once, and left once if it was entered."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self._is_inside = False
        self._is_over = False

    def enter(self) -> bool:
        """Whether the call may go on: it is admitted now or was before, or it has left already."""
        if not self._is_inside and not self._is_over:
            self._is_inside = self.admission.enter()
        return self._is_inside or self._is_over

    def leave(self) -> None:
        """The call is completed, whether it was admitted or not."""
        if self._is_inside:
            self.admission.leave()
        self._is_inside = False
        self._is_over = True


class CountedLog:
    """Logs the first event of a kind at once, and the further ones of each second as one line with their `count`."""

    def __init__(self, write: Callable[..., Any]) -> None:
        self._write = write
        self._later: dict[str, tuple[int, dict[str, object]]] = {}

    def add(self, event: str, /, **fields: object) -> None:
        """Log the event, or count it; the line of a second has the fields of its last event."""
        if event in self._later:
            self._later[event] = (self._later[event][0] + 1, fields)
        else:
            self._write(event, count=1, **fields)
            self._wait(event)

    def _wait(self, event: str) -> None:
        self._later[event] = (0, {})
        asyncio.get_running_loop().call_later(1, self._flush, event)

    def _flush(self, event: str) -> None:
        count, fields = self._later.pop(event)
        if count:
            self._write(event, count=count, **fields)
            self._wait(event)
