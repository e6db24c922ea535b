"""Holidays that we rely on, because the `holidays` library changes between releases."""

from datetime import date

import pytest
from tocsin.business_time import LAST_YEAR, Holidays

FEDERAL = {
    2012: "01-02 01-16 02-20 05-28 07-04 09-03 10-08 11-12 11-22 12-25",
    2021: "01-01 01-18 02-15 05-31 06-18 07-05 09-06 10-11 11-11 11-25 12-24 12-31",
    2022: "01-17 02-21 05-30 06-20 07-04 09-05 10-10 11-11 11-24 12-26",
    2026: "01-01 01-19 02-16 05-25 06-19 07-03 09-07 10-12 11-11 11-26 12-25",
    2027: "01-01 01-18 02-15 05-31 06-18 07-05 09-06 10-11 11-11 11-25 12-24 12-31",
}


@pytest.mark.rule("2.3")
@pytest.mark.parametrize("year", FEDERAL)
def test_us_federal_holidays_with_their_observed_days(year: int) -> None:
    on_weekdays = {day for day in Holidays("US").between(year, year) if day.weekday() < 5 and day.year == year}
    assert on_weekdays == {date.fromisoformat(f"{year}-{day}") for day in FEDERAL[year].split()}


def test_a_new_year_on_a_saturday_is_observed_in_the_old_year() -> None:
    assert date(2021, 12, 31) in Holidays("US").between(2021, 2021)


@pytest.mark.parametrize(
    ("place", "day"),
    [("IT", date(2026, 4, 25)), ("AU-NSW", date(2026, 1, 26)), ("US-CA", date(2026, 3, 31)), ("IN", date(2026, 8, 15))],
)
def test_other_countries_and_subdivisions(place: str, day: date) -> None:
    assert day in Holidays(place).between(2026, 2026)


def test_the_last_year_still_has_holidays() -> None:
    assert date(LAST_YEAR, 7, 5) in Holidays("US").between(LAST_YEAR, LAST_YEAR)
