"""The shapes that a drawing consists of, and the estimated widths of its texts. Pure."""

from dataclasses import dataclass
from typing import Final

_CHARACTER: Final = 7.5
"""The estimated width of a character of a label, at 11 px."""


@dataclass(frozen=True, slots=True)
class DrawnBar:
    """A rectangle of a lane."""

    x: float
    y: float
    width: float
    height: float
    css: str
    title: str


@dataclass(frozen=True, slots=True)
class DrawnRule:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    css: str


@dataclass(frozen=True, slots=True)
class DrawnLabel:
    """A text with its left edge at `x` and its baseline at `y`. Labels with the same `row` share a row."""

    x: float
    y: float
    width: float
    text: str
    css: str
    row: str

    @property
    def right(self) -> float:
        return self.x + self.width


@dataclass(frozen=True, slots=True)
class DrawnMark:
    """A mark with its centre at (`x`, `y`), for `count` events. `kind` chooses the symbol; `text` is drawn in it."""

    x: float
    y: float
    width: float
    kind: str
    text: str
    title: str
    count: int
    voided: bool
    planned: bool
    lane: int

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2


def text_width(text: str) -> float:
    """The estimated width of a label; never less than it takes."""
    return len(text) * _CHARACTER
