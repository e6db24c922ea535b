"""The consumer's watchdog: exports its lag, and ends the process when the consumer is stuck.

aiokafka can stay stuck after a broker restart, and only a new process helps.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from math import nan

from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.offsets import Offsets
from tocsin.runtime.errors import StuckError
from tocsin.runtime.kafka.topic_ends import TopicEnds
from tocsin.runtime.metrics import CONSUMER_LAG, Measurement

_EVERY_SECONDS = 2.0
STUCK_SECONDS = 60.0
_MOST_ENDS = 2000
"""How many end offsets are remembered, one for each measurement while records wait: an hour."""


class Watchdog:
    """Compares the topic's end offsets with the stored offsets every 2 s."""

    def __init__(
        self, engine: AsyncEngine, offsets: Offsets, topic: str, ends: TopicEnds, stuck_seconds: float = STUCK_SECONDS
    ) -> None:
        self._engine = engine
        self._offsets = offsets
        self._topic = topic
        self._ends = ends
        self._stuck_seconds = stuck_seconds
        self._stalled: dict[int, tuple[int, float]] = {}
        self._partitions: frozenset[int] = frozenset()
        self._measurement = Measurement(self._forget_lag)
        self._ends_since: deque[tuple[float, Mapping[int, int]]] = deque(maxlen=_MOST_ENDS)
        """The topic's end offsets at instants of the monotonic clock, from the oldest that has not been reached on."""
        self.lag_seconds: float | None = None
        """For how long the oldest unread record of any partition has waited, to 2 s; None while that is unknown."""

    async def run(self, assigned: Callable[[], frozenset[int]]) -> None:
        """Watch until cancelled. Raises StuckError if an assigned partition lags and has not moved for a minute."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                with self._measurement.attempt():
                    ends = await self._ends.fetch()
                    async with self._engine.connect() as connection:
                        stored = await self._offsets.load(connection, self._topic)
            except Exception as error:
                if not isinstance(error, KafkaError) and not is_transient(error):
                    raise
                self.lag_seconds = None
                self._stalled.clear()  # no progress is expected while Kafka or the database is down
                continue
            self._partitions = frozenset(ends)
            next_offsets = {p: stored[p].next_offset if p in stored else 0 for p in ends}
            for partition, end in ends.items():
                CONSUMER_LAG.labels(self._topic, str(partition)).set(max(0, end - next_offsets[partition]))
            self._measure_wait(ends, next_offsets)
            lagging = {p: next_offsets[p] for p in assigned() if ends[p] > next_offsets[p]}
            self._check_progress(lagging)

    def _measure_wait(self, ends: Mapping[int, int], next_offsets: Mapping[int, int]) -> None:
        now = time.monotonic()
        self._ends_since.append((now, ends))
        while self._ends_since and all(next_offsets[p] >= end for p, end in self._ends_since[0][1].items()):
            self._ends_since.popleft()
        self.lag_seconds = now - self._ends_since[0][0] if self._ends_since else 0.0

    def _forget_lag(self) -> None:
        for partition in self._partitions:
            CONSUMER_LAG.labels(self._topic, str(partition)).set(nan)

    def _check_progress(self, lagging: dict[int, int]) -> None:
        now = time.monotonic()
        for partition in set(self._stalled) - set(lagging):
            del self._stalled[partition]
        for partition, next_offset in lagging.items():
            before = self._stalled.get(partition)
            if before is None or before[0] != next_offset:
                self._stalled[partition] = (next_offset, now)
            elif now - before[1] > self._stuck_seconds:
                raise StuckError(
                    f"{self._topic}[{partition}] has not moved from {next_offset} for {now - before[1]:.0f} s"
                )
