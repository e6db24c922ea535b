"""The ledger of a clock in plain words: the time that counted or not, and the deadline that follows. Pure.

Amounts are in whole seconds. They are rounded so that the amounts of a clock add up to what sla-timer counted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise
from typing import Final

from tocsin.events import Fact, FactType

from board.domain.clock_ledger import ClockAccount, LedgerInterval
from board.domain.time_words import Moment, PageTime, Words, seconds_words

_LEAST_DAYS: Final = 3
"""This many equal working days in a row are one line."""
_MOST_DAYS_OFF: Final = 5
_SATURDAY: Final = 5
_WAITING: Final = "waiting for the customer"


@dataclass(frozen=True, slots=True)
class LedgerSentence:
    """A sentence about a stretch of time. `counted` is what the clock counted in it; zero if it did not run."""

    words: Words
    counted: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A sentence whose counted amount is still to be rounded: the timedelta among its words."""

    words: tuple[str | Moment | timedelta, ...]
    counted: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class _WorkingDay:
    """The counted time of one local day, from `begin` to `end` with breaks."""

    day: date
    begin: datetime
    end: datetime
    counted: timedelta

    def equals(self, other: "_WorkingDay", time: PageTime) -> bool:
        """Whether both count the same time at the same hours by the wall clock."""
        hours = [
            (time.local(one.begin).time(), time.local(one.end).time(), one.counted, one.spans_days(time))
            for one in (self, other)
        ]
        return hours[0] == hours[1] and not self.spans_days(time)

    def spans_days(self, time: PageTime) -> bool:
        return time.local(self.end - timedelta.resolution).date() != self.day


@dataclass(frozen=True, slots=True)
class LedgerContext:
    """The context of an account: the facts (why it was paused or closed), and the start of the work.

    `provisional`: nobody has responded, so the deadline of the resolution clock is counted from that of the response.
    """

    facts: Sequence[Fact]
    starts_at: datetime | None = None
    provisional: bool = False


def ledger_lines(account: ClockAccount, context: LedgerContext, time: PageTime) -> list[LedgerSentence]:
    """The account of a clock in sentences, whose amounts add up to `account.counted`, in whole seconds."""
    lines = [_Draft(_start(account, context, time))]
    reasons = _Reasons(context.facts)
    by_run = groupby(account.intervals, key=lambda interval: interval.reason in ("paused", "closed"))
    for excluded, run in by_run:
        if excluded:
            lines += [_excluded_line(interval, reasons, time) for interval in run]
        else:
            lines += _counted_lines(list(run), time)
    listed = sum((line.counted for line in lines), timedelta(0))
    if account.counted != listed:
        rest = account.counted - listed
        since = time.exact(account.listed_to)
        lines.append(_Draft((rest, " counted after ", since, ", in more stretches than are listed here."), rest))
    lines.append(_total(account, context))
    lines.append(_deadline(account, context, time))
    return list(_rounded(lines))


def _rounded(drafts: Iterable[_Draft]) -> Iterator[LedgerSentence]:
    """The sentences with amounts in whole seconds: the rounded sum after each, less the one before it."""
    total = timedelta(0)
    for draft in drafts:
        shown = _whole(total + draft.counted) - _whole(total)
        total += draft.counted
        if draft.counted and not shown:
            continue
        words = (seconds_words(shown) if isinstance(part, timedelta) else part for part in draft.words)
        yield LedgerSentence(tuple(words), draft.counted)


def _whole(duration: timedelta) -> timedelta:
    return timedelta(seconds=round(duration / timedelta(seconds=1)))


def _start(account: ClockAccount, context: LedgerContext, time: PageTime) -> Words:
    measure = "around the clock" if account.measure == "elapsed" else f"in the hours of the calendar {account.measure}"
    target = f". Target: {account.target}, counted {measure}."
    if context.provisional:
        return ("Opened ", time.exact(account.started_at), f"{target} Nobody has responded yet.")
    begins = "Counted from the first response, " if account.name == "resolution" else "Opened "
    return (begins, time.exact(account.started_at), target)


def _total(account: ClockAccount, context: LedgerContext) -> _Draft:
    if context.provisional:
        return _Draft((f"In total {seconds_words(account.counted)} since the opening.",))
    target = timedelta(seconds=account.target_seconds)
    return _Draft((f"In total {seconds_words(account.counted)} of {seconds_words(target)} used.",))


def _deadline(account: ClockAccount, context: LedgerContext, time: PageTime) -> _Draft:
    if account.due_at is None:
        return _Draft(("Deadline: unknown while the ticket waits for its customer.",))
    why = "."
    if account.name == "resolution" and account.due_at == context.starts_at:
        why = ", the start of the work, which is later than the target."
    elif context.provisional:
        why = ", counted from the response deadline. The first response sets the final one."
    return _Draft(("Deadline: ", time.exact(account.due_at), why))


