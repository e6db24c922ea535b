"""The labels of a timeline: days and times, facts, deadlines and breaks. The labels of one row never overlap. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from board.domain.time_scale import ScaleTick, TimeScale
from board.domain.time_words import PageTime, duration_words
from board.domain.timeline_lanes import TimelineLane
from board.domain.timeline_shapes import DrawnLabel, text_width

_GAP: Final = 6.0
_LABEL_ROWS: Final = (12.0, 26.0)
"""The baselines of the labels of facts, below the top of their lane."""


def axis_labels(scale: TimeScale, axis: float, time: PageTime) -> Iterator[DrawnLabel]:
    """Days and times, above the axis at the height `axis`. The first day is always named."""
    ticks = scale.ticks(time)
    times = [tick for tick in ticks if ":" in tick.words]
    days = [(tick.x, time.short_day(tick.at)) for tick in ticks if tick.is_day]
    first = (0.0, time.short_day(scale.begin))
    after_breaks = [(piece.x, time.short_day(piece.begin)) for piece in scale.pieces[1:] if not piece.is_break]
    named = sorted([first, *days, *after_breaks])
    yield from _row((_label(x, axis - 22, text, "axis-day", "axis-day") for x, text in _changes(named)), scale.width)
    yield from _row((_centred(tick, axis - 9) for tick in times), scale.width)


def _changes(named: Iterable[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    """Only the first of equal neighbours."""
    before = None
    for x, text in named:
        if text != before:
            yield x, text
        before = text


def _centred(tick: ScaleTick, y: float) -> DrawnLabel:
    width = text_width(tick.words)
    return DrawnLabel(tick.x - width / 2, y, width, tick.words, "axis-time", "axis-time")


def fact_labels(lane: TimelineLane, top: float, scale: TimeScale) -> list[DrawnLabel]:
    """The labels of facts beside their marks, in the first row where they fit. The others are in the history only."""
    rows: list[list[DrawnLabel]] = [[] for _ in _LABEL_ROWS]
    for mark in lane.marks:
        for number, below in enumerate(_LABEL_ROWS):
            label = _shifted(
                _label(scale.x(mark.at) - 4, top + below, mark.text, "fact-label", f"facts {number}"), scale
            )
            if not rows[number] or rows[number][-1].right + _GAP <= label.x:
                rows[number].append(label)
                break
    return [label for row in rows for label in row]


def due_labels(
    lanes: Sequence[TimelineLane], tops: Sequence[float], scale: TimeScale, time: PageTime
) -> Iterator[DrawnLabel]:
    """The deadline of each open clock, above its bar; with an arrow if it is beyond the end of the drawing."""
    for number, (lane, top) in enumerate(zip(lanes, tops, strict=True)):
        if lane.due_at is None:
            continue
        is_beyond = lane.due_at > scale.end
        text = f"due {time.short_day(lane.due_at)} {time.minute(lane.due_at)}{' →' if is_beyond else ''}"
        label = _label(scale.x(lane.due_at) - text_width(text) / 2, top + 14.0, text, "due-label", f"due {number}")
        yield _shifted(label, scale)


def break_labels(scale: TimeScale, bottom: float, taken: Sequence[DrawnLabel]) -> Iterator[DrawnLabel]:
    """How long each break lasts, where there is room below it."""
    placed = list(taken)
    for piece in scale.breaks:
        text = duration_words(piece.end - piece.begin)
        label = foot_label(piece.x + piece.width / 2, bottom, text, "break-label", scale)
        if all(label.right + _GAP <= other.x or other.right + _GAP <= label.x for other in placed):
            placed.append(label)
            yield label


def foot_label(x: float, bottom: float, text: str, css: str, scale: TimeScale) -> DrawnLabel:
    """A label below the drawing, whose lower edge is `bottom`, centred at `x` where there is room."""
    return _shifted(_label(x - text_width(text) / 2, bottom + 15.0, text, css, "foot"), scale)


def _row(labels: Iterable[DrawnLabel], width: float) -> Iterator[DrawnLabel]:
    """Those labels of a row that overlap with none before them, and are inside the drawing."""
    right = -_GAP
    for label in labels:
        if label.x >= right + _GAP and label.x >= 0 and label.right <= width:
            yield label
            right = label.right


def _label(x: float, y: float, text: str, css: str, row: str) -> DrawnLabel:
    return DrawnLabel(x, y, text_width(text), text, css, row)


def _shifted(label: DrawnLabel, scale: TimeScale) -> DrawnLabel:
    """The label moved so far that it is inside the drawing."""
    return replace(label, x=max(0.0, min(label.x, scale.width - label.width)))
