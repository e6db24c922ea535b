"""A periodic job that detects whether intake is silent."""

import time

import structlog
from aiokafka.errors import KafkaError
from tocsin.runtime.database.engine import clock_timestamp, is_transient
from tocsin.runtime.kafka.client import TICKETS_TOPIC
from tocsin.runtime.kafka.consumer import Consumer

from sla_timer import metrics
from sla_timer.domain.source_liveness import ReadPosition, SourceLiveness
from sla_timer.handlers.context import TimerContext
from sla_timer.handlers.sweep import sweep
from sla_timer.store.tables import OFFSETS

log = structlog.get_logger(__name__)


class SourceProbe:
    """Detects whether intake is silent; if so, sweeps its partitions without a watermark (docs/rules.md#4-22).

    `silent_partitions` are the partitions that are currently swept without a watermark.
    """

    def __init__(self, context: TimerContext, consumer: Consumer, *, silence_seconds: float) -> None:
        self._context = context
        self._consumer = consumer
        self._silence_seconds = silence_seconds
        self._liveness = SourceLiveness()
        self.silent_partitions: frozenset[int] = frozenset()

    async def run(self) -> None:
        """Compare the topic's end offsets with the stored positions, and sweep the silent partitions."""
        try:
            ends = await self._consumer.probe()
            async with self._context.reader.connect() as connection:
                positions = await OFFSETS.load(connection, TICKETS_TOPIC)
                now = self._context.clock.business(await clock_timestamp(connection))
        except Exception as error:
            if not isinstance(error, KafkaError) and not is_transient(error):
                raise
            log.warning("probe_failed", error=repr(error))
            self._liveness = SourceLiveness()
            self._set_silent(frozenset())
            return
        at = time.monotonic()
        read = {number: ReadPosition(row.next_offset, row.accepted_through) for number, row in positions.items()}
        self._liveness = self._liveness.probed(at, ends=ends, positions=read)
        self._set_silent(self._liveness.silent_partitions(at, seconds=self._silence_seconds))
        for partition in sorted(self.silent_partitions):
            watermark = positions[partition].accepted_through
            if watermark is not None:
                await sweep(self._context, {partition: now}, confirmed_through=watermark)

    def _set_silent(self, partitions: frozenset[int]) -> None:
        if partitions != self.silent_partitions:
            log.warning("source_silent" if partitions else "source_back", partitions=sorted(partitions))
            for partition in partitions | self.silent_partitions:
                metrics.UNCONFIRMED.labels(str(partition)).set(partition in partitions)
        self.silent_partitions = partitions
