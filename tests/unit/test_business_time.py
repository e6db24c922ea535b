"""Business time: the clauses of docs/rules.md#2-calendars, the worked examples of calendars, and general laws."""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.search_budget import tries
from tocsin.business_time import (
    DAY,
    ELAPSED,
    FIRST_YEAR,
    HOUR,
    LAST_YEAR,
    MINUTE,
    Business,
    Holidays,
    Measure,
    add,
    counted,
    micros,
    render,
    to_datetime,
)

OFFICE = dict.fromkeys(range(5), ((8 * HOUR, 17 * HOUR),))
DEFAULT = Business("default", "America/New_York", OFFICE, Holidays("US"))
BUSINESS_DAY = 9 * HOUR


def at(text: str) -> int:
    return micros(datetime.fromisoformat(text))


class Example(NamedTuple):
    measure: Measure
    start: str
    duration: int
    end: str


@pytest.mark.rule("2.1", "2.3", "2.5")
@pytest.mark.parametrize(
    "example",
    [
        pytest.param(
            Example(ELAPSED, "2026-03-08T01:00Z", 24 * HOUR, "2026-03-09T01:00Z"),
            id="elapsed, in the night of a clock change",
        ),
        pytest.param(Example(DEFAULT, "2026-03-06T21:00Z", 6 * HOUR, "2026-03-09T17:00Z"), id="Friday 16:00, warning"),
        pytest.param(
            Example(DEFAULT, "2026-03-06T21:00Z", BUSINESS_DAY, "2026-03-09T20:00Z"), id="Friday 16:00, deadline"
        ),
        pytest.param(Example(DEFAULT, "2026-11-23T19:00Z", 5 * BUSINESS_DAY, "2026-12-01T19:00Z"), id="Thanksgiving"),
        pytest.param(Example(DEFAULT, "2026-07-03T14:00Z", 8 * HOUR, "2026-07-06T20:00Z"), id="on a holiday, warning"),
        pytest.param(
            Example(DEFAULT, "2026-07-03T14:00Z", BUSINESS_DAY, "2026-07-06T21:00Z"),
            id="on a holiday, deadline at a closing",
        ),
    ],
)
def test_worked_examples(example: Example) -> None:
    assert add(example.measure, at(example.start), example.duration) == at(example.end)


@pytest.mark.rule("4.2")
def test_a_pause_over_a_weekend_costs_a_business_clock_nothing() -> None:
    start, due = at("2026-06-10T14:00Z"), at("2026-06-17T16:00Z")
    paused = counted(DEFAULT, at("2026-06-12T20:00Z"), at("2026-06-15T13:00Z"))
    assert counted(DEFAULT, start, due) == 5 * BUSINESS_DAY + paused
    assert paused == HOUR + 1 * HOUR


def test_a_duration_of_zero_ends_where_it_starts() -> None:
    saturday = at("2026-06-06T12:00Z")
    assert add(DEFAULT, saturday, 0) == saturday


@pytest.mark.rule("2.5")
def test_one_microsecond_from_a_closing_ends_after_the_next_opening() -> None:
    assert add(DEFAULT, at("2026-06-05T21:00Z"), 1) == at("2026-06-08T12:00:00.000001Z")


@pytest.mark.rule("2.2")
def test_a_day_may_end_at_24() -> None:
    always = Business("always", "Europe/Rome", dict.fromkeys(range(7), ((0, DAY),)), Holidays())
    start = at("2026-03-01T00:00Z")
    assert add(always, start, 60 * DAY) == start + 60 * DAY


@pytest.mark.rule("2.2")
def test_a_day_may_have_several_windows() -> None:
    siesta = {0: ((9 * HOUR, 13 * HOUR), (16 * HOUR, 20 * HOUR))}
    calendar = Business("siesta", "Europe/Rome", siesta, Holidays())
    assert add(calendar, at("2026-06-08T07:00Z"), 4 * HOUR) == at("2026-06-08T11:00Z")
    assert add(calendar, at("2026-06-08T07:00Z"), 4 * HOUR + MINUTE) == at("2026-06-08T14:01Z")


