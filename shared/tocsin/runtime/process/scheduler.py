"""Periodic jobs of a service (gauges, retention, sweeps). Deadlines are not jobs: they live in the database."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from tocsin.runtime.metrics import JOB_FAILURES

log = structlog.get_logger(__name__)

_FIRST_RUN_SECONDS: Final = 1.0

Job = Callable[[], Awaitable[object]]


class Scheduler:
    """Runs jobs at real-time intervals, one run of a job at a time. Missed runs are merged into one."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._resuming: asyncio.TimerHandle | None = None

    def every(self, seconds: float, job: Job, *, name: str, timeout: float = 60) -> None:
        """Run `job` soon after the start and then every `seconds`; cancel a run after `timeout` seconds.

        Errors are logged and counted in `sla_job_failures_total`.
        """
        JOB_FAILURES.labels(name)
        self._scheduler.add_job(
            _run,
            IntervalTrigger(seconds=seconds, timezone=UTC),
            args=(job, name, timeout),
            id=name,
            next_run_time=datetime.now(UTC),  # due at once when the scheduler resumes
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )

    def start(self) -> None:
        """Start in the running event loop. The first runs are a second later, so that they do not delay readiness."""
        self._scheduler.start(paused=True)
        self._resuming = asyncio.get_running_loop().call_later(_FIRST_RUN_SECONDS, self._scheduler.resume)

    def stop(self) -> None:
        """Start no more runs. A run in progress is cancelled with the event loop."""
        if self._resuming is not None:
            self._resuming.cancel()
            self._scheduler.shutdown(wait=False)


async def _run(job: Job, name: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await job()
    except asyncio.CancelledError:
        # Only the end of the process cancels a job; APScheduler would log that as an error.
        log.info("job_cancelled", job=name)
    except Exception as error:  # the edge of a job: the next run tries again
        JOB_FAILURES.labels(name).inc()
        log.error("job_failed", job=name, error=repr(error), exc_info=not isinstance(error, OSError | TimeoutError))
