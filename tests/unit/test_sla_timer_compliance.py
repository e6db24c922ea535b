"""How well the promise was kept: shares of clocks, and the channels' averages (RULES 6)."""

from datetime import UTC, datetime, timedelta

import pytest
from sla_timer.domain.compliance import Answer, Outcome, averages, shares
from tocsin.business_time import HOUR, MINUTE

ZONE = "America/New_York"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
TARGETS = {"voicemail": HOUR, "chat": 5 * MINUTE}
VOICEMAIL = {"voicemail": HOUR}


def answered(minutes: float, *, opened: datetime = datetime(2026, 6, 8, 12, tzinfo=UTC)) -> Answer:
    return Answer("voicemail", opened, opened + timedelta(minutes=minutes), None)


@pytest.mark.parametrize(
    ("minutes", "mean", "met"),
    [((30, 60, 90), 3600.0, False), ((30, 60, 89), 3580.0, True), ((30, 60, 91), 3620.0, False)],
)
def test_the_mean_must_be_strictly_less(minutes: tuple[int, ...], mean: float, met: bool) -> None:
    [average] = averages([answered(one) for one in minutes], VOICEMAIL, ZONE, NOW)
    assert (average["items"], average["mean_seconds"], average["met"]) == (3, mean, met)


def test_less_by_a_microsecond_is_less() -> None:
    almost = timedelta(hours=1) - timedelta(microseconds=1)
    items = [answered(60)] * 9_999 + [answered(almost / timedelta(minutes=1))]
    assert averages(items, VOICEMAIL, ZONE, NOW)[0]["met"] is True
    assert averages([answered(60)] * 10_000, VOICEMAIL, ZONE, NOW)[0]["met"] is False


def test_what_is_unanswered_counts_with_its_present_age_or_its_age_when_closed() -> None:
    opened = NOW - timedelta(minutes=50)
    waiting = Answer("voicemail", opened, None, None)
    withdrawn = Answer("voicemail", opened, None, opened + timedelta(minutes=10))
    assert averages([waiting], VOICEMAIL, ZONE, NOW)[0]["mean_seconds"] == 3000.0
    assert averages([waiting, withdrawn], VOICEMAIL, ZONE, NOW)[0]["mean_seconds"] == 1800.0
    assert averages([waiting], VOICEMAIL, ZONE, NOW + timedelta(minutes=10))[0]["met"] is False


def test_a_month_is_one_of_the_calendars_zone() -> None:
    in_may = datetime(2026, 6, 1, 3, 59, tzinfo=UTC)  # still 31 May in New York
    months = [one["month"] for one in averages([answered(1, opened=in_may), answered(1)], VOICEMAIL, ZONE, NOW)]
    assert months == ["2026-05", "2026-06"]


def test_no_items_is_no_data_and_no_pass() -> None:
    chat, voicemail = averages([answered(1)], TARGETS, ZONE, NOW)
    assert chat == {
        "channel": "chat",
        "month": None,
        "items": 0,
        "mean_seconds": None,
        "target_seconds": 300.0,
        "met": None,
    }
    assert voicemail["met"] is True


def test_shares_are_of_met_and_breached_alone() -> None:
    outcomes = [
        Outcome("response", 1, "acme", "2026-06", "met", 2),
        Outcome("response", 2, "zeta", "2026-06", "met", 1),
        Outcome("response", 2, "acme", "2026-06", "breached", 1),
        Outcome("response", 2, "acme", "2026-07", "cancelled", 5),
        Outcome("resolution", 4, "acme", "2026-07", "cancelled", 1),
    ]
    resolution, response = shares(outcomes, ["clock"])
    assert response == {"clock": "response", "met": 3, "breached": 1, "cancelled": 5, "percent_met": 75.0}
    assert resolution["percent_met"] is None
    by_customer = shares(outcomes, ["customer", "severity"])
    assert [(one["clock"], one["severity"], one["customer"], one["percent_met"]) for one in by_customer] == [
        ("resolution", 4, "acme", None),
        ("response", 1, "acme", 100.0),
        ("response", 2, "acme", 0.0),
        ("response", 2, "zeta", 100.0),
    ]
    assert shares([], ["clock", "month"]) == []
