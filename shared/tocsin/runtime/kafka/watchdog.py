"""Watches a consumer from outside: its lag as a metric, and the end of the process when it is stuck for good."""

import asyncio
import time
from collections.abc import Callable

from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from tocsin.runtime.database.engine import is_transient
from tocsin.runtime.database.offsets import Offsets
from tocsin.runtime.errors import StuckError
from tocsin.runtime.kafka.topic_ends import TopicEnds
from tocsin.runtime.metrics import CONSUMER_LAG

_EVERY_SECONDS = 2.0
STUCK_SECONDS = 60.0


class Watchdog:
    """Compares a topic's ends with the database every 2 s, in a task of its own."""

    def __init__(
        self, engine: AsyncEngine, offsets: Offsets, topic: str, ends: TopicEnds, stuck_seconds: float = STUCK_SECONDS
    ) -> None:
        self._engine = engine
        self._offsets = offsets
        self._topic = topic
        self._ends = ends
        self._stuck_seconds = stuck_seconds
        self._standing: dict[int, tuple[int, float]] = {}

    async def run(self, assigned: Callable[[], frozenset[int]]) -> None:
        """Watch for ever. Raises `StuckError` when an assigned partition lags and has not moved for a minute."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                ends = await self._ends.fetch()
                async with self._engine.connect() as connection:
                    stored = await self._offsets.load(connection, self._topic)
            except Exception as error:
                if not isinstance(error, KafkaError) and not is_transient(error):
                    raise
                self._standing.clear()  # while something does not answer, standing still is no wonder
                continue
            next_offsets = {p: stored[p].next_offset if p in stored else 0 for p in ends}
            for partition, end in ends.items():
                CONSUMER_LAG.labels(self._topic, str(partition)).set(max(0, end - next_offsets[partition]))
            lagging = {p: next_offsets[p] for p in assigned() if ends[p] > next_offsets[p]}
            self._judge(lagging)

    def _judge(self, lagging: dict[int, int]) -> None:
        now = time.monotonic()
        for partition in set(self._standing) - set(lagging):
            del self._standing[partition]
        for partition, next_offset in lagging.items():
            before = self._standing.get(partition)
            if before is None or before[0] != next_offset:
                self._standing[partition] = (next_offset, now)
            elif now - before[1] > self._stuck_seconds:
                raise StuckError(f"{self._topic}[{partition}] stands at {next_offset} for {now - before[1]:.0f} s")
