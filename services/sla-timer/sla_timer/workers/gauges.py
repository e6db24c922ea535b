"""The gauges that periodic jobs read from the database. Every replica shows the same numbers.

A number that cannot be read for a minute becomes NaN, because an old number would mislead. An age keeps growing
instead.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import product
from math import nan
from typing import Final

from tocsin.runtime.database.offsets import Position
from tocsin.runtime.kafka.client import PARTITIONS, TICKETS_TOPIC
from tocsin.runtime.metrics import Measurement

from sla_timer import metrics
from sla_timer.domain.clock_counts import AT_RISK_SECONDS, MetCount, OpenClockCount, OpenClockState
from sla_timer.domain.compliance import ChannelAverage, ReportFilter, begin_of_month, most_exceeded
from sla_timer.handlers.context import TimerContext
from sla_timer.handlers.queries import load_channel_averages
from sla_timer.store.agenda import oldest_due_at
from sla_timer.store.clocks import count_met, count_open_clocks
from sla_timer.store.tables import OFFSETS
from sla_timer.workers.source_probe import SourceProbe

_ALL_TENANTS: Final = ReportFilter()


class ClockGauges:
    """Measures open clocks, ages and compliance.

    A partition that `source_probe` finds silent is evaluated up to the current instant.
    """

    def __init__(self, context: TimerContext, source_probe: SourceProbe) -> None:
        self._context = context
        self._source_probe = source_probe
        self._built_at = context.clock.now()
        self._clocks = Measurement(metrics.forget_clocks)
        self._compliance = Measurement(metrics.forget_compliance)
        self._measured_at: datetime | None = None
        self._oldest_due_at: datetime | None = None
        self._watermarks: dict[int, datetime] = {}
        metrics.OLDEST_OVERDUE.set_function(self._oldest_overdue)
        for partition in range(PARTITIONS):
            metrics.PROGRESS_AGE.labels(str(partition)).set_function(partial(self._watermark_age, partition))

    async def measure_ages(self) -> None:
        """Measure the oldest instant on the agenda, and the watermarks."""
        measured_at, self._measured_at = self._context.clock.now(), None
        async with self._context.reader.connect() as connection:
            positions = await OFFSETS.load(connection, TICKETS_TOPIC)
            oldest = await oldest_due_at(connection)
        self._measured_at, self._watermarks, self._oldest_due_at = measured_at, _watermarks(positions), oldest

    async def measure_clocks(self) -> None:
        """Count the open clocks. It reads every one of them."""
        measured_at = self._context.clock.now()
        with self._clocks.attempt():
            async with self._context.reader.connect() as connection:
                positions = await OFFSETS.load(connection, TICKETS_TOPIC)
                silent = dict.fromkeys(self._source_probe.silent_partitions, measured_at)
                counts = await count_open_clocks(
                    connection, now=measured_at, evaluated_through=_watermarks(positions) | silent
                )
        _set_open_clocks(counts)

    async def measure_compliance(self) -> None:
        """Measure the ratios of met clocks, and the averages of channels."""
        context, now = self._context, self._context.clock.now()
        begin = begin_of_month(now, context.policies.zone_at(now))
        with self._compliance.attempt():
            async with context.reader.connect() as connection:
                met = {
                    window: await count_met(connection, begin=now - length, end=now)
                    for window, length in metrics.WINDOWS.items()
                }
                averages = await load_channel_averages(context, connection, _ALL_TENANTS, begin=begin, end=now, now=now)
        for window, counts in met.items():
            _set_met_ratios(window, counts)
        _set_channels(averages)

    def _oldest_overdue(self) -> float:
        return 0.0 if self._oldest_due_at is None else self._age(self._oldest_due_at)

    def _watermark_age(self, partition: int) -> float:
        return self._age(self._watermarks.get(partition, self._built_at))

    def _age(self, at: datetime) -> float:
        clock = self._context.clock
        return max(0.0, clock.lateness(at, self._measured_at or clock.now()).total_seconds())


def _watermarks(positions: Mapping[int, Position]) -> dict[int, datetime]:
    return {partition: at for partition, position in positions.items() if (at := position.accepted_through)}


def _set_open_clocks(counts: Iterable[OpenClockCount]) -> None:
    clocks: Counter[tuple[str, str, OpenClockState]] = Counter()
    at_risk: Counter[tuple[str, str, int]] = Counter()
    for count in counts:
        clocks[count.clock, str(count.severity), count.state] += count.clocks
        for seconds, number in zip(AT_RISK_SECONDS, count.at_risk, strict=True):
            at_risk[count.clock, str(count.severity), seconds] += number
    for clock, severity in product(metrics.CLOCKS, metrics.SEVERITIES):
        for state in OpenClockState:
            metrics.OPEN_CLOCKS.labels(clock, severity, state).set(clocks[clock, severity, state])
        for seconds in AT_RISK_SECONDS:
            metrics.AT_RISK_CLOCKS.labels(clock, severity, str(seconds)).set(at_risk[clock, severity, seconds])


def _set_met_ratios(window: str, counts: Iterable[MetCount]) -> None:
    ratios = {(count.clock, str(count.severity)): count.ratio for count in counts}
    for clock, severity in product(metrics.CLOCKS, metrics.SEVERITIES):
        metrics.MET_RATIO.labels(clock, severity, window).set(ratios.get((clock, severity), nan))


def _set_channels(averages: Iterable[ChannelAverage]) -> None:
    by_channel: dict[str, list[ChannelAverage]] = {channel: [] for channel in metrics.CHANNELS}
    for average in averages:
        by_channel[average.channel].append(average)
    for channel, found in by_channel.items():
        shown = most_exceeded(found)
        mean = nan if shown is None or shown.mean_seconds is None else shown.mean_seconds
        metrics.CHANNEL_AVERAGE.labels(channel).set(mean)
        metrics.CHANNEL_TARGET.labels(channel).set(nan if shown is None else shown.target_seconds)
        metrics.CHANNEL_UNANSWERED.labels(channel).set(sum(one.unanswered for one in found) if found else nan)
