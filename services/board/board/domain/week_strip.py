"""The shifts of a week as shapes: one row for each role. Pure; a template renders it as SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tocsin.directory import Shift

from board.domain.board_ticket import Stretch
from board.domain.role_schedule import STRIP, RoleWeek
from board.domain.time_scale import TimeScale, build_scale
from board.domain.time_words import PageTime
from board.domain.timeline_shapes import DrawnLabel, DrawnRule, text_width

WIDTH: Final = 960.0
_TOP: Final = 24.0
_ROW: Final = 40.0
_BAR: Final = 18.0
_SHADES: Final = 4
"""The number of colours by which people differ."""


@dataclass(frozen=True, slots=True)
class StripBar:
    """A shift. `css` is `vacant`, or one of four shades that a person keeps; `label` is empty if it does not fit."""

    x: float
    y: float
    width: float
    height: float
    css: str
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class WeekStrip:
    """The drawing of a week."""

    width: float
    height: float
    names: tuple[DrawnLabel, ...]
    labels: tuple[DrawnLabel, ...]
    rules: tuple[DrawnRule, ...]
    bars: tuple[StripBar, ...]


def draw_week(weeks: Sequence[RoleWeek], time: PageTime) -> WeekStrip:
    """The seven days from the page's now."""
    begin, end = time.now, time.now + STRIP
    scale = build_scale(begin, end, busy=[Stretch(begin, end)], moments=[], width=WIDTH)
    height = _TOP + _ROW * len(weeks)
    ticks = [tick for tick in scale.ticks(time) if tick.is_day]
    shades = _shades(weeks)
    return WeekStrip(
        width=WIDTH,
        height=height + 6,
        names=tuple(
            DrawnLabel(0.0, _TOP + _ROW * row + 12, text_width(week.title), week.title, "name", f"name {row}")
            for row, week in enumerate(weeks)
        ),
        labels=tuple(
            DrawnLabel(tick.x + 3, 12.0, text_width(words), words, "axis-day", "axis-day")
            for tick in ticks
            if tick.x + 3 + text_width(words := time.short_day(tick.at)) <= WIDTH
        ),
        rules=tuple(DrawnRule(tick.x, 2.0, tick.x, height, "day") for tick in ticks),
        bars=tuple(
            bar for row, week in enumerate(weeks) for bar in _bars(week, _TOP + _ROW * row + 17, scale, shades, time)
        ),
    )


def _shades(weeks: Sequence[RoleWeek]) -> dict[str, int]:
    people = dict.fromkeys(shift.holder.person for week in weeks for shift in week.shifts if shift.holder)
    return {person: number % _SHADES for number, person in enumerate(people)}


def _bars(week: RoleWeek, y: float, scale: TimeScale, shades: dict[str, int], time: PageTime) -> Iterator[StripBar]:
    for shift in week.shifts:
        left, right = scale.x(shift.starts_at), scale.x(shift.ends_at)
        name = shift.holder.name if shift.holder else "nobody"
        fits = text_width(name) + 10 <= right - left
        yield StripBar(
            x=left,
            y=y,
            width=max(right - left - 1, 0.5),
            height=_BAR,
            css=f"shade-{shades[shift.holder.person]}" if shift.holder else "vacant",
            label=name if fits else "",
            title=f"{name}, {_span(shift, time)}",
        )


def _span(shift: Shift, time: PageTime) -> str:
    return f"{time.full(shift.starts_at)} to {time.full(shift.ends_at)}"
