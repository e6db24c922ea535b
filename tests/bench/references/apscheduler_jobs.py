"""APScheduler 3 with its PostgreSQL job store: one transaction a job, since it has no bulk API."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import create_engine, text

from bench.references.jobs import DAY, Starts

STARTS = Starts()


def job(instant: float) -> None:
    """The store keeps a job by the path of its function."""
    STARTS.record(instant)


class ApschedulerJobs:
    def __init__(self, url: str) -> None:
        self._engine = create_engine(url.replace("+asyncpg", "+psycopg"))
        self._scheduler = BackgroundScheduler(
            jobstores={"default": SQLAlchemyJobStore(engine=self._engine)},
            executors={"default": ThreadPoolExecutor(10)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )

    def prepare(self) -> None:
        self._scheduler.start(paused=True)
        self._scheduler.remove_all_jobs()

    def arm(self, instants: Sequence[float]) -> None:
        for instant in instants:
            self._scheduler.add_job(job, "date", run_date=datetime.fromtimestamp(instant, UTC), args=(instant,))

    def wait(self, count: int) -> None:
        """Copies a row of its own: by its interface 100,000 jobs would take minutes."""
        if count:
            self.arm([time.time() + DAY])
            copies = "INSERT INTO apscheduler_jobs SELECT id || n, next_run_time + n, job_state"
            with self._engine.begin() as connection:
                connection.execute(
                    text(f"{copies} FROM apscheduler_jobs, generate_series(2, :count) AS n"), {"count": count}
                )
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("ANALYZE apscheduler_jobs"))

    def run(self, started: Callable[[], int], count: int, give_up_at: float) -> None:
        self._scheduler.resume()
        while started() < count and time.time() < give_up_at:
            time.sleep(0.02)
        self._scheduler.shutdown(wait=False)
