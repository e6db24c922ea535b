"""Runs one measurement of a reference, in the environment of `deploy/requirements-bench.lock`. Prints JSON.

    python -m bench.references NAME URL arm  COUNT           seconds to store COUNT jobs
    python -m bench.references NAME URL fire COUNT           seconds until COUNT jobs of one instant were started
    python -m bench.references NAME URL pace RATE SECONDS WAITING
                                                             the lateness of RATE jobs a second beside WAITING others

NAME is apscheduler, procrastinate, pgqueuer or celery.
"""

import importlib
import json
import math
import sys
import time
from typing import Any, Final

from bench.references.jobs import DAY, Jobs, Starts

CLASSES: Final = {
    "apscheduler": "ApschedulerJobs",
    "procrastinate": "ProcrastinateJobs",
    "pgqueuer": "PgqueuerJobs",
    "celery": "CeleryJobs",
}
SECONDS_TO_START: Final = 4.0
PATIENCE: Final = 60.0
PROBE: Final = 200
READ_AHEAD: Final = {"celery": 250}
"""Jobs a second that a worker reads into its memory when it starts, where it keeps those of later."""


def main(name: str, url: str, command: str, *numbers: str) -> dict[str, Any]:
    module: Any = importlib.import_module(f"bench.references.{name}_jobs")
    jobs: Jobs = getattr(module, CLASSES[name])(url)
    jobs.prepare()
    counts = [int(number) for number in numbers]
    match command:
        case "arm":
            return arm(jobs, *counts)
        case "fire":
            return fire(jobs, module.STARTS, *counts)
        case "pace":
            return pace(jobs, module.STARTS, READ_AHEAD.get(name, math.inf), *counts)
        case _:
            raise SystemExit(__doc__)


def arm(jobs: Jobs, count: int) -> dict[str, Any]:
    tomorrow = time.time() + DAY
    jobs.arm([tomorrow])  # warm up
    began, worked = time.perf_counter(), time.process_time()
    jobs.arm([tomorrow] * count)
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - worked}


def fire(jobs: Jobs, starts: Starts, count: int) -> dict[str, Any]:
    """From the first start of a job to the last, so that the start of the worker does not count."""
    instant = time.time() - 1
    jobs.arm([instant] * count)
    jobs.run(starts.count, count, time.time() + 5 * PATIENCE)
    return {"seconds": max(starts.lateness) - min(starts.lateness), "started": starts.count()}


def pace(jobs: Jobs, starts: Starts, read_ahead: float, rate: int, seconds: int, waiting: int) -> dict[str, Any]:
    """All jobs are stored, and the worker runs, before the first of them falls due."""
    jobs.wait(waiting)
    count = rate * seconds
    began = time.time()
    jobs.arm([began + DAY] * PROBE)
    to_arm = 1.5 * count * (time.time() - began) / PROBE
    begin = time.time() + to_arm + SECONDS_TO_START + (count + waiting) / read_ahead
    jobs.arm([begin + number / rate for number in range(count)])
    jobs.run(starts.count, count, begin + seconds + PATIENCE)
    return {"lateness": starts.lateness}


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
