"""Exponential back-off: how long to wait before the next attempt."""

from dataclasses import dataclass
from datetime import timedelta

_MOST_GROWTHS = 100


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that grow by `factor` with every failure in a row, from `first` up to `longest`."""

    first: timedelta
    longest: timedelta
    factor: float = 2

    def pause(self, failures: int, jitter: float = 1.0) -> timedelta:
        """The pause after the nth failure in a row (n from 1).

        `jitter` is a number from 0 to 1 such as `random.random()`: it shortens the pause by up to half, so that many
        clients do not retry at the same instant.
        """
        growth = float(self.factor) ** min(failures - 1, _MOST_GROWTHS)
        return self.first * min(growth, self.longest / self.first) * (0.5 + jitter / 2)
