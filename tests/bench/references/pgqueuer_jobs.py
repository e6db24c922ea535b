"""PgQueuer: `enqueue` with lists of 1,000, and one manager that takes 100 jobs at a time."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
from pgqueuer import AsyncpgPoolDriver, Queries, QueueManager
from support.polling import eventually

from bench.references.jobs import DAY, Starts, chunks

STARTS = Starts()


async def job(taken: Any) -> None:
    STARTS.record(float(taken.payload))


class PgqueuerJobs:
    def __init__(self, url: str) -> None:
        self._url = url.replace("+asyncpg", "")

    def prepare(self) -> None:
        asyncio.run(self._prepare())

    async def _prepare(self) -> None:
        async with self._manager() as manager:
            if not await manager.queries.schema_is_installed():
                await manager.queries.install()
            await manager.queries.clear_queue()

    def arm(self, instants: Sequence[float]) -> None:
        asyncio.run(self._arm(instants))

    async def _arm(self, instants: Sequence[float]) -> None:
        async with self._manager() as manager:
            for chunk in chunks(instants):
                now = time.time()
                await manager.queries.enqueue(
                    ["job"] * len(chunk),
                    [repr(instant).encode() for instant in chunk],
                    [0] * len(chunk),
                    execute_after=[timedelta(seconds=instant - now) for instant in chunk],
                )

    def wait(self, count: int) -> None:
        self.arm([time.time() + DAY] * count)
        asyncio.run(self._analyze())

    async def _analyze(self) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute("ANALYZE pgqueuer")
        await connection.close()

    def run(self, started: Callable[[], int], count: int, give_up_at: float) -> None:
        asyncio.run(self._run(started, count, give_up_at))

    async def _run(self, started: Callable[[], int], count: int, give_up_at: float) -> None:
        async with self._manager() as manager:
            manager.entrypoint("job")(job)
            worker = asyncio.create_task(manager.run(batch_size=100))
            await eventually(
                lambda: started() >= count or time.time() > give_up_at or worker.done(), seconds=math.inf, every=0.02
            )
            manager.shutdown.set()
            await worker

    @asynccontextmanager
    async def _manager(self) -> AsyncIterator[QueueManager]:
        async with asyncpg.create_pool(self._url, min_size=2, max_size=10) as pool:
            yield QueueManager(Queries(AsyncpgPoolDriver(pool)))
