"""Whether the tickets of the board are up to date: if not, why, and since when."""

import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Final
from zoneinfo import ZoneInfo

from tocsin.runtime.http.health import Check
from tocsin.runtime.metrics import CONSUMER_LAG
from tocsin.runtime.process.clock import TimeSource

from board.domain.ticket_row import shown
from board.domain.time_words import PageTime
from board.store.stale import Staleness

CHECK_SECONDS: Final = 5
"""Real seconds between two checks."""
LATE: Final = timedelta(minutes=1)
"""Real time for which deadlines may wait for their owners before the board says so."""
BEHIND: Final = timedelta(seconds=20)
"""Real time for which records may not be read before the board says so: a replica takes over faster."""
MOST_LAG: Final = 50
"""Records that may wait to be read: each topic has a few at any time."""

_ADVICE: Final = "What you see may be out of date."


class Freshness:
    """Checks what the refresher measured (`staleness`), and the consumers: their readiness, by topic, and their lag."""

    def __init__(
        self,
        clock: TimeSource,
        zone: ZoneInfo,
        staleness: Callable[[], Staleness | None],
        consumers: Mapping[str, Check],
    ) -> None:
        self._clock = clock
        self._zone = zone
        self._staleness = staleness
        self._consumers = consumers
        self._failing: Mapping[str, float] = {}
        """When each fault of the consumers was first found, by the monotonic clock."""
        self._problem: str | None = None

    def why_stale(self) -> str | None:
        """Why and since when the tickets are out of date, as a sentence for people; None while all is well."""
        return self._problem

    async def check(self) -> None:
        """Check again; a job for the scheduler."""
        lag = _lag(self._consumers)
        faults = [topic for topic, ready in self._consumers.items() if await ready() is not None]
        if lag is None or lag > MOST_LAG:
            faults.append("lag")
        now = time.monotonic()
        self._failing = {fault: self._failing.get(fault, now) for fault in faults}
        age = timedelta(seconds=max((now - since for since in self._failing.values()), default=0.0))
        if faults and age >= BEHIND:
            events = f"{lag:,} events have waited to be read" if faults == ["lag"] and lag else "No new events are read"
            self._problem = f"{events} since {self._since(age)}. {_ADVICE}"
        else:
            self._problem = self._late_deadlines()

    def _late_deadlines(self) -> str | None:
        staleness = self._staleness()
        if staleness is None or not staleness.tickets or staleness.age < LATE:
            return None
        tickets = "1 ticket has" if staleness.tickets == 1 else f"{staleness.tickets:,} tickets have"
        since = self._since(staleness.age)
        return f"{tickets} waited since {since} for deadlines from sla-timer and the escalator. {_ADVICE}"

    def _since(self, age: timedelta) -> str:
        """`Mon 14:00`, in business time."""
        times = PageTime(self._zone, self._clock.now())
        return shown(self._clock.business(datetime.now(UTC) - age), times).text


def _lag(topics: Collection[str]) -> int | None:
    """How many records of the topics have not been read; None while Kafka or the database does not say."""
    samples = [sample for family in CONSUMER_LAG.collect() for sample in family.samples]
    lags = [sample.value for sample in samples if sample.labels["topic"] in topics]
    return None if any(map(isnan, lags)) else round(sum(lags))
