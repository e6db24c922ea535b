"""50,000 tickets due at one instant, beside APScheduler and procrastinate.

The references start fewer jobs, and their time is multiplied, which assumes that each job costs them the same.
"""

from dataclasses import replace
from typing import Final

from bench import sweep
from bench.figures import FULL, Effort, Figure, show
from bench.reference_runs import TITLES, reference_runs

NAME: Final = "due at one instant"
TICKETS: Final = 50_000
JOBS: Final = 5_000


def measure(effort: Effort) -> list[Figure]:
    figures = sweep.measure(effort)
    jobs = effort.sized(JOBS, 100)
    with reference_runs("apscheduler", "procrastinate") as references:
        beside = {
            TITLES[name]: tuple(
                references.run(name, "fire", jobs)["seconds"] * TICKETS / JOBS for _ in range(effort.rounds)
            )
            for name in references.names
        }
    note = f"the references after it, with {JOBS:,} jobs each, times {TICKETS // JOBS}"
    return [
        replace(figure, beside=dict(figure.beside) | beside, note="; ".join(filter(None, (figure.note, note))))
        if figure.name == NAME
        else figure
        for figure in figures
    ]


if __name__ == "__main__":
    show(measure(FULL))
