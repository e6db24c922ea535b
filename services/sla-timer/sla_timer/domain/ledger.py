"""Explains a deadline: every counted and excluded interval of a clock, as data and in words; and the time that is left.

Pure.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tocsin.business_time import SECOND, Business, render

from sla_timer.domain.clock import Clock, ClockOutcome
from sla_timer.domain.timeline import ExcludedInterval, Timeline

LIMIT: Final = 1000
"""The most intervals listed for one clock. A ticket that stays open for years has more openings than anyone reads."""

REMAINING_LIMIT: Final = 100
"""The most remaining intervals listed for one clock. The start of a ticket's work may be months ahead."""


def ledger(timeline: Timeline) -> list[dict[str, Any]]:
    """One account for each clock of the timeline, as JSON data: its start, target, deadline and intervals.

    Counted and excluded seconds of the intervals add up to the gross time; `truncated` says that some are left out.
    """
    return [account(clock, timeline.excluded) for clock in timeline.clocks]


def account(clock: Clock, excluded: Sequence[ExcludedInterval], limit: int = LIMIT) -> dict[str, Any]:
    """The account of one clock, as JSON data, with the first `limit` intervals."""
    intervals = _intervals(clock, excluded)
    return {
        "cycle": clock.cycle,
        "clock": clock.name,
        "started_at": render(clock.started_at),
        "target": clock.target.words,
        "target_seconds": clock.target.due / SECOND,
        "measure": clock.target.measure.name,
        "due_at": None if clock.due_at is None else render(clock.due_at),
        "counted_seconds": clock.net / SECOND,
        "excluded_seconds": (clock.gross - clock.net) / SECOND,
        "intervals": [
            {
                "from": render(begin),
                "to": render(end),
                "counted": reason == "counted",
                "seconds": (end - begin) / SECOND,
                "reason": reason,
            }
            for begin, end, reason in intervals[:limit]
        ],
        "truncated": len(intervals) > limit,
        "words": _words(clock),
    }


def durations(clock: Clock, excluded: Sequence[ExcludedInterval]) -> Counter[str]:
    """The gross time of a clock in microseconds, by `counted`, `paused`, `closed` and `outside business hours`."""
    total: Counter[str] = Counter()
    for begin, end, reason in _intervals(clock, excluded):
        total[reason] += end - begin
    return total


def remaining_json(clock: Clock) -> dict[str, Any]:
    """The target of a clock, and the time that is left, as JSON data.

    `remaining` are the intervals that the clock counts from the instant of the evaluation to its deadline, if no
    further fact arrives; `remaining_seconds` is their sum, also where `remaining_truncated` says that some are left
    out. There are none unless the clock is running and its deadline lies in the future.
    """
    due_at = clock.due_at if clock.outcome is ClockOutcome.RUNNING else None
    ahead = [] if due_at is None else _counted(clock, start=clock.end, end=due_at)
    counted = [(begin, end) for begin, end, reason in ahead if reason == "counted"]
    return {
        "target": clock.target.words,
        "target_seconds": clock.target.due / SECOND,
        "measure": clock.target.measure.name,
        "remaining": [{"from": render(begin), "to": render(end)} for begin, end in counted[:REMAINING_LIMIT]],
        "remaining_seconds": sum(end - begin for begin, end in counted) / SECOND,
        "remaining_truncated": len(counted) > REMAINING_LIMIT,
    }


def _intervals(clock: Clock, excluded: Sequence[ExcludedInterval]) -> list[tuple[int, int, str]]:
    """(from, to, reason) in order, without gaps; reason `counted`, `paused`, `closed` or `outside business hours`."""
    intervals: list[tuple[int, int, str]] = []
    at = clock.started_at
    for begin, end, reason in _excluded_from(clock, excluded):
        intervals += _counted(clock, start=at, end=begin)
        intervals.append((begin, end, reason))
        at = end
    return intervals + _counted(clock, start=at, end=clock.end)


def _excluded_from(clock: Clock, excluded: Sequence[ExcludedInterval]) -> Iterator[tuple[int, int, str]]:
    """The parts of the excluded intervals in which this clock does not count."""
    for interval in excluded:
        begin = max(interval.start, clock.started_at)
        end = clock.end if interval.end is None else min(interval.end, clock.end)
        if begin < end and (interval.closed or clock.name == "resolution"):
            yield begin, end, "closed" if interval.closed else "paused"


def _counted(clock: Clock, *, start: int, end: int) -> list[tuple[int, int, str]]:
    measure = clock.target.measure
    if not isinstance(measure, Business):
        return [(start, end, "counted")] if start < end else []
    intervals: list[tuple[int, int, str]] = []
    at = start
    for opening, closing in measure.stretches(start, end):
        if at < opening:
            intervals.append((at, opening, "outside business hours"))
        intervals.append((opening, closing, "counted"))
        at = closing
    if at < end:
        intervals.append((at, end, "outside business hours"))
    return intervals


def _words(clock: Clock) -> str:
    begin = "provisionally from the response deadline" if clock.provisional else f"from {render(clock.started_at)}"
    measure = clock.target.measure.name
    counted = "around the clock" if measure == "elapsed" else f"on the calendar {measure}"
    due = "unknown while the ticket waits for its customer" if clock.due_at is None else render(clock.due_at)
    start = "; the start of the work is later" if clock.by_start else ""
    return f"{clock.target.words} {begin}, counted {counted} outside pauses and closed times{start}: due {due}"
