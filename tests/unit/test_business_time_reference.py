"""Business time against a slow reference that shares no code with it: a wall clock, read every minute."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from tocsin.business_time import HOUR, MINUTE, Business, Holidays, add, counted, micros

Hours = dict[int, list[tuple[str, str]]]

OFFICE: Hours = {day: [("08:00", "17:00")] for day in range(5)}
SHIFTS: Hours = {day: [("00:00", "06:15"), ("06:15", "12:00"), ("20:00", "24:00")] for day in range(7)}
AROUND_THE_CLOCK: Hours = {day: [("00:00", "24:00")] for day in range(7)}
AT_THE_CHANGE: Hours = {day: [("00:10", "01:40"), ("01:50", "02:20"), ("02:40", "05:00")] for day in range(7)}
MIDNIGHT: Hours = {day: [("23:20", "24:00"), ("00:00", "00:40")] for day in range(7)}

CHANGES = {
    "America/New_York": [date(2026, 3, 8), date(2026, 11, 1)],
    "Europe/Rome": [date(2026, 3, 29), date(2026, 10, 25)],
    "Australia/Sydney": [date(2026, 4, 5), date(2026, 10, 4)],
    "Australia/Lord_Howe": [date(2026, 4, 5), date(2026, 10, 4)],
    "Asia/Kolkata": [date(2026, 3, 29)],
    "America/Santiago": [date(2026, 4, 5), date(2026, 9, 6)],
    "Pacific/Apia": [date(2011, 12, 30)],
}
CLOSED = timedelta(days=2)


def minutes_of(
    zone: str, hours: Hours, closed: date, start: datetime, end: datetime
) -> Iterator[tuple[datetime, bool]]:
    """Yield every minute from `start` to `end`, and whether a wall clock then shows an opening hour."""
    wall, at = ZoneInfo(zone), start
    while at < end:
        local = at.astimezone(wall)
        shown = f"{local.hour:02}:{local.minute:02}"
        windows = hours.get(local.weekday(), [])
        yield at, local.date() != closed and any(opens <= shown < closes for opens, closes in windows)
        at += timedelta(minutes=1)


def business(zone: str, hours: Hours, closed: date) -> Business:
    windows = {day: [(clock(opens), clock(closes)) for opens, closes in sorted(of)] for day, of in hours.items()}
    return Business("reference", zone, windows, Holidays(added=frozenset({closed})))


def clock(text: str) -> int:
    return int(text[:2]) * HOUR + int(text[3:]) * MINUTE


@pytest.mark.rule("2.4")
@pytest.mark.parametrize(
    "hours",
    [OFFICE, SHIFTS, AROUND_THE_CLOCK, AT_THE_CHANGE, MIDNIGHT],
    ids=["office", "shifts", "always", "at the change", "midnight"],
)
@pytest.mark.parametrize(("zone", "day"), [(zone, day) for zone, days in CHANGES.items() for day in days], ids=str)
def test_the_reference_counts_the_same(zone: str, day: date, hours: Hours) -> None:
    closed = day + CLOSED
    calendar = business(zone, hours, closed)
    middle = datetime(day.year, day.month, day.day, tzinfo=UTC)
    start, end = middle - timedelta(days=4), middle + timedelta(days=4)
    seen = 0
    for at, is_open in minutes_of(zone, hours, closed, start, end):
        instant = micros(at)
        assert counted(calendar, micros(start), instant) == seen * MINUTE, at
        if is_open:
            seen += 1
            assert add(calendar, micros(start), seen * MINUTE) == instant + MINUTE, at


@pytest.mark.parametrize("zone", CHANGES)
def test_the_reference_finds_the_same_deadlines_from_any_start(zone: str) -> None:
    day = CHANGES[zone][0]
    calendar = business(zone, SHIFTS, day + CLOSED)
    middle = datetime(day.year, day.month, day.day, tzinfo=UTC)
    minutes = list(minutes_of(zone, SHIFTS, day + CLOSED, middle - timedelta(days=2), middle + timedelta(days=4)))
    for first in range(0, 4 * 24 * 60, 97):
        start = minutes[first][0] + timedelta(seconds=first % 60)
        needed = 9 * HOUR
        due = None
        for (at, is_open), (following, _) in pairwise(minutes[first:]):
            here = micros(following) - max(micros(at), micros(start)) if is_open else 0
            if here >= needed:
                due = max(micros(at), micros(start)) + needed
                break
            needed -= here
        if due is not None:
            assert add(calendar, micros(start), 9 * HOUR) == due, start
