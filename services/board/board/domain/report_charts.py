"""The geometry of a report's charts, in per mille of their width or height. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from board.domain.report_numbers import Distribution, TimeSpent

_FULL: Final = 1000
HEAT_STEPS: Final = 5
"""The shades of a heat map, besides the one for zero."""


@dataclass(frozen=True, slots=True)
class ChartPart:
    """A rectangle of a bar: its kind, where it starts and how long it is."""

    kind: str
    start: int
    length: int


def distribution_columns(distribution: Distribution) -> tuple[tuple[ChartPart, ...], ...]:
    """For each bin its column from the bottom: the met part, then the missed one. The tallest column is full."""
    highest = max((one.met + one.breached for one in distribution.bins), default=0)
    return tuple(_parts((("met", one.met), ("breached", one.breached)), highest) for one in distribution.bins)


def time_bar(spent: TimeSpent) -> tuple[ChartPart, ...]:
    """The parts of the gross time, from the left."""
    parts = (
        ("ours", spent.ours_seconds),
        ("customer", spent.customer_seconds),
        ("outside_hours", spent.outside_hours_seconds),
        ("closed", spent.closed_seconds),
    )
    return _parts(parts, spent.gross_seconds)


def share_bar(part: int, whole: int) -> int:
    """The length of a single bar; 0 of nothing."""
    return _FULL * part // whole if whole else 0


def heat_steps(counts: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """The shade of each count: 0 for zero, otherwise 1 to HEAT_STEPS by its share of the highest, which is at least
    HEAT_STEPS here: a single ticket is no peak.
    """
    highest = max(HEAT_STEPS, *(count for row in counts for count in row))
    return tuple(tuple(-(-count * HEAT_STEPS // highest) if count else 0 for count in row) for row in counts)


def _parts(values: Sequence[tuple[str, float]], whole: float) -> tuple[ChartPart, ...]:
    """Rectangles one after the other. Edges are rounded, not lengths, so that no gap appears."""
    parts: list[ChartPart] = []
    before = 0.0
    for kind, value in values:
        start = round(_FULL * before / whole) if whole else 0
        end = round(_FULL * (before + value) / whole) if whole else 0
        if end > start:
            parts.append(ChartPart(kind, start, end - start))
        before += value
    return tuple(parts)
