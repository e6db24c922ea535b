"""What the benchmark asks of a reference: keep jobs until an instant, then start each of them."""

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

DAY: Final = 86_400.0
CHUNK: Final = 1_000


class Jobs(Protocol):
    """A job queue or scheduler. Instants are Unix times in seconds."""

    def prepare(self) -> None:
        """Creates its empty tables."""

    def arm(self, instants: Sequence[float]) -> None:
        """Stores a job for each instant, durably, by the fastest documented way."""

    def wait(self, count: int) -> None:
        """Makes this many jobs wait until tomorrow."""

    def run(self, started: Callable[[], int], count: int, give_up_at: float) -> None:
        """Runs a worker until `started()` is `count`, or until `give_up_at`."""


class Starts:
    """The lateness of each job that was started, in seconds."""

    def __init__(self) -> None:
        self.lateness: list[float] = []

    def record(self, instant: float) -> None:
        """The body of every job."""
        self.lateness.append(time.time() - instant)

    def count(self) -> int:
        return len(self.lateness)


def chunks(instants: Sequence[float]) -> list[Sequence[float]]:
    return [instants[start : start + CHUNK] for start in range(0, len(instants), CHUNK)]
