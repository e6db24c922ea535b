"""Celery with Redis: `apply_async(eta=...)` over one connection (it has no bulk API), and a prefork worker of two.

Redis appends each command to its file and syncs it (`appendfsync always`), as PostgreSQL does with a commit.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import celery

from bench.references.jobs import DAY, Starts

STARTS_FILE = "BENCH_CELERY_STARTS"
BROKER = "BENCH_CELERY_BROKER"
STARTS = Starts()


def job(instant: float) -> None:
    """Runs in a process of the worker, so it appends to a file."""
    file = os.open(os.environ[STARTS_FILE], os.O_APPEND | os.O_WRONLY)
    os.write(file, f"{time.time() - instant:.6f}\n".encode())
    os.close(file)


app = celery.Celery(broker=os.environ.get(BROKER, "redis://127.0.0.1:6379"))
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
TASK = app.task(name="job")(job)


class CeleryJobs:
    def __init__(self, url: str) -> None:
        app.conf.broker_url = url
        self._url = url

    def prepare(self) -> None:
        with app.connection_for_write() as connection:
            connection.default_channel.client.flushdb()

    def arm(self, instants: Sequence[float]) -> None:
        with app.producer_or_acquire() as producer:
            for instant in instants:
                TASK.apply_async((instant,), eta=datetime.fromtimestamp(instant, UTC), producer=producer)

    def wait(self, count: int) -> None:
        self.arm([time.time() + DAY] * count)

    def run(self, started: Callable[[], int], count: int, give_up_at: float) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._run(Path(folder) / "starts", started, count, give_up_at)

    def _run(self, starts: Path, started: Callable[[], int], count: int, give_up_at: float) -> None:
        starts.write_bytes(b"")
        command = (sys.executable, "-m", "celery", "-A", "bench.references.celery_jobs", "worker")
        options = ("--concurrency=2", "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR")
        environment = os.environ | {BROKER: self._url, STARTS_FILE: str(starts)}
        worker = subprocess.Popen((*command, *options), env=environment)
        try:
            while started() < count and time.time() < give_up_at and worker.poll() is None:
                time.sleep(0.1)
                STARTS.lateness[:] = [float(line) for line in starts.read_text().splitlines()]
        finally:
            worker.kill()
            worker.wait()