class _Reasons:
    """Why a ticket was paused or closed at an instant, by its facts."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self._by_instant = {fact.occurred_at: fact for fact in facts if fact.type in _STOPS}

    def words(self, interval: LedgerInterval) -> str:
        """In brackets, or empty."""
        fact = self._by_instant.get(interval.begin)
        if interval.reason == "paused":
            stated = fact.reason if fact is not None and fact.type is FactType.PAUSED else None
            return f" ({_PAUSE_REASONS.get(stated, stated)})"
        return f" ({_STOPS[fact.type]})" if fact and _STOPS[fact.type] else ""


_PAUSE_REASONS: Final = {None: _WAITING, "waiting_customer": _WAITING}
_STOPS: Final = {FactType.PAUSED: "", FactType.RESOLVED: "resolved", FactType.CANCELLED: "cancelled"}


def _excluded_line(interval: LedgerInterval, reasons: _Reasons, time: PageTime) -> _Draft:
    verb = "Paused" if interval.reason == "paused" else "Closed"
    lasted = f"{verb} for {seconds_words(interval.length)}{reasons.words(interval)}, from "
    return _Draft((lasted, time.exact(interval.begin), " to ", _end(interval.begin, interval.end, time), "."))


def _counted_lines(run: Sequence[LedgerInterval], time: PageTime) -> Iterator[_Draft]:
    """The lines of a stretch without pauses. Around the clock it is one interval, otherwise one line for each day."""
    if all(interval.reason == "counted" for interval in run):
        for interval in run:
            begin, end = interval.begin, interval.end
            stretch = (time.exact(begin), " to ", _end(begin, end, time), ".")
            yield _Draft((interval.length, " counted, from ", *stretch), interval.length)
        return
    days = _working_days(run, time)
    if not days:
        yield _outside(run[0].begin, run[-1].end, time)
        return
    begins_inside, ends_inside = run[0].reason == "counted", run[-1].reason == "counted"
    if not begins_inside and _spans_days(run[0], time):
        yield _outside(run[0].begin, run[0].end, time)
    groups = _equal_days(days, time)
    for index, group in enumerate(groups):
        if index:
            yield from _days_off(groups[index - 1][-1].day, group[0].day, time)
        if len(group) >= _LEAST_DAYS:
            yield _days_line(group, time)
            continue
        for number, day in enumerate(group):
            if number:
                yield from _days_off(group[number - 1].day, day.day, time)
            is_first = begins_inside and index == number == 0
            is_last = ends_inside and index == len(groups) - 1 and number == len(group) - 1
            yield _day_line(day, until_closing=is_first and not is_last, time=time)
    if not ends_inside and _spans_days(run[-1], time):
        yield _outside(run[-1].begin, run[-1].end, time)


def _outside(begin: datetime, end: datetime, time: PageTime) -> _Draft:
    return _Draft(("Outside business hours from ", time.exact(begin), " to ", _end(begin, end, time), "."))


def _spans_days(interval: LedgerInterval, time: PageTime) -> bool:
    return time.local(interval.begin).date() != time.local(interval.end).date()


def _working_days(run: Iterable[LedgerInterval], time: PageTime) -> list[_WorkingDay]:
    counted = [interval for interval in run if interval.reason == "counted"]
    by_day = groupby(counted, key=lambda interval: time.local(interval.begin).date())
    days = []
    for day, intervals in by_day:
        known = list(intervals)
        total = sum((interval.length for interval in known), timedelta(0))
        days.append(_WorkingDay(day, known[0].begin, known[-1].end, total))
    return days


def _equal_days(days: Sequence[_WorkingDay], time: PageTime) -> list[list[_WorkingDay]]:
    groups = [[days[0]]]
    for before, day in pairwise(days):
        if before.equals(day, time):
            groups[-1].append(day)
        else:
            groups.append([day])
    return groups


def _day_line(day: _WorkingDay, *, until_closing: bool, time: PageTime) -> _Draft:
    if until_closing:
        return _Draft((day.counted, " counted until closing at ", time.clock(day.end), "."), day.counted)
    hours = (time.clock(day.begin), " to ", _end(day.begin, day.end, time), ").")
    return _Draft((day.counted, f" counted on {time.date_words(day.day)} (", *hours), day.counted)


def _days_line(group: Sequence[_WorkingDay], time: PageTime) -> _Draft:
    """One line for equal working days, with the weekdays between them that did not count."""
    each = group[0].counted
    total = each * len(group)
    first, last = time.date_words(group[0].day), time.date_words(group[-1].day)
    words = f" counted), {first} to {last}."
    gaps = [days_between(before.day, after.day) for before, after in pairwise(group)]
    weekdays = [day for gap in gaps for day in gap if day.weekday() < _SATURDAY]
    if weekdays:
        shown = ", ".join(time.date_words(day) for day in weekdays[:_MOST_DAYS_OFF])
        more = f" and {len(weekdays) - _MOST_DAYS_OFF} more days" if len(weekdays) > _MOST_DAYS_OFF else ""
        words += f" In between, {shown}{more} did not count."
    return _Draft((f"{len(group)} working days of {seconds_words(each)} (", total, words), total)


def _days_off(before: date, after: date, time: PageTime) -> Iterator[_Draft]:
    """The words for the whole days between two working days."""
    off = days_between(before, after)
    if not off:
        return
    if [day.weekday() for day in off] == [5, 6]:
        yield _Draft(("The weekend did not count.",))
    elif len(off) <= 2:
        yield _Draft((f"{' and '.join(time.date_words(day) for day in off)} did not count.",))
    else:
        yield _Draft((f"{time.date_words(off[0])} to {time.date_words(off[-1])} did not count.",))


def days_between(before: date, after: date) -> list[date]:
    """The days after `before` and before `after`."""
    return [before + timedelta(days=number) for number in range(1, (after - before).days)]


def _end(begin: datetime, end: datetime, time: PageTime) -> Moment:
    """The end of a stretch: its time alone on the day of its beginning."""
    is_same_day = time.local(begin).date() == time.local(end).date()
    return time.clock(end) if is_same_day else time.exact(end)
