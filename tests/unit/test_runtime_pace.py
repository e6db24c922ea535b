"""A job whose cost grows with the data takes a small share of the time."""

import pytest
from tocsin.runtime.process.pace import paced


class Work:
    """A job that takes `seconds` on a clock of its own."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.began: list[float] = []
        self.fails = False

    async def run(self) -> None:
        self.began.append(self.now)
        if self.fails:
            raise TimeoutError
        self.now += self.seconds


async def run_each_second(work: Work, *, until: float) -> list[float]:
    job = paced(work.run, now=lambda: work.now)
    while work.now < until:
        before = work.now
        await job()
        work.now = max(work.now, before + 1)
    return work.began


@pytest.mark.parametrize(
    ("seconds", "began"),
    [(0.0, [0, 1, 2, 3]), (0.03125, [0, 2, 4, 6]), (0.09375, [0, 5, 10, 15]), (3.0, [0, 60, 120, 180])],
)
async def test_the_interval_follows_how_long_the_job_takes(seconds: float, began: list[float]) -> None:
    assert (await run_each_second(Work(seconds), until=200))[:4] == began


async def test_a_failed_run_is_repeated_at_once() -> None:
    work = Work(1.0)
    job = paced(work.run, now=lambda: work.now)
    work.fails = True
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await job()
    work.fails = False
    for _ in range(2):
        await job()
    assert len(work.began) == 3
