"""Elapsed time, and business time in the opening windows of a calendar (docs/rules.md#2-calendars).

Inside the arithmetic, an instant is an `int`: microseconds since the Unix epoch, UTC. A `Measure` is a counter over
instants that never runs backwards. Durations are differences of its positions, in microseconds too.

A business clock counts at exactly those instants at which a wall clock in the calendar's zone shows a time inside a
window. A day on which the clocks change opens and closes at its local hours, and the real time in between counts
(docs/decisions/0010-business-time-follows-the-wall-clock.md).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from itertools import accumulate
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from holidays import country_holidays

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2100
"""Business calendars count in the years FIRST_YEAR to LAST_YEAR (UTC), for which holidays are known."""

_ANCHOR_YEAR: Final = 2020
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 (rendering is twice as fast without a zone)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY: Final = date(1970, 1, 1).weekday()
_MICROSECOND: Final = timedelta(microseconds=1)


class Measure(Protocol):
    """A counter over instants, and its inverse."""

    @property
    def name(self) -> str:
        """`elapsed`, or the calendar's name."""

    def position(self, at: int) -> int:
        """The microseconds counted from a fixed anchor to the instant `at`. Negative before the anchor."""

    def instant(self, position: int) -> int:
        """The earliest instant at which the counter is at `position`: a closing, never the next opening."""


def add(measure: Measure, start: int, duration: int) -> int:
    """Return the instant at which `duration` has been counted from `start`. A duration of 0 ends at `start`."""
    return max(start, measure.instant(measure.position(start) + duration))


def counted(measure: Measure, start: int, end: int) -> int:
    """Return the microseconds that `measure` counts from `start` to `end`."""
    return measure.position(end) - measure.position(start)


def micros(at: datetime) -> int:
    """Return an aware datetime as an instant. Raises TypeError for a naive one."""
    return (at - _EPOCH) // _MICROSECOND


def to_datetime(at: int) -> datetime:
    """Return an instant as an aware UTC datetime. Raises ValueError outside the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(microseconds=at)
    except OverflowError as error:
        raise ValueError(f"the instant {at} is outside the years 1 to 9999") from error


def render(at: int) -> str:
    """Return an instant as `2026-06-08T12:00:00.000000Z`. Raises ValueError outside the years 1 to 9999."""
    try:
        return (_NAIVE_EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds") + "Z"
    except OverflowError as error:
        raise ValueError(f"the instant {at} is outside the years 1 to 9999") from error


class _Elapsed:
    """The clock that always runs: differences of UTC instants."""

    name: Final = "elapsed"

    def position(self, at: int) -> int:
        return at

    def instant(self, position: int) -> int:
        return position


ELAPSED: Final[Measure] = _Elapsed()


@dataclass(frozen=True, slots=True)
class Holidays:
    """The days on which a calendar does not open: public holidays of `place`, plus `added`, minus `removed`.

    `place` is a country or subdivision of the `holidays` library, such as `US` or `US-CA`, or None. Observed days are
    included. Raises ValueError if the place is unknown.
    """

    place: str | None = None
    added: frozenset[date] = frozenset()
    removed: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        self.between(_ANCHOR_YEAR, _ANCHOR_YEAR)

    def between(self, first_year: int, last_year: int) -> frozenset[date]:
        """The holidays from the first to the last year, both included."""
        public = _public_holidays(self.place, first_year, last_year) if self.place is not None else frozenset()
        return public - self.removed | self.added


@lru_cache(maxsize=512)
def _public_holidays(place: str, first_year: int, last_year: int) -> frozenset[date]:
    country, _, subdivision = place.partition("-")
    # A holiday may be observed in the year before or after its own.
    years = range(first_year - 1, last_year + 2)
    try:
        return frozenset(country_holidays(country, subdiv=subdivision or None, years=years))
    except NotImplementedError as error:
        raise ValueError(f"no holidays are known for `{place}`") from error


@lru_cache
def zone_names() -> frozenset[str]:
    """Return the names of the IANA time zones that `load_zone` accepts."""
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


@lru_cache
def load_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone of that name. Raises ValueError if it is unknown.

    The zone is that of the pinned `tzdata` package. With the database of each machine, two replicas could compute two
    different deadlines (docs/decisions/0011-time-zones-are-pinned.md).
    """
    if name not in zone_names():
        raise ValueError(f"`{name}` is not an IANA time zone")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


Windows = Mapping[int, Sequence[tuple[int, int]]]
"""The opening windows of each weekday (Monday is 0): (start, end) in microseconds since local midnight, up to DAY."""


