"""Periodic work of a service (gauges, retention, sweeps): by APScheduler, in memory, never a deadline by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from tocsin.runtime.metrics import JOB_FAILURES

log = structlog.get_logger(__name__)

Job = Callable[[], Awaitable[object]]


class Scheduler:
    """Runs jobs every so many real seconds, each at most once at a time; a late run is made up for once, never
    dropped.
    """

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    def every(self, seconds: float, job: Job, *, name: str, timeout: float = 60) -> None:
        """Run `job` at start and then every `seconds`; it is cancelled after `timeout`. What it raises is logged and
        counted.
        """
        JOB_FAILURES.labels(name)
        self._scheduler.add_job(
            _guarded,
            IntervalTrigger(seconds=seconds, timezone=UTC),
            args=(job, name, timeout),
            id=name,
            next_run_time=datetime.now(UTC),
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )

    def start(self) -> None:
        """Begin; in the running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Begin no more runs; a run in progress is cancelled with its loop."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


async def _guarded(job: Job, name: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await job()
    except asyncio.CancelledError:
        # Only the end of the scheduler cancels a job; APScheduler would call it an error.
        log.info("job_cancelled", job=name)
    except Exception as error:  # the edge of a job: the next run is a new try
        JOB_FAILURES.labels(name).inc()
        log.error("job_failed", job=name, error=repr(error), exc_info=not isinstance(error, OSError | TimeoutError))
