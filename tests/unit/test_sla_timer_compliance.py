"""Compliance: shares of met clocks, and the average response times of channels."""

from datetime import UTC, datetime, timedelta

import pytest
from sla_timer.domain.compliance import ChannelTicket, Grouping, OutcomeCount, channel_averages, outcome_shares
from tocsin.business_time import HOUR, MINUTE

ZONE = "America/New_York"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
TARGETS = {"voicemail": HOUR, "chat": 5 * MINUTE}
VOICEMAIL = {"voicemail": HOUR}


def voicemail(minutes: float, *, opened_at: datetime = datetime(2026, 6, 8, 12, tzinfo=UTC)) -> ChannelTicket:
    """A voicemail that got its response after that many minutes."""
    responded_at = opened_at + timedelta(minutes=minutes)
    return ChannelTicket(channel="voicemail", opened_at=opened_at, responded_at=responded_at, closed_at=None)


@pytest.mark.rule("6.2")
@pytest.mark.parametrize(
    ("minutes", "mean", "met"),
    [((30, 60, 90), 3600.0, False), ((30, 60, 89), 3580.0, True), ((30, 60, 91), 3620.0, False)],
)
def test_the_mean_must_be_strictly_less_than_the_target(minutes: tuple[int, ...], mean: float, met: bool) -> None:
    [average] = channel_averages([voicemail(one) for one in minutes], VOICEMAIL, zone=ZONE, now=NOW)
    assert (average.items, average.mean_seconds, average.met) == (3, mean, met)


def test_one_microsecond_in_10_000_tickets_decides() -> None:
    almost = timedelta(hours=1) - timedelta(microseconds=1)
    tickets = [voicemail(60)] * 9_999 + [voicemail(almost / timedelta(minutes=1))]
    assert channel_averages(tickets, VOICEMAIL, zone=ZONE, now=NOW)[0].met is True
    assert channel_averages([voicemail(60)] * 10_000, VOICEMAIL, zone=ZONE, now=NOW)[0].met is False


@pytest.mark.rule("6.2")
def test_a_ticket_without_a_response_counts_with_its_age_or_its_age_at_closing() -> None:
    opened_at = NOW - timedelta(minutes=50)
    waiting = ChannelTicket(channel="voicemail", opened_at=opened_at, responded_at=None, closed_at=None)
    cancelled = ChannelTicket(
        channel="voicemail", opened_at=opened_at, responded_at=None, closed_at=opened_at + timedelta(minutes=10)
    )
    assert channel_averages([waiting], VOICEMAIL, zone=ZONE, now=NOW)[0].mean_seconds == 3000.0
    assert channel_averages([waiting, cancelled], VOICEMAIL, zone=ZONE, now=NOW)[0].mean_seconds == 1800.0
    assert channel_averages([waiting], VOICEMAIL, zone=ZONE, now=NOW + timedelta(minutes=10))[0].met is False


@pytest.mark.rule("6.2")
def test_months_are_those_of_the_calendars_zone() -> None:
    in_may = datetime(2026, 6, 1, 3, 59, tzinfo=UTC)  # still 31 May in New York
    averages = channel_averages([voicemail(1, opened_at=in_may), voicemail(1)], VOICEMAIL, zone=ZONE, now=NOW)
    assert [average.month for average in averages] == ["2026-05", "2026-06"]


@pytest.mark.rule("6.2")
def test_without_tickets_there_is_no_data_rather_than_a_pass() -> None:
    chat, voicemails = channel_averages([voicemail(1)], TARGETS, zone=ZONE, now=NOW)
    assert (chat.channel, chat.items, chat.target_seconds) == ("chat", 0, 300.0)
    assert (chat.month, chat.mean_seconds, chat.met) == (None, None, None)
    assert voicemails.met is True


@pytest.mark.rule("6.3")
def test_percent_met_is_met_out_of_met_and_breached() -> None:
    outcomes = [
        OutcomeCount("response", 1, "acme", "2026-06", "met", 2),
        OutcomeCount("response", 2, "zeta", "2026-06", "met", 1),
        OutcomeCount("response", 2, "acme", "2026-06", "breached", 1),
        OutcomeCount("response", 2, "acme", "2026-07", "cancelled", 5),
        OutcomeCount("resolution", 4, "acme", "2026-07", "cancelled", 1),
    ]
    resolution, response = outcome_shares(outcomes, [Grouping.CLOCK])
    assert (response.met, response.breached, response.cancelled, response.percent_met) == (3, 1, 5, 75.0)
    assert resolution.percent_met is None
    shares = outcome_shares(outcomes, [Grouping.CUSTOMER, Grouping.SEVERITY])
    assert [(share.clock, share.severity, share.customer, share.month, share.percent_met) for share in shares] == [
        ("resolution", 4, "acme", None, None),
        ("response", 1, "acme", None, 100.0),
        ("response", 2, "acme", None, 0.0),
        ("response", 2, "zeta", None, 100.0),
    ]