@pytest.mark.rule("2.4")
def test_a_day_with_a_clock_change_counts_the_real_time_between_its_local_hours() -> None:
    early = Business("early", "America/New_York", {6: ((0, 8 * HOUR),)}, Holidays())
    assert counted(early, at("2026-03-08T00:00Z"), at("2026-03-09T00:00Z")) == 7 * HOUR
    assert counted(early, at("2026-11-01T00:00Z"), at("2026-11-02T00:00Z")) == 9 * HOUR


@pytest.mark.rule("2.4")
def test_an_edge_in_a_skipped_hour_moves_to_the_clock_change() -> None:
    half = Business("half", "America/New_York", {6: ((2 * HOUR + 30 * MINUTE, 4 * HOUR),)}, Holidays())
    assert half.stretches(at("2026-03-08T00:00Z"), at("2026-03-09T00:00Z")) == [
        (at("2026-03-08T07:00Z"), at("2026-03-08T08:00Z"))
    ]


@pytest.mark.rule("2.4")
def test_a_window_in_a_repeated_hour_counts_both_times() -> None:
    night = Business("night", "America/New_York", {6: ((0, HOUR + 30 * MINUTE),)}, Holidays())
    assert night.stretches(at("2026-11-01T00:00Z"), at("2026-11-02T00:00Z")) == [
        (at("2026-11-01T04:00Z"), at("2026-11-01T05:30Z")),
        (at("2026-11-01T06:00Z"), at("2026-11-01T06:30Z")),
    ]


def test_a_skipped_day_never_opened() -> None:
    samoa = Business("samoa", "Pacific/Apia", dict.fromkeys(range(7), ((8 * HOUR, 17 * HOUR),)), Holidays())
    assert samoa.stretches(at("2011-12-29T12:00Z"), at("2011-12-31T12:00Z")) == [
        (at("2011-12-29T18:00Z"), at("2011-12-30T03:00Z")),
        (at("2011-12-30T18:00Z"), at("2011-12-31T03:00Z")),
    ]


@pytest.mark.rule("2.3")
def test_dates_are_added_to_and_removed_from_public_holidays() -> None:
    own = Holidays("US", added=frozenset({date(2026, 6, 9)}), removed=frozenset({date(2026, 7, 3)}))
    calendar = Business("own", "America/New_York", OFFICE, own)
    assert calendar.stretches(at("2026-06-09T00:00Z"), at("2026-06-10T00:00Z")) == []
    assert counted(calendar, at("2026-07-03T00:00Z"), at("2026-07-04T00:00Z")) == 9 * HOUR


@pytest.mark.rule("2.7")
@pytest.mark.parametrize("year", [1, FIRST_YEAR - 1, LAST_YEAR + 1, 9999])
def test_years_without_known_holidays_are_rejected(year: int) -> None:
    with pytest.raises(ValueError, match=f"counts in the years {FIRST_YEAR} to {LAST_YEAR} only"):
        DEFAULT.position(micros(datetime(year, 6, 1, tzinfo=UTC)))


@pytest.mark.parametrize("duration", [10**15 * 7, 10**30])
def test_durations_beyond_the_last_year_are_rejected(duration: int) -> None:
    with pytest.raises(ValueError, match="counts in the years"):
        add(DEFAULT, at("2026-06-08T12:00Z"), duration)


def test_a_calendar_that_never_opens_counts_no_duration() -> None:
    with pytest.raises(ValueError, match="counts in the years"):
        add(Business("never", "Europe/Rome", {}, Holidays()), at("2026-06-08T12:00Z"), 1)


def test_unknown_zones_and_holidays_are_rejected() -> None:
    with pytest.raises(ValueError, match="not an IANA time zone"):
        Business("nowhere", "Europe/Atlantis", OFFICE, Holidays())
    with pytest.raises(ValueError, match="no holidays are known"):
        Holidays("US-XX")


def test_instants_are_rendered_with_microseconds_in_utc() -> None:
    assert render(at("2026-06-08T14:00:00+02:00")) == "2026-06-08T12:00:00.000000Z"
    assert render(micros(datetime(1, 1, 1, tzinfo=UTC))) == "0001-01-01T00:00:00.000000Z"
    assert to_datetime(at("2026-06-08T12:00:00.000001Z")) == datetime(2026, 6, 8, 12, 0, 0, 1, tzinfo=UTC)
    for beyond in (to_datetime, render):
        with pytest.raises(ValueError, match="outside the years 1 to 9999"):
            beyond(10**18)


