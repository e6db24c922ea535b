"""Which monthly reports are due to be mailed, and when."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from board.domain.report_mailing import due_months, last_due_month, mailed_at, may_be_due
from board.domain.report_month import ReportMonth
from hypothesis import given
from hypothesis import strategies as st

ZONES = ("UTC", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Australia/Lord_Howe")
MINUTES = 20 * 365 * 24 * 60
INSTANTS = st.integers(0, MINUTES).map(lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))


def months(*texts: str) -> list[ReportMonth]:
    return [ReportMonth.parse(text) for text in texts]


@pytest.mark.parametrize(
    ("month", "zone", "at"),
    [
        ("2026-05", "UTC", "2026-06-01T06:00Z"),
        ("2026-05", "America/New_York", "2026-06-01T10:00Z"),
        ("2026-12", "America/New_York", "2027-01-01T11:00Z"),
        ("2026-12", "Pacific/Kiritimati", "2026-12-31T16:00Z"),
        ("2026-10", "Europe/Berlin", "2026-11-01T05:00Z"),  # the clocks went back in October
    ],
)
def test_a_report_is_mailed_at_six_on_the_first_day_after_its_month(month: str, zone: str, at: str) -> None:
    assert mailed_at(ReportMonth.parse(month), ZoneInfo(zone)) == datetime.fromisoformat(at)


@given(INSTANTS, st.sampled_from(ZONES))
def test_the_last_due_month_was_to_be_mailed_by_now_and_the_next_was_not(now: datetime, zone: str) -> None:
    last = last_due_month(now, ZoneInfo(zone))
    assert mailed_at(last, ZoneInfo(zone)) <= now < mailed_at(last.after, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("settled", "last", "due"),
    [
        (["2026-05"], "2026-05", []),
        (["2026-05"], "2026-06", ["2026-06"]),
        (["2026-05", "2026-07"], "2026-07", ["2026-06"]),
        (["2026-05"], "2026-11", ["2026-09", "2026-10", "2026-11"]),
        (["2025-12"], "2026-02", ["2026-01", "2026-02"]),
        (["2026-06"], "2026-05", []),  # the clock was set back
    ],
)
def test_at_most_three_months_are_caught_up_and_none_before_the_first(
    settled: list[str], last: str, due: list[str]
) -> None:
    assert due_months(months(*settled), ReportMonth.parse(last)) == months(*due)


@given(INSTANTS, st.sampled_from(ZONES), st.integers(0, 120))
def test_no_report_is_due_when_none_may_be(now: datetime, zone: str, days: int) -> None:
    settled = [last_due_month(now - timedelta(days=days), ZoneInfo(zone))]
    if due_months(settled, last_due_month(now, ZoneInfo(zone))):
        assert may_be_due(settled, now)
