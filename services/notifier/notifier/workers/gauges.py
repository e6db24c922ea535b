"""The gauges of the queue and of the directory, set by periodic jobs."""

import asyncio
from collections.abc import Collection, Mapping

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime.metrics import Measurement
from tocsin.runtime.process.clock import TimeSource
from tocsin.sources.directory_file import DirectoryFile

from notifier import metrics
from notifier.domain.on_call import held_roles, left_out_counts, seconds_to_gap, unknown_events, unreadable_events
from notifier.store import journal, queue, reports

log = structlog.get_logger(__name__)


class MailGauges:
    """Every replica shows the same numbers (docs/decisions/0032-gauges-come-from-the-database.md).

    `ladder_roles` are measured even if the directory lacks them.
    """

    def __init__(
        self, reader: AsyncEngine, directory: DirectoryFile, clock: TimeSource, ladder_roles: Collection[str]
    ) -> None:
        self._reader = reader
        self._directory = directory
        self._clock = clock
        self._ladder_roles = ladder_roles
        self._queue = Measurement(metrics.forget_queue)
        self._reports: Mapping[str, int] | None = None

    async def measure_queue(self) -> None:
        """Measure the open deliveries and those that failed, and count the new reports of mail servers."""
        with self._queue.attempt():
            async with self._reader.connect() as connection:
                size = await queue.measure(connection)
                undelivered = await journal.count_undelivered(connection)
                counted = await reports.load_counts(connection)
        metrics.set_queue(size.counts, oldest=size.oldest, overdue=size.overdue)
        metrics.set_undelivered(undelivered)
        metrics.count_reports(counted if self._reports is None else self._reports, counted)
        self._reports = counted

    async def measure_holders(self) -> None:
        """Measure which roles are held now; without a directory, none is."""
        directory, roles = self._directory.current(), self._ladder_roles
        held = held_roles(directory, roles, self._clock.now()) if directory else dict.fromkeys(roles, False)
        metrics.set_on_call(held)

    async def measure_gaps(self) -> None:
        """Measure when each role will be vacant, which calendar events name nobody, and which cannot be read."""
        directory, now = self._directory.current(), self._clock.now()
        if directory is None:
            return
        metrics.set_gaps(await asyncio.to_thread(seconds_to_gap, directory, now))
        unknown = await asyncio.to_thread(unknown_events, directory, now)
        metrics.DIRECTORY_UNKNOWN_EVENTS.set(len(unknown))
        if unknown:
            log.warning("calendar_events_name_nobody", events=unknown[:10])
        metrics.set_left_out_events(await asyncio.to_thread(left_out_counts, directory, now))
        unreadable = await asyncio.to_thread(unreadable_events, directory, directory.rotations, now)
        if unreadable:
            log.error("calendar_events_unreadable", events=unreadable[:10])
