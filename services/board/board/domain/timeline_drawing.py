"""A ticket's timeline as shapes: bars, lines, marks and labels with their places. Pure; a template renders it as SVG.

The labels of one row never overlap, and neither do the marks of one lane: marks that are too close become one mark that
stands for all of them. Widths of texts are estimates that are never too small for the font of the page.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from board.domain.board_ticket import Stretch
from board.domain.ticket_story import TicketStory
from board.domain.time_scale import ScaleTick, TimeScale, build_scale
from board.domain.time_words import PageTime, duration_words
from board.domain.timeline_lanes import BarKind, LaneMark, TimelineLane, timeline_lanes, timeline_span

WIDTH: Final = 960.0
NAMES_WIDTH: Final = 92.0
_CHARACTER: Final = 7.5
"""The estimated width of a character of a label, at 11 px."""
_GAP: Final = 6.0
_MARK: Final = 14.0
"""The width and height of a mark without text."""
_AXIS: Final = 36.0
_LANE_HEIGHTS: Final = {"facts": 62.0, "clock": 38.0, "escalation": 40.0, "mails": 34.0}
_FOOT: Final = 22.0
_BAR_HEIGHTS: Final = {BarKind.RUNNING: 4.0, BarKind.HELD: 14.0}
_BAR_HEIGHT: Final = 12.0
_LABEL_ROWS: Final = (12.0, 26.0)
"""The baselines of the labels of facts, below the top of their lane."""
_COUNTING: Final = frozenset({BarKind.USED, BarKind.OVER, BarKind.LEFT, BarKind.HELD})
_MERGED: Final = frozenset({BarKind.USED, BarKind.OVER, BarKind.LEFT})
_THIN: Final = 3.0
_SEVERAL: Final = "counted in business hours; the ledger has each day"
_IMPORTANCE: Final = (
    *("breached", "mail-failed", "exhausted", "mail-waiting", "warned", "due", "met", "cancelled", "step"),
    *("mail", "acknowledged", "fact", "mail-cancelled"),
)
"""Of marks that are drawn as one, the first of these gives the symbol."""


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
        for mark in _marks(lane, number, _middle(lane, top), scale)
    ]
    labels = [
        *_axis_labels(scale, time),
        *_fact_labels(lanes[0], tops[0], scale),
        *_due_labels(lanes, tops, scale, time),
    ]
    if story.ticket.is_open and scale.begin <= time.now <= scale.end:
        rules.append(DrawnRule(scale.x(time.now), _AXIS - 4, scale.x(time.now), bottom, "now"))
        labels.append(_foot_label(scale.x(time.now), bottom, f"now {time.minute(time.now)}", "now", scale))
    labels += _break_labels(scale, bottom, [label for label in labels if label.row == "foot"])
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
    """Without the days of a clock that ran for months: neighbours too thin to be told apart are one bar that counts."""
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


def _marks(lane: TimelineLane, number: int, middle: float, scale: TimeScale) -> list[DrawnMark]:
    drawn = [_mark(mark, number, middle, scale) for mark in lane.marks if not mark.planned or mark.at <= scale.end]
    counts = lane.kind == "mails"
    merged: list[DrawnMark] = []
    for mark in sorted(drawn, key=lambda mark: mark.x):
        merged.append(mark)
        while len(merged) > 1 and merged[-2].right + 1.0 > merged[-1].left:
            second = merged.pop()
            merged.append(_joined(merged.pop(), second, shows_count=counts))
    return merged


def _mark(mark: LaneMark, number: int, middle: float, scale: TimeScale) -> DrawnMark:
    text = mark.text if mark.kind in ("step", "exhausted") else ""
    return DrawnMark(
        x=scale.x(mark.at),
        y=middle,
        width=_mark_width(text),
        kind=mark.kind,
        text=text,
        title=mark.title,
        count=1,
        voided=mark.voided,
        planned=mark.planned,
        lane=number,
    )


def _mark_width(text: str) -> float:
    return max(_MARK, text_width(text) + 8.0 if text else 0.0)


def _joined(first: DrawnMark, second: DrawnMark, *, shows_count: bool) -> DrawnMark:
    """One mark in the middle of two, for both."""
    count = first.count + second.count
    if first.text and second.text:
        text = f"{first.text.partition('–')[0]}–{second.text.rpartition('–')[2]}"
    else:
        text = str(count) if shows_count else first.text or second.text
    important = min(first, second, key=lambda mark: (mark.voided, _IMPORTANCE.index(mark.kind)))
    width = _mark_width(text)
    left, right = min(first.left, second.left), max(first.right, second.right)
    return replace(
        first,
        x=(left + right) / 2 if right - left > width else (first.x + second.x) / 2,
        width=width,
        kind=important.kind,
        text=text,
        title=f"{first.title}; {second.title}",
        count=count,
        voided=first.voided and second.voided,
        planned=first.planned and second.planned,
    )


def _axis_labels(scale: TimeScale, time: PageTime) -> Iterator[DrawnLabel]:
    """Days above, times below. The first day is always named."""
    ticks = scale.ticks(time)
    times = [tick for tick in ticks if ":" in tick.words]
    days = [(tick.x, time.short_day(tick.at)) for tick in ticks if tick.is_day]
    first = (0.0, time.short_day(scale.begin))
    after_breaks = [(piece.x, time.short_day(piece.begin)) for piece in scale.pieces[1:] if not piece.is_break]
    named = sorted([first, *days, *after_breaks])
    yield from _row((_label(x, _AXIS - 22, text, "axis-day", "axis-day") for x, text in _changes(named)), scale.width)
    yield from _row((_centred(tick, _AXIS - 9) for tick in times), scale.width)


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


def _fact_labels(lane: TimelineLane, top: float, scale: TimeScale) -> list[DrawnLabel]:
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


def _due_labels(
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


def _break_labels(scale: TimeScale, bottom: float, taken: Sequence[DrawnLabel]) -> Iterator[DrawnLabel]:
    """How long each break lasts, where there is room below it."""
    placed = list(taken)
    for piece in scale.breaks:
        text = duration_words(piece.end - piece.begin)
        label = _foot_label(piece.x + piece.width / 2, bottom, text, "break-label", scale)
        if all(label.right + _GAP <= other.x or other.right + _GAP <= label.x for other in placed):
            placed.append(label)
            yield label


def _foot_label(x: float, bottom: float, text: str, css: str, scale: TimeScale) -> DrawnLabel:
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


def text_width(text: str) -> float:
    """The estimated width of a label; never less than it takes."""
    return len(text) * _CHARACTER
