"""The horizontal scale of a drawn timeline: the position of each instant, and the instants on the axis. Pure.

A long stretch in which nothing counts and nothing happens (a night, a weekend, the time while a ticket was closed) is
drawn as a narrow break, so that the rest keeps its width. Everything outside breaks has one scale.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from tocsin.directory.local_time import first_instant

from board.domain.board_ticket import Stretch
from board.domain.time_words import PageTime

BREAK_WIDTH: Final = 26.0
PADDING: Final = 16.0
"""The space before the beginning and after the end."""
_LEAST_SHARE: Final = 0.1
"""A quiet stretch that would take more of the width than this becomes a break."""
_MOST_BREAKS: Final = 0.4
"""Breaks take at most this part of the width."""
_TICK_WIDTH: Final = 58.0
_STEPS: Final = (
    *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=hours) for hours in (1, 2, 3, 6, 12)),
    *(timedelta(days=days) for days in (1, 2, 7, 14, 28, 91, 364, 3640)),
)
_MONDAY: Final = date(1900, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class ScalePiece:
    """A part of the scale, from `begin` at `x` on. A break has a width, but no scale."""

    begin: datetime
    end: datetime
    x: float
    width: float
    is_break: bool


@dataclass(frozen=True, slots=True)
class ScaleTick:
    """An instant that the axis names. `is_day`: it is the first of its local day."""

    at: datetime
    x: float
    words: str
    is_day: bool


@dataclass(frozen=True, slots=True)
class TimeScale:
    """A scale from `begin` to `end`, which is `width` wide."""

    pieces: tuple[ScalePiece, ...]

    @property
    def begin(self) -> datetime:
        return self.pieces[0].begin

    @property
    def end(self) -> datetime:
        return self.pieces[-1].end

    @property
    def width(self) -> float:
        return self.pieces[-1].x + self.pieces[-1].width + PADDING

    @property
    def breaks(self) -> tuple[ScalePiece, ...]:
        """The stretches that are not drawn to scale."""
        return tuple(piece for piece in self.pieces if piece.is_break)

    def x(self, at: datetime) -> float:
        """The position of an instant: it never decreases with time. Instants outside the scale are at its ends."""
        index = max(0, bisect_right(self.pieces, at, key=lambda piece: piece.begin) - 1)
        piece = self.pieces[index]
        share = (min(max(at, piece.begin), piece.end) - piece.begin) / (piece.end - piece.begin)
        return piece.x + share * piece.width

    def ticks(self, time: PageTime) -> list[ScaleTick]:
        """Round local times, at least the width of a label apart, also where the clocks change."""
        drawn = [piece for piece in self.pieces if not piece.is_break]
        length = sum((piece.end - piece.begin for piece in drawn), timedelta(0))
        width = sum(piece.width for piece in drawn)
        step = next((step for step in _STEPS if step / length * width >= _TICK_WIDTH), _STEPS[-1])
        return [
            ScaleTick(at, self.x(at), time.clock(at).words if step < timedelta(days=1) else time.short_day(at), is_day)
            for piece in drawn
            for at, is_day in _round_times(piece.begin, piece.end, step, time)
        ]


def build_scale(
    begin: datetime, end: datetime, *, busy: Iterable[Stretch], moments: Iterable[datetime], width: float
) -> TimeScale:
    """The scale from `begin` to `end`. Time in `busy`, and around `moments`, is drawn to scale. Needs begin < end.

    `width` includes the padding at both ends.
    """
    width -= 2 * PADDING
    quiet = _quiet_stretches(begin, end, sorted(busy, key=lambda one: one.begin), sorted(moments))
    breaks = _chosen_breaks(end - begin, quiet, width)
    drawn = (end - begin) - sum((one.end - one.begin for one in breaks), timedelta(0))
    of_second = (width - BREAK_WIDTH * len(breaks)) / drawn.total_seconds()
    pieces: list[ScalePiece] = []
    at, x = begin, PADDING
    for one in breaks:
        if at < one.begin:
            piece = ScalePiece(at, one.begin, x, (one.begin - at).total_seconds() * of_second, is_break=False)
            pieces.append(piece)
            x += piece.width
        pieces.append(ScalePiece(one.begin, one.end, x, BREAK_WIDTH, is_break=True))
        at, x = one.end, x + BREAK_WIDTH
    if at < end:
        pieces.append(ScalePiece(at, end, x, width + PADDING - x, is_break=False))
    return TimeScale(tuple(pieces))


def _quiet_stretches(
    begin: datetime, end: datetime, busy: Sequence[Stretch], moments: Sequence[datetime]
) -> list[Stretch]:
    quiet: list[Stretch] = []
    at = begin
    for one in (*busy, Stretch(end, end)):
        if at < one.begin:
            quiet += _between(at, min(one.begin, end), moments)
        at = max(at, one.end)
    return [one for one in quiet if one.begin < one.end]


def _between(begin: datetime, end: datetime, moments: Sequence[datetime]) -> Iterator[Stretch]:
    """The parts of a stretch between moments, with a margin around each moment, so that its mark is beside a break."""
    margin = min((end - begin) / 40, timedelta(hours=6))
    at = begin
    for moment in (*(moment for moment in moments if begin <= moment <= end), None):
        until = end if moment is None else moment - margin
        if at < until:
            yield Stretch(at, until)
        if moment is not None:
            at = max(at, moment + margin)


def _chosen_breaks(length: timedelta, quiet: Sequence[Stretch], width: float) -> list[Stretch]:
    """The quiet stretches that become breaks: the longest first, while each would take a large share of the rest."""
    chosen: list[Stretch] = []
    rest = length
    for one in sorted(quiet, key=lambda one: one.end - one.begin, reverse=True):
        stretch = one.end - one.begin
        is_full = BREAK_WIDTH * (len(chosen) + 1) > _MOST_BREAKS * width
        if is_full or stretch / rest < _LEAST_SHARE or stretch >= rest:
            break
        chosen.append(one)
        rest -= stretch
    return sorted(chosen, key=lambda one: one.begin)


def _round_times(begin: datetime, end: datetime, step: timedelta, time: PageTime) -> Iterator[tuple[datetime, bool]]:
    """The round local times in [begin, end), each with whether its local day begins there."""
    day, last = time.local(begin).date(), time.local(end).date()
    before: datetime | None = None
    while day <= last:
        for wall in _times_of_day(day, step):
            at = first_instant(wall, time.zone)
            if begin <= at < end and (before is None or at > before):
                yield at, wall.hour == wall.minute == 0
                before = at
        day += timedelta(days=1)


def _times_of_day(day: date, step: timedelta) -> Iterator[datetime]:
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 (a wall clock shows no zone)
    if step >= timedelta(days=1):
        if (day.toordinal() - _MONDAY) % step.days == 0:
            yield midnight
        return
    for number in range(timedelta(days=1) // step):
        yield midnight + number * step
