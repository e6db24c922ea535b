"""The timer's periodic work: gauges, the probe for a silent intake, and what is judged without proof."""

import time

import structlog
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.database.engine import clock_timestamp, is_transient
from tocsin.runtime.kafka.client import TICKETS
from tocsin.runtime.kafka.consumer import Consumer
from tocsin.runtime.process.clock import TimeSource

from sla_timer import metrics
from sla_timer.domain.source_liveness import Silence
from sla_timer.handlers.handlers import Handlers
from sla_timer.store import reports
from sla_timer.store.tables import OFFSETS

log = structlog.get_logger(__name__)


class Watch:
    """Looks at the database and at the bus; `reader` is used for looking only."""

    def __init__(
        self, reader: AsyncEngine, consumer: Consumer, handlers: Handlers, clock: TimeSource, silence: Silence
    ) -> None:
        self._reader = reader
        self._consumer = consumer
        self._handlers = handlers
        self._clock = clock
        self._silence = silence
        self._silent: set[int] = set()

    def unconfirmed(self, partition: int) -> bool:
        """Whether that partition is judged without proof now."""
        return partition in self._silent

    async def probe(self) -> None:
        """Asks the bus whether anything lies unread; what has long been silent is judged by our clock."""
        try:
            ends = await self._consumer.probe()
            async with self._reader.connect() as connection:
                positions = await OFFSETS.load(connection, TICKETS)
                now = self._clock.business(await clock_timestamp(connection))
        except Exception as error:
            if not isinstance(error, KafkaError) and not is_transient(error):
                raise
            log.warning("probe_failed", error=repr(error))
            self._silence.broken()
            self._tell_silent(set())
            return
        at = time.monotonic()
        self._silence.observe(at, ends, positions)
        self._tell_silent(self._silence.silent(at))
        for partition in sorted(self._silent):
            confirmed = positions[partition].accepted_through
            if confirmed is not None:
                await self._handlers.sweep(partition, now, confirmed)

    async def gauges(self) -> None:
        """Sets what is measured by looking."""
        async with self._reader.connect() as connection:
            clocks = await reports.open_clocks(connection)
            oldest = await reports.oldest_on_agenda(connection)
            positions = await OFFSETS.load(connection, TICKETS)
        for clock in metrics.CLOCKS:
            for severity in metrics.SEVERITIES:
                for state in metrics.STATES:
                    metrics.OPEN_CLOCKS.labels(clock, severity, state).set(0)
        for row in clocks:
            metrics.OPEN_CLOCKS.labels(row.clock, str(row.severity), row.state).set(row.clocks)
        now = self._clock.now()
        overdue = 0.0 if oldest is None else self._clock.lateness(oldest, now).total_seconds()
        metrics.OLDEST_OVERDUE.set(max(0.0, overdue))
        for partition, position in positions.items():
            if position.accepted_through is not None:
                age = self._clock.lateness(position.accepted_through, now).total_seconds()
                metrics.PROGRESS_AGE.labels(str(partition)).set(max(0.0, age))

    def _tell_silent(self, silent: set[int]) -> None:
        if silent != self._silent:
            log.warning("judging_without_proof" if silent else "proof_is_back", partitions=sorted(silent))
            for partition in silent | self._silent:
                metrics.UNCONFIRMED.labels(str(partition)).set(partition in silent)
        self._silent = silent