laws = settings(max_examples=tries(30), deadline=None)

ZONES = [
    "America/New_York",
    "Europe/Rome",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Santiago",
]
edges = st.lists(st.integers(0, 96), min_size=2, max_size=6, unique=True).map(sorted)
days = edges.map(
    lambda quarters: tuple(
        (a * 15 * MINUTE, b * 15 * MINUTE) for a, b in zip(quarters[::2], quarters[1::2], strict=False)
    )
)
weeks = st.dictionaries(st.integers(0, 6), days, min_size=1)
holidays = st.frozensets(st.dates(date(2025, 1, 1), date(2027, 12, 31)), max_size=30)
calendars = st.builds(
    lambda zone, week, closed: Business("any", zone, week, Holidays(added=closed)),
    st.sampled_from(ZONES),
    weeks,
    holidays,
)
instants = st.integers(at("2025-01-01T00:00Z"), at("2027-12-31T00:00Z"))
durations = st.integers(1, 2 * DAY)


@laws
@given(calendars, instants, durations)
def test_add_and_counted_are_inverses(calendar: Business, start: int, duration: int) -> None:
    end = add(calendar, start, duration)
    assert counted(calendar, start, end) == duration
    assert counted(calendar, start, end - 1) == duration - 1


@laws
@given(calendars, instants, instants)
def test_the_counter_never_runs_backwards_nor_faster_than_time(calendar: Business, one: int, other: int) -> None:
    start, end = sorted((one, other))
    assert 0 <= counted(calendar, start, end) <= end - start


@laws
@given(calendars, instants, instants, durations)
def test_a_later_start_never_ends_earlier(calendar: Business, one: int, other: int, duration: int) -> None:
    start, later = sorted((one, other))
    assert add(calendar, start, duration) <= add(calendar, later, duration)


@laws
@given(calendars, instants, instants, instants)
def test_counting_is_additive(calendar: Business, start: int, between: int, end: int) -> None:
    assert counted(calendar, start, between) + counted(calendar, between, end) == counted(calendar, start, end)


@laws
@given(calendars, instants, durations, durations)
def test_adding_twice_is_adding_the_sum(calendar: Business, start: int, one: int, other: int) -> None:
    assert add(calendar, add(calendar, start, one), other) == add(calendar, start, one + other)


@laws
@given(calendars, st.dates(date(2025, 1, 1), date(2027, 12, 31)), instants, durations)
def test_an_added_holiday_never_makes_an_instant_earlier(
    calendar: Business, day: date, start: int, duration: int
) -> None:
    more = Holidays(added=calendar.holidays.added | {day})
    closed = Business("closed", calendar.zone.key, calendar.windows, more)
    assert add(closed, start, duration) >= add(calendar, start, duration)


@laws
@given(calendars, instants, st.integers(0, 60 * DAY))
def test_the_stretches_add_up_to_the_counted_time(calendar: Business, start: int, length: int) -> None:
    stretches = calendar.stretches(start, start + length)
    assert sum(end - begin for begin, end in stretches) == counted(calendar, start, start + length)
    assert stretches == sorted(stretches)


@settings(laws, max_examples=tries(5))
@given(instants, st.permutations(range(1990, 2061, 10)))
def test_the_order_in_which_years_are_computed_does_not_matter(start: int, years: list[int]) -> None:
    fresh = Business("fresh", "America/New_York", OFFICE, Holidays("US"))
    for year in years:
        fresh.position(micros(datetime(year, 6, 1, tzinfo=UTC)))
    assert fresh.position(start) == DEFAULT.position(start)
    assert fresh.instant(fresh.position(start)) <= start


@laws
@given(st.datetimes(timezones=st.just(UTC)))
def test_micros_and_instant_are_inverses(moment: datetime) -> None:
    assert to_datetime(micros(moment)) == moment
    assert micros(moment + timedelta(microseconds=1) if moment.year < 9999 else moment) >= micros(moment)