class Business:
    """The clock of a calendar, a `Measure`. `position` and `instant` are a binary search over integers.

    The windows of a day must be sorted and must not overlap. Years are computed on first use. Methods raise ValueError
    outside the years FIRST_YEAR to LAST_YEAR.
    """

    def __init__(self, name: str, zone: str, windows: Windows, holidays: Holidays) -> None:
        self.name: Final = name
        self.zone: Final = load_zone(zone)
        self.windows: Final = windows
        self.holidays: Final = holidays
        self._years = range(_ANCHOR_YEAR, _ANCHOR_YEAR)
        self._table = _tabulate([], self._years)

    def position(self, at: int) -> int:
        """The microseconds counted from a fixed anchor to the instant `at`. Negative before the anchor."""
        openings, closings, positions = self._table
        if not openings[0] <= at < openings[-1]:
            openings, closings, positions = self._table_at(at)
        row = bisect_right(openings, at) - 1
        closing = closings[row]
        return positions[row] + (at if at < closing else closing) - openings[row]

    def instant(self, position: int) -> int:
        """The earliest instant at which the counter is at `position`: a closing, never the next opening."""
        openings, _, positions = self._table
        if not positions[0] < position <= positions[-1]:
            openings, _, positions = self._table_of(position)
        row = bisect_left(positions, position) - 1
        return openings[row] + position - positions[row]

    def stretches(self, start: int, end: int) -> list[tuple[int, int]]:
        """The stretches (start, end) between two instants in which this clock counts, in order."""
        self.position(start), self.position(end)
        openings, closings, _ = self._table
        rows = range(bisect_right(closings, start), bisect_left(openings, end))
        open_rows = ((max(openings[row], start), min(closings[row], end)) for row in rows)
        return [(opening, closing) for opening, closing in open_rows if opening < closing]

    def _table_at(self, at: int) -> "_Table":
        if not _year_start(FIRST_YEAR) <= at < _year_start(LAST_YEAR + 1):
            raise _out_of_years(self.name)
        year = to_datetime(at).year
        return self._extend(range(min(year, self._years.start), max(year + 1, self._years.stop)))

    def _table_of(self, position: int) -> "_Table":
        table, step = self._table, 1
        while not table[2][0] < position <= table[2][-1]:
            years = self._years
            if position > table[2][-1]:
                wider = range(years.start, min(years.stop + step, LAST_YEAR + 1))
            else:
                wider = range(max(years.start - step, FIRST_YEAR), years.stop)
            if wider == years:
                raise _out_of_years(self.name)
            table, step = self._extend(wider), step * 2
        return table

    def _extend(self, years: range) -> "_Table":
        openings, closings, _ = self._table
        known = list(zip(openings[1:-1], closings[1:-1], strict=True))
        before = self._opened(range(years.start, self._years.start))
        after = self._opened(range(self._years.stop, years.stop))
        # The table is replaced, not changed: another thread may be reading it.
        self._table, self._years = _tabulate([*before, *known, *after], years), years
        return self._table

    def _opened(self, years: range) -> Iterator[tuple[int, int]]:
        if not years:
            return
        holidays = {day.toordinal() - _EPOCH_DAY for day in self.holidays.between(years.start - 1, years.stop)}
        for start, end, offset in _offsets(self.zone, _year_start(years.start), _year_start(years.stop)):
            for day in range((start + offset) // DAY, (end + offset - 1) // DAY + 1):
                if day in holidays:
                    continue
                midnight = day * DAY - offset
                for opens, closes in self.windows.get((day + _EPOCH_WEEKDAY) % 7, ()):
                    opening, closing = max(midnight + opens, start), min(midnight + closes, end)
                    if opening < closing:
                        yield opening, closing


_Table = tuple[list[int], list[int], list[int]]
"""Columns: opening, closing, position at the opening. An empty row stands at the start and the end of the years."""


def _tabulate(stretches: Sequence[tuple[int, int]], years: range) -> _Table:
    rows = [
        (_year_start(years.start), _year_start(years.start)),
        *stretches,
        (_year_start(years.stop), _year_start(years.stop)),
    ]
    anchor = _year_start(_ANCHOR_YEAR)
    before_anchor = sum(min(closing, anchor) - opening for opening, closing in rows if opening < anchor)
    lengths = (closing - opening for opening, closing in rows[:-1])
    positions = list(accumulate(lengths, initial=-before_anchor))
    return [opening for opening, _ in rows], [closing for _, closing in rows], positions


def _offsets(zone: ZoneInfo, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, offset from UTC) of each stretch between two clock changes."""
    begin, offset = start, _offset(zone, start)
    for probe in range(start + DAY, end + DAY, DAY):
        while _offset(zone, min(probe, end)) != offset:
            change = _change(zone, max(begin, probe - DAY), min(probe, end))
            yield begin, change, offset
            begin, offset = change, _offset(zone, change)
    yield begin, end, offset


def _change(zone: ZoneInfo, low: int, high: int) -> int:
    """Return the instant, a whole second, at which the offset at `low` ends."""
    offset = _offset(zone, low)
    while high - low > SECOND:
        middle = (low + high) // 2 // SECOND * SECOND
        low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
    return high


def _offset(zone: ZoneInfo, at: int) -> int:
    offset = zone.utcoffset(to_datetime(at).astimezone(zone))
    return 0 if offset is None else offset // _MICROSECOND


@lru_cache
def _year_start(year: int) -> int:
    return micros(datetime(year, 1, 1, tzinfo=UTC))


def _out_of_years(calendar: str) -> ValueError:
    return ValueError(f"the calendar `{calendar}` counts in the years {FIRST_YEAR} to {LAST_YEAR} only")
