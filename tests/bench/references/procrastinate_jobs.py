"""Procrastinate: `batch_defer_async` in batches of 1,000, and one worker of 30 concurrent jobs.

It polls for jobs whose instant has come, every 5 s by default; here every 50 ms, which costs it little.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import procrastinate
from support.polling import eventually

from bench.references.jobs import DAY, Starts, chunks

STARTS = Starts()


async def job(instant: float) -> None:
    STARTS.record(instant)


class ProcrastinateJobs:
    def __init__(self, url: str) -> None:
        conninfo = url.replace("+asyncpg", "")
        connector = procrastinate.PsycopgConnector(conninfo=conninfo, min_size=4, max_size=10)
        self._app = procrastinate.App(connector=connector)
        self._task = self._app.task(name="job")(job)

    def prepare(self) -> None:
        asyncio.run(self._prepare())

    async def _prepare(self) -> None:
        async with self._app.open_async():
            if not await self._app.check_connection_async():
                await self._app.schema_manager.apply_schema_async()
            await self._app.connector.execute_query_async("TRUNCATE procrastinate_jobs CASCADE")

    def arm(self, instants: Sequence[float]) -> None:
        asyncio.run(self._arm(instants))

    async def _arm(self, instants: Sequence[float]) -> None:
        async with self._app.open_async():
            for chunk in chunks(instants):
                jobs = [
                    self._task.configure(schedule_at=datetime.fromtimestamp(instant, UTC)).make_new_job(instant=instant)
                    for instant in chunk
                ]
                await self._app.job_manager.batch_defer_jobs_async(jobs)

    def wait(self, count: int) -> None:
        self.arm([time.time() + DAY] * count)
        asyncio.run(self._analyze())

    async def _analyze(self) -> None:
        async with self._app.open_async():
            await self._app.connector.execute_query_async("ANALYZE procrastinate_jobs")

    def run(self, started: Callable[[], int], count: int, give_up_at: float) -> None:
        asyncio.run(self._run(started, count, give_up_at))

    async def _run(self, started: Callable[[], int], count: int, give_up_at: float) -> None:
        async with self._app.open_async():
            worker = asyncio.create_task(
                self._app.run_worker_async(
                    concurrency=30, fetch_job_polling_interval=0.05, install_signal_handlers=False, delete_jobs="always"
                )
            )
            await eventually(
                lambda: started() >= count or time.time() > give_up_at or worker.done(), seconds=math.inf, every=0.02
            )
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
