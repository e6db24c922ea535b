"""Why a due is what it is: every counted and excluded interval of a clock, in data and in words. Pure."""

from typing import Any, Final

from tocsin.business_time import SECOND, Business, render

from sla_timer.domain.clock import Clock
from sla_timer.domain.timeline import Timeline

LIMIT: Final = 1000
"""Intervals shown of one clock; a ticket that stays open for years has more openings than anybody reads."""


def ledger(timeline: Timeline, until: int) -> list[dict[str, Any]]:
    """One account for each clock of the timeline, told to `until`: start, target, due, and where its time went.

    Counted and excluded seconds of the intervals add up to the gross time; `truncated` tells that some are left out.
    """
    return [_account(timeline, clock, until) for clock in timeline.clocks]


def _account(timeline: Timeline, clock: Clock, until: int) -> dict[str, Any]:
    end = until if clock.ended_at is None else clock.ended_at
    intervals = _intervals(timeline, clock, end)
    return {
        "cycle": clock.cycle,
        "clock": clock.name,
        "started_at": render(clock.started_at),
        "target": clock.target.words,
        "target_seconds": clock.target.due / SECOND,
        "measure": clock.target.measure.name,
        "due_at": None if clock.due is None else render(clock.due),
        "counted_seconds": clock.net_until(end) / SECOND,
        "excluded_seconds": (end - clock.started_at - clock.net_until(end)) / SECOND,
        "intervals": [
            {
                "from": render(begin),
                "to": render(stop),
                "counted": reason == "counted",
                "seconds": (stop - begin) / SECOND,
                "reason": reason,
            }
            for begin, stop, reason in intervals[:LIMIT]
        ],
        "truncated": len(intervals) > LIMIT,
        "words": _words(clock),
    }


def _intervals(timeline: Timeline, clock: Clock, end: int) -> list[tuple[int, int, str]]:
    """(from, to, reason) in order, without gaps; reason `counted`, `paused`, `closed` or `outside business hours`."""
    closed = {begin for begin, _ in timeline.gaps.between(clock.started_at, end)}
    intervals: list[tuple[int, int, str]] = []
    at = clock.started_at
    for begin, stop in clock.excluded.between(clock.started_at, end):
        intervals += _counted(clock, at, begin)
        intervals.append((begin, stop, "closed" if begin in closed else "paused"))
        at = stop
    return intervals + _counted(clock, at, end)


def _counted(clock: Clock, start: int, end: int) -> list[tuple[int, int, str]]:
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
    begin = "provisionally from the response's due" if clock.provisional else f"from {render(clock.started_at)}"
    on = (
        "around the clock" if clock.target.measure.name == "elapsed" else f"on the calendar {clock.target.measure.name}"
    )
    due = "unknown while the ticket waits for its customer" if clock.due is None else render(clock.due)
    return f"{clock.target.words} {begin}, counted {on} outside pauses and closed times: due {due}"
