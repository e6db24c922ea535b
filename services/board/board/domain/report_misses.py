"""Each missed target of a month, with its reason in words and its ledger. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from tocsin.events import ClockName

from board.domain.report_input import ReportedAccount, ReportedClock, ReportedInterval
from board.domain.report_words import duration_words, instant_words

LEDGER_LINES: Final = 12
"""The most lines of a ledger in a report. Adjacent nights and weekends are one line."""
_NOT_COUNTED: Final = "not counted: {}"
_REASONS: Final = {
    "paused": "waiting for the customer",
    "closed": "the ticket was closed",
    "outside business hours": "outside business hours",
}


@dataclass(frozen=True, slots=True)
class MissLedgerLine:
    """A stretch of a clock's time in a report."""

    begin: datetime
    end: datetime
    seconds: float
    words: str


@dataclass(frozen=True, slots=True)
class Miss:
    """A missed target. `late_seconds` is the counted time after the deadline, null while the clock runs or without one.

    `ledger` are the first lines; `ledger_lines` is how many there are in all, at least.
    """

    ticket_id: UUID
    source: str
    external_id: str
    summary: str
    customer: str
    clock: ClockName
    severity: int
    cycle: int
    category: str
    target: str
    started_at: datetime
    due_at: datetime | None
    missed_at: datetime
    ended_at: datetime | None
    net_seconds: float
    late_seconds: float | None
    historic: bool
    unconfirmed: bool
    reason: str
    account: str
    ledger: tuple[MissLedgerLine, ...]
    ledger_lines: int
    ledger_truncated: bool


def misses_of(clocks: Iterable[ReportedClock], zone: ZoneInfo) -> tuple[Miss, ...]:
    """The missed targets among these clocks, in their order."""
    return tuple(_miss(clock, zone) for clock in clocks if clock.outcome == "breached")


def _miss(clock: ReportedClock, zone: ZoneInfo) -> Miss:
    late = _late(clock)
    lines = _ledger_lines(clock.ledger) if clock.ledger else []
    return Miss(
        ticket_id=clock.ticket_id,
        source=clock.source,
        external_id=clock.external_id,
        summary=clock.summary,
        customer=clock.customer.name,
        clock=clock.clock,
        severity=clock.severity,
        cycle=clock.cycle,
        category=clock.category,
        target=clock.target,
        started_at=clock.started_at,
        due_at=clock.due_at,
        missed_at=clock.outcome_at,
        ended_at=clock.ended_at,
        net_seconds=clock.net.total_seconds(),
        late_seconds=None if late is None else late.total_seconds(),
        historic=clock.historic,
        unconfirmed=clock.unconfirmed,
        reason=" ".join(_reason(clock, late, zone)),
        account=clock.ledger.words if clock.ledger else "",
        ledger=tuple(lines[:LEDGER_LINES]),
        ledger_lines=len(lines),
        ledger_truncated=clock.ledger is not None and clock.ledger.truncated,
    )


def _late(clock: ReportedClock) -> timedelta | None:
    """The counted time after the missed deadline; null while the clock runs or without a deadline."""
    if clock.ended_at is None or clock.silent or clock.by_start or clock.due_at != clock.outcome_at:
        return None
    return max(timedelta(0), clock.net - clock.target_time)


def _reason(clock: ReportedClock, late: timedelta | None, zone: ZoneInfo) -> Iterator[str]:
    """Sentences: why the target was missed, how the clock ended, and what did not count."""
    missed = instant_words(clock.outcome_at, zone)
    if clock.silent:
        yield (
            f"Nobody had responded when the ticket was resolved at {missed},"
            " and the deadline for a resolution without a response had passed."
        )
        return
    yield _miss_words(clock, missed, zone)
    if clock.ended_at is None:
        yield "The clock still runs."
    else:
        ended = instant_words(clock.ended_at, zone)
        later = f", {duration_words(late.total_seconds())} of counted time later" if late else ""
        yield f"The clock ended at {ended}{later}."
    excluded = [
        f"{duration_words(length.total_seconds())} {words}"
        for length, words in (
            (clock.paused, "of waiting for the customer"),
            (clock.outside_hours, "outside business hours"),
            (clock.closed, "while the ticket was closed"),
        )
        if length
    ]
    if excluded:
        yield f"Not counted: {', '.join(excluded)}."
    if clock.historic:
        yield "Imported as history."
    if clock.unconfirmed:
        yield "Not confirmed yet: intake was silent."


def _miss_words(clock: ReportedClock, missed: str, zone: ZoneInfo) -> str:
    undone = {
        "response": "Nobody had responded",
        "answer": "Nobody had answered the e-mail",
        "resolution": "The ticket was not resolved",
    }[clock.clock]
    if clock.due_at is None or clock.due_at == clock.outcome_at:
        by = "the start of the work, " if clock.by_start else ""
        return f"{undone} by {by}{missed}."
    due = instant_words(clock.due_at, zone)
    if clock.due_at < clock.outcome_at:
        return f"A change at {missed} put the deadline at {due}, which had passed: the target is missed at the change."
    return f"{undone} by {missed}. A later change moved the deadline to {due}; the miss stays."


def _ledger_lines(account: ReportedAccount) -> list[MissLedgerLine]:
    """The intervals as lines. Counted days with the nights between them are one line, so that years stay readable."""
    lines: list[MissLedgerLine] = []
    for part in _runs(account.intervals):
        counted = sum((one.length for one in part if one.reason == "counted"), timedelta(0))
        outside = sum((one.length for one in part if one.reason == "outside business hours"), timedelta(0))
        first = part[0]
        if first.reason in ("paused", "closed"):
            words = _NOT_COUNTED.format(_REASONS[first.reason])
            seconds = first.length.total_seconds()
        elif counted:
            words = "counted"
            if outside:
                words += f"; {duration_words(outside.total_seconds())} outside business hours not counted"
            seconds = counted.total_seconds()
        else:
            words, seconds = _NOT_COUNTED.format(_REASONS["outside business hours"]), outside.total_seconds()
        lines.append(MissLedgerLine(first.begin, part[-1].end, seconds, words))
    return lines


def _runs(intervals: Sequence[ReportedInterval]) -> Iterator[list[ReportedInterval]]:
    """The intervals in order; pauses and closed times alone, what lies between them together."""
    part: list[ReportedInterval] = []
    for one in intervals:
        if one.reason in ("paused", "closed"):
            if part:
                yield part
            yield [one]
            part = []
        else:
            part.append(one)
    if part:
        yield part
