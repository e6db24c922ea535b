"""What a benchmark returns: figures with one value a round, beside those of a reference in the same rounds."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a benchmark may take: `make bench` has five rounds of full size, `--quick` one round of a twentieth."""

    rounds: int = 5
    scale: float = 1.0

    def sized(self, full: int, least: int = 1) -> int:
        """A number of items, `full` in a complete run."""
        return max(least, round(full * self.scale))


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity.

    `rounds` has one value of ours for each round, and `beside` as many for each reference, measured in the same
    rounds in turn, so that a slow phase of the machine affects all of them.
    """

    name: str
    unit: str
    rounds: tuple[float, ...]
    beside: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    more_is_better: bool = False
    note: str = ""
    """What a reader has to know to compare: sizes, settings, what the reference leaves out."""

    @property
    def value(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest round."""
        return min(self.rounds), max(self.rounds)

    def reference(self, name: str) -> float:
        return statistics.median(self.beside[name])

    def ratio(self, name: str) -> float:
        """Ours to the reference: the median of the ratios of the rounds."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.rounds, self.beside[name], strict=True))


FULL: Final = Effort()
QUICK: Final = Effort(rounds=1, scale=0.05)


def show(figures: Sequence[Figure]) -> None:
    """Prints the figures, each with its references and the ratio to them."""
    for figure in figures:
        least, most = figure.spread
        line = f"{figure.name:36} {readable(figure.value):>8} {figure.unit:12} {readable(least)} to {readable(most)}"
        beside = [
            f"{name} {readable(figure.reference(name))} ({figure.ratio(name):.2f} of it)" for name in figure.beside
        ]
        sys.stdout.write(f"{'; '.join((line, *beside))}\n")


def readable(value: float) -> str:
    """The number with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
