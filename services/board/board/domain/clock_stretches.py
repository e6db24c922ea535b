"""Divides the time of a clock, until its deadline, into stretches that count or not. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from board.domain.board_ticket import BoardClock, ClockState, Stretch
from board.domain.clock_ledger import ClockAccount, IntervalReason


class BarKind(StrEnum):
    """The kind of a stretch of a lane; also its CSS class."""

    USED = "used"
    OVER = "over"
    LEFT = "left"
    PAUSED = "paused"
    CLOSED = "closed"
    IDLE = "idle"
    RUNNING = "running"
    HELD = "held"


_BAR_KINDS: Final[dict[IntervalReason, BarKind]] = {
    "counted": BarKind.USED,
    "paused": BarKind.PAUSED,
    "closed": BarKind.CLOSED,
    "outside business hours": BarKind.IDLE,
}


def clock_stretches(clock: BoardClock, account: ClockAccount | None, now: datetime) -> list[tuple[Stretch, BarKind]]:
    """The stretches of a clock from its start to its deadline, in order and without overlaps.

    Without an account, only the start and the end of its past are known.
    """
    past_end = min(clock.ended_at or now, max(now, clock.started_at))
    if account is None:
        kind = BarKind.PAUSED if clock.state is ClockState.PAUSED else BarKind.USED
        past = [(Stretch(clock.started_at, past_end), kind)]
    else:
        past = [(Stretch(one.begin, one.end), _BAR_KINDS[one.reason]) for one in account.intervals]
        past.append((Stretch(account.listed_to, max(past_end, account.listed_to)), _continued(clock, account, past)))
    ahead = list(_ahead(clock, max(now, past[-1][0].end)))
    whole = [(stretch, kind) for stretch, kind in (*past, *ahead) if stretch.begin < stretch.end]
    silent_since = clock.due_at if clock.provisional and clock.name == "resolution" else None
    return list(_split_at_breach(whole, clock.breached_at or silent_since))


def _continued(clock: BoardClock, account: ClockAccount, past: Sequence[tuple[Stretch, BarKind]]) -> BarKind:
    """The kind of the stretch after the last listed interval."""
    if account.truncated or not past or clock.state is ClockState.PAUSED:
        return BarKind.PAUSED if clock.state is ClockState.PAUSED else BarKind.USED
    return past[-1][1]


def _ahead(clock: BoardClock, now: datetime) -> Iterator[tuple[Stretch, BarKind]]:
    if clock.state is not ClockState.RUNNING or clock.due_at is None:
        return
    at = now
    for one in clock.remaining:
        begin, end = max(one.begin, at), one.end
        if begin < end:
            yield Stretch(at, begin), BarKind.IDLE
            yield Stretch(begin, end), BarKind.LEFT
            at = end
    if at < clock.due_at:
        yield Stretch(at, clock.due_at), BarKind.LEFT


def _split_at_breach(
    stretches: Iterable[tuple[Stretch, BarKind]], breached_at: datetime | None
) -> Iterator[tuple[Stretch, BarKind]]:
    for stretch, kind in stretches:
        if kind is not BarKind.USED or breached_at is None or stretch.end <= breached_at:
            yield stretch, kind
        elif stretch.begin >= breached_at:
            yield stretch, BarKind.OVER
        else:
            yield Stretch(stretch.begin, breached_at), BarKind.USED
            yield Stretch(breached_at, stretch.end), BarKind.OVER
