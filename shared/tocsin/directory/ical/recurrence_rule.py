"""Recurrence rules of an iCalendar (RFC 5545, 3.3.10), in local time.

Not by `dateutil`: it counts from the first occurrence, and searches for one up to the year 9999
(docs/decisions/0037-calendars-are-read-event-by-event.md).
"""

import re
from calendar import isleap, monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from itertools import islice, product
from typing import Final

from tocsin.directory.errors import UnreadableEventError
from tocsin.directory.ical.text import shown

_LAST_COUNTED: Final = datetime(2100, 12, 31)  # noqa: DTZ001 (a wall clock shows no zone)
"""A COUNT that is not used up by then has no effect."""
_MAX_EVENTS_PER_DAY: Final = 24
_MAX_LENGTH: Final = 2_000
_FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_TOO_FREQUENT: Final = ("HOURLY", "MINUTELY", "SECONDLY")
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEKDAY: Final = re.compile(rf"([+-]?[0-9]{{1,2}})?({'|'.join(_WEEKDAYS)})")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,6}")
_LIMITS: Final = {  # the smallest and the largest number of a part; where the smallest is negative, it is not 0
    "INTERVAL": (1, 999_999),
    "COUNT": (1, 999_999),
    "BYSETPOS": (-366, 366),
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
}
_IGNORED: Final = (("RSCALE", "GREGORIAN"), ("SKIP", "OMIT"))
_Numbers = frozenset[int]
_NONE: Final[_Numbers] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrenceRule:
    """A valid RRULE of a series that begins at the local time `start`. `until` is its last local time, if any.

    `days` are weekdays (Monday is 0), each with its number within the month or year; 0 means all of them.
    """

    frequency: str
    start: datetime
    interval: int
    until: datetime | None
    week_start: int
    times: tuple[time, ...]
    months: _Numbers
    month_days: _Numbers
    year_days: _Numbers
    weeks: _Numbers
    days: frozenset[tuple[int, int]]
    positions: _Numbers

    @property
    def includes_start(self) -> bool:
        """Whether the series begins at `start` (it does, whatever the rule says) and not after its end."""
        return self.until is None or self.until >= self.start

    @property
    def most_per_year(self) -> int:
        """An upper bound for the occurrences that begin within a year."""
        months = len(self.months) or 12
        of_weekdays = sum(5 * months if number == 0 else months if self.months else 1 for number, _ in self.days)
        per_period = {
            "DAILY": 1,
            "WEEKLY": len(self.days),
            "MONTHLY": len(self.month_days) or 5 * len(self.days) or 31,
            "YEARLY": months * len(self.month_days) or len(self.year_days) or of_weekdays or 366,
        }[self.frequency] * len(self.times)
        days = 366 if self.until is None else max(1, min(366, (self.until - self.start).days + 1))
        periods = days // ({"DAILY": 1, "WEEKLY": 7, "MONTHLY": 28, "YEARLY": 365}[self.frequency] * self.interval) + 2
        return (min(per_period, len(self.positions)) if self.positions else per_period) * periods

    def between(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """Yield the local times from `first` to `last`, in order."""
        first = max(first, self.start)
        last = last if self.until is None else min(last, self.until)
        if first > last:
            return
        for days in self._periods(first.date(), last.date()):
            found = [datetime.combine(day, at) for day in days if self._includes(day) for at in self.times]
            if self.positions:
                size = len(found)
                indexes = {position - 1 if position > 0 else size + position for position in self.positions}
                found = [found[index] for index in sorted(indexes) if 0 <= index < size]
            yield from (at for at in found if first <= at <= last)

    def _periods(self, first: date, last: date) -> Iterator[list[date]]:
        """Yield the days of each year, month, week or day of the rule between two days, and a few around them."""
        start = self.start.date()
        if self.frequency in ("DAILY", "WEEKLY"):
            length = 1 if self.frequency == "DAILY" else 7
            begin = start.toordinal() - (start.weekday() - self.week_start) % length
            step = length * self.interval
            begin += max(0, (first.toordinal() - begin) // step) * step
            for number in range(begin, last.toordinal() + 1, step):
                yield [date.fromordinal(day) for day in range(number, number + length)]
        elif self.frequency == "MONTHLY":
            begin, end = _month(start), _month(last)
            begin += max(0, (_month(first) - begin) // self.interval) * self.interval
            for number in range(begin, end + 1, self.interval):
                year, month = divmod(number, 12)
                yield _days(year, month + 1)
        else:
            begin = start.year + max(0, (first.year - start.year) // self.interval) * self.interval
            for year in range(begin, last.year + 1, self.interval):
                yield [day for month in sorted(self.months) or range(1, 13) for day in _days(year, month)]

    def _includes(self, day: date) -> bool:
        if self.months and day.month not in self.months:
            return False
        if self.month_days and not _is_listed(self.month_days, day.day, monthrange(day.year, day.month)[1]):
            return False
        if self.year_days and not _is_listed(self.year_days, day.timetuple().tm_yday, _year_length(day.year)):
            return False
        if self.weeks:
            year, week, _ = day.isocalendar()
            if not _is_listed(self.weeks, week, date(year, 12, 28).isocalendar().week):
                return False
        return not self.days or self._includes_weekday(day)

    def _includes_weekday(self, day: date) -> bool:
        weekday = day.weekday()
        if (0, weekday) in self.days:
            return True
        if self.frequency == "MONTHLY" or self.months:
            index, length = day.day - 1, monthrange(day.year, day.month)[1]
        else:
            index, length = day.timetuple().tm_yday - 1, _year_length(day.year)
        return (index // 7 + 1, weekday) in self.days or (-((length - 1 - index) // 7) - 1, weekday) in self.days


def read_rule(
    text: str, start: datetime, until_of: Callable[[str], datetime | None], *, is_day: bool = False
) -> RecurrenceRule:
    """Return the rule of a series that begins at the local `start`. Raises UnreadableEventError.

    `until_of` returns the last local time that an UNTIL allows, or None if it is invalid. Hours, minutes and seconds
    of a series of whole days (`is_day`) have no effect.
    """
    parts = _split(text)
    frequency = parts.pop("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise _too_often() if frequency in _TOO_FREQUENT else _invalid("FREQ", frequency)
    until = None
    if "UNTIL" in parts:
        until = until_of(parts["UNTIL"])
        if until is None:
            raise _invalid("UNTIL", parts["UNTIL"])
        del parts["UNTIL"]
    days = _read_days(parts.pop("BYDAY", ""), frequency)
    week_start = _read_days(parts.pop("WKST", "MO"), "WEEKLY")
    numbers = {name: _read_numbers(name, value) for name, value in parts.items()}
    month_days, months = numbers.get("BYMONTHDAY", _NONE), numbers.get("BYMONTH", _NONE)
    if not (days or month_days or "BYYEARDAY" in numbers):
        if frequency == "WEEKLY" or "BYWEEKNO" in numbers:
            days = frozenset({(0, start.weekday())})
        elif frequency != "DAILY":
            month_days = frozenset({start.day})
            if frequency == "YEARLY":
                months = months or frozenset({start.month})
    rule = RecurrenceRule(
        frequency=frequency,
        start=start,
        interval=min(numbers.get("INTERVAL", {1})),
        until=until,
        week_start=min(week_start)[1],
        times=(time(),) if is_day else _read_times(numbers, start),
        months=months,
        month_days=month_days,
        year_days=numbers.get("BYYEARDAY", _NONE),
        weeks=numbers.get("BYWEEKNO", _NONE),
        days=days,
        positions=numbers.get("BYSETPOS", _NONE),
    )
    return _end_after(rule, min(numbers["COUNT"])) if "COUNT" in numbers else rule


def _end_after(rule: RecurrenceRule, count: int) -> RecurrenceRule:
    found = list(islice(rule.between(rule.start, _LAST_COUNTED), count))
    if len(found) < count:
        return rule
    return replace(rule, until=found[-1] if rule.until is None else min(found[-1], rule.until))


def _split(text: str) -> dict[str, str]:
    if len(text) > _MAX_LENGTH:
        raise UnreadableEventError(f"has an RRULE of {len(text)} characters; the limit is {_MAX_LENGTH}")
    parts: dict[str, str] = {}
    for part in text.upper().split(";"):
        name, _, value = (half.strip() for half in part.partition("="))
        if (name, value) in _IGNORED or not part.strip():
            continue
        if name in parts or name not in (*_LIMITS, "FREQ", "UNTIL", "BYDAY", "WKST"):
            raise _invalid(name, value)
        parts[name] = value
    return parts


def _read_numbers(name: str, text: str) -> _Numbers:
    smallest, largest = _LIMITS[name]
    numbers = set()
    for part in text.split(","):
        number = int(part) if _NUMBER.fullmatch(part.strip()) else None
        if number is None or not smallest <= number <= largest or (number == 0 and smallest < 0):
            raise _invalid(name, text, f"use numbers from {smallest} to {largest}")
        numbers.add(number)
    return frozenset(numbers)


def _read_days(text: str, frequency: str) -> frozenset[tuple[int, int]]:
    """Return the weekdays of BYDAY. Only months and years count them (`2TU`)."""
    days = set()
    for part in text.split(",") if text else ():
        found = _WEEKDAY.fullmatch(part.strip())
        if found is None:
            raise _invalid("BYDAY", text)
        number = int(found[1] or 0) if frequency in ("MONTHLY", "YEARLY") else 0
        days.add((number, _WEEKDAYS.index(found[2])))
    return frozenset(days)


def _read_times(numbers: dict[str, _Numbers], start: datetime) -> tuple[time, ...]:
    defaults = {"BYHOUR": start.hour, "BYMINUTE": start.minute, "BYSECOND": start.second}
    parts = [sorted(numbers.get(name, {default})) for name, default in defaults.items()]
    times = tuple(time(hour, minute, second) for hour, minute, second in product(*parts))
    if len(times) > _MAX_EVENTS_PER_DAY:
        raise _too_often()
    return times


def _too_often() -> UnreadableEventError:
    return UnreadableEventError("recurs too often; make it recur daily or less often")


def _invalid(name: str, value: str, hint: str = "correct it") -> UnreadableEventError:
    return UnreadableEventError(f"has an invalid RRULE (`{shown(f'{name}={value}')}`); {hint}")


def _is_listed(numbers: _Numbers, number: int, length: int) -> bool:
    """Whether the number is listed, counted from the beginning of a period of that length, or from its end."""
    return number in numbers or number - length - 1 in numbers


def _days(year: int, month: int) -> list[date]:
    return [date(year, month, day) for day in range(1, monthrange(year, month)[1] + 1)]


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1


def _year_length(year: int) -> int:
    return 366 if isleap(year) else 365
