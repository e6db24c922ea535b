"""The marks of a timeline's lanes. Marks that are too close to each other are drawn as one. Pure."""

from dataclasses import replace
from typing import Final

from board.domain.time_scale import TimeScale
from board.domain.timeline_lanes import LaneMark, TimelineLane
from board.domain.timeline_shapes import DrawnMark, text_width

_MARK: Final = 14.0
"""The width and height of a mark without text."""
_IMPORTANCE: Final = (
    *("breached", "mail-failed", "exhausted", "mail-waiting", "warned", "due", "met", "cancelled", "step"),
    *("mail", "acknowledged", "fact", "mail-cancelled"),
)
"""Of marks that are drawn as one, the first of these gives the symbol."""


def lane_marks(lane: TimelineLane, number: int, middle: float, scale: TimeScale) -> list[DrawnMark]:
    """The marks of a lane, from left to right. `number` is that of the lane, `middle` the height of their centres."""
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
