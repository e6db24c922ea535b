"""Whether the tickets of the board are up to date: if not, why, and since when."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.process.clock import TimeSource

from board.domain.ticket_row import shown
from board.domain.time_words import PageTime
from board.workers.refresher import Refresher

CHECK_SECONDS: Final = 5
"""Real seconds between two checks."""
_LATE: Final = timedelta(minutes=1)
"""Real time for which deadlines may wait for their owners before the board says so."""
_BEHIND: Final = timedelta(seconds=20)
"""Real time for which a topic may not be read before the board says so: a replica takes over faster."""


class Freshness:
    """Checks the refresher and the consumers."""

    def __init__(self, clock: TimeSource, zone: ZoneInfo, refresher: Refresher, consumers: Sequence[Consumer]) -> None:
        self._clock = clock
        self._zone = zone
        self._refresher = refresher
        self._consumers = consumers
        self._failing: Mapping[str, float] = {}
        """When each topic was first found not to be read, by the monotonic clock."""
        self._problem: str | None = None

    def why_stale(self) -> str | None:
        """Why and since when the tickets are out of date, as a sentence for people; None while all is well."""
        return self._problem

    async def check(self) -> None:
        """Check again; a job for the scheduler."""
        now = time.monotonic()
        failing = [each.topic for each in self._consumers if await each.ready() is not None]
        self._failing = {topic: self._failing.get(topic, now) for topic in failing}
        behind = timedelta(seconds=max((now - since for since in self._failing.values()), default=0.0))
        staleness = self._refresher.staleness
        if behind >= _BEHIND:
            self._problem = f"No new events are read since {self._since(behind)}. What you see may be out of date."
        elif staleness is not None and staleness.tickets and staleness.age >= _LATE:
            tickets = "1 ticket has" if staleness.tickets == 1 else f"{staleness.tickets} tickets have"
            self._problem = (
                f"{tickets} waited since {self._since(staleness.age)} for deadlines from sla-timer and the escalator. "
                "What you see may be out of date."
            )
        else:
            self._problem = None

    def _since(self, age: timedelta) -> str:
        """`Mon 14:00`, in business time."""
        times = PageTime(self._zone, self._clock.now())
        return shown(self._clock.business(datetime.now(UTC) - age), times).text
