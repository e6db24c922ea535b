"""A ticket's timeline as shapes: bars, lines, marks and labels with their places. Pure; a template renders it as SVG.

The labels of one row never overlap, and neither do the marks of one lane. Widths of texts are estimates that are never
too small for the font of the page.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from board.domain.board_ticket import Stretch
from board.domain.clock_stretches import BarKind
from board.domain.ticket_story import TicketStory
from board.domain.time_scale import TimeScale, build_scale
from board.domain.time_words import PageTime
from board.domain.timeline_labels import axis_labels, break_labels, due_labels, fact_labels, foot_label
from board.domain.timeline_lanes import TimelineLane, timeline_lanes, timeline_span
from board.domain.timeline_marks import lane_marks
from board.domain.timeline_shapes import DrawnBar, DrawnLabel, DrawnMark, DrawnRule, text_width

WIDTH: Final = 960.0
NAMES_WIDTH: Final = 92.0
_AXIS: Final = 36.0
_LANE_HEIGHTS: Final = {"facts": 62.0, "clock": 38.0, "escalation": 40.0, "mails": 34.0}
_FOOT: Final = 22.0
_BAR_HEIGHTS: Final = {BarKind.RUNNING: 4.0, BarKind.HELD: 14.0}
_BAR_HEIGHT: Final = 12.0
_COUNTING: Final = frozenset({BarKind.USED, BarKind.OVER, BarKind.LEFT, BarKind.HELD})
_MERGED: Final = frozenset({BarKind.USED, BarKind.OVER, BarKind.LEFT})
_THIN: Final = 3.0
_SEVERAL: Final = "counted in business hours; the ledger has each day"


@dataclass(frozen=True, slots=True)
class TimelineDrawing:
    """The shapes of a timeline, in the order in which they are drawn. `names` are those of the lanes, in a column."""

    width: float
    height: float
    names: tuple[DrawnLabel, ...]
    rules: tuple[DrawnRule, ...]
    bars: tuple[DrawnBar, ...]
    marks: tuple[DrawnMark, ...]
    labels: tuple[DrawnLabel, ...]
    scale: TimeScale


def draw_timeline(story: TicketStory, time: PageTime, width: float = WIDTH) -> TimelineDrawing:
    """The timeline of a ticket, `width` wide without the column of names."""
    lanes = timeline_lanes(story, time)
    span = timeline_span(story, lanes, time)
    busy = [Stretch(bar.begin, bar.end) for lane in lanes for bar in lane.bars if bar.kind in _COUNTING]
    scale = build_scale(span.begin, span.end, busy=busy, moments=span.moments, width=width)
    tops = list(_tops(lanes))
    bottom = tops[-1] + _LANE_HEIGHTS[lanes[-1].kind]
    rules = [*_grid(scale, time, bottom), *_lane_rules(tops, width)]
    bars = [bar for lane, top in zip(lanes, tops, strict=True) for bar in _merged(_bars(lane, top, scale))]
    marks = [
        mark
        for number, (lane, top) in enumerate(zip(lanes, tops, strict=True))
        for mark in lane_marks(lane, number, _middle(lane, top), scale)
    ]
    labels = [
        *axis_labels(scale, _AXIS, time),
        *fact_labels(lanes[0], tops[0], scale),
        *due_labels(lanes, tops, scale, time),
    ]
    if story.ticket.is_open and scale.begin <= time.now <= scale.end:
        rules.append(DrawnRule(scale.x(time.now), _AXIS - 4, scale.x(time.now), bottom, "now"))
        labels.append(foot_label(scale.x(time.now), bottom, f"now {time.minute(time.now)}", "now", scale))
    labels += break_labels(scale, bottom, [label for label in labels if label.row == "foot"])
    return TimelineDrawing(
        width=width,
        height=bottom + _FOOT,
        names=tuple(_names(lanes, tops)),
        rules=tuple(rules),
        bars=tuple(bars),
        marks=tuple(marks),
        labels=tuple(labels),
        scale=scale,
    )


def _tops(lanes: Iterable[TimelineLane]) -> Iterator[float]:
    top = _AXIS
    for lane in lanes:
        yield top
        top += _LANE_HEIGHTS[lane.kind]


def _middle(lane: TimelineLane, top: float) -> float:
    """The height of a lane's bars and marks: low, because labels are above."""
    return top + _LANE_HEIGHTS[lane.kind] - (14.0 if lane.kind in ("facts", "clock") else 18.0)


def _names(lanes: Sequence[TimelineLane], tops: Sequence[float]) -> Iterator[DrawnLabel]:
    for number, (lane, top) in enumerate(zip(lanes, tops, strict=True)):
        y = _middle(lane, top) + (0.0 if lane.detail else 4.0)
        yield DrawnLabel(0.0, y, text_width(lane.name), lane.name, "name", f"name {number}")
        if lane.detail:
            yield DrawnLabel(0.0, y + 12.0, text_width(lane.detail), lane.detail, "detail", f"detail {number}")


def _grid(scale: TimeScale, time: PageTime, bottom: float) -> Iterator[DrawnRule]:
    for tick in scale.ticks(time):
        yield DrawnRule(tick.x, _AXIS - 6, tick.x, bottom, "day" if tick.is_day else "tick")
    for piece in scale.breaks:
        for x in (piece.x, piece.x + piece.width):
            yield DrawnRule(x, _AXIS - 6, x, bottom, "break")


def _lane_rules(tops: Iterable[float], width: float) -> Iterator[DrawnRule]:
    return (DrawnRule(0.0, top, width, top, "lane") for top in tops)


def _bars(lane: TimelineLane, top: float, scale: TimeScale) -> Iterator[DrawnBar]:
    middle = _middle(lane, top)
    for bar in lane.bars:
        left, right = scale.x(bar.begin), scale.x(bar.end)
        if bar.begin >= scale.end or bar.end <= scale.begin:
            continue
        height = _BAR_HEIGHTS.get(bar.kind, _BAR_HEIGHT)
        yield DrawnBar(left, middle - height / 2, max(right - left, 0.5), height, bar.kind, bar.title)


def _merged(bars: Iterable[DrawnBar]) -> list[DrawnBar]:
    """The bars, in which neighbours too thin to distinguish are one bar that counts: a clock may run for months."""
    merged: list[DrawnBar] = []
    was_thin = False
    for bar in bars:
        is_thin = bar.width < _THIN
        last = merged[-1] if merged else None
        if last is not None and is_thin and was_thin and _is_one_clock(last, bar):
            counts = last.css if bar.css == BarKind.IDLE else bar.css
            merged[-1] = replace(last, width=bar.x + bar.width - last.x, css=counts, title=_SEVERAL)
        else:
            merged.append(bar)
        was_thin = is_thin
    return merged


def _is_one_clock(first: DrawnBar, second: DrawnBar) -> bool:
    """Whether both follow each other, and are time that counts and time in between."""
    kinds = {first.css, second.css} - {BarKind.IDLE}
    return first.y == second.y and len(kinds) <= 1 and kinds <= _MERGED and second.x - first.x - first.width < 1
