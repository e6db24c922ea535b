"""Compliance: shares of met clocks, and the average response times of channels."""

from datetime import UTC, datetime, timedelta

import pytest
from sla_timer.domain.compliance import (
    ChannelAverage,
    ChannelCount,
    Grouping,
    OutcomeCount,
    ReportFilter,
    begin_of_month,
    channel_averages,
    most_exceeded,
    outcome_shares,
)
from support.stories import DEFAULT_POLICY, shipped_policy
from tocsin.policy import Policy, load_policy

ZONE = "America/New_York"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
VOICEMAIL = ReportFilter(channel="voicemail")
VIP = "customers: {vip: {average_under: {voicemail: 30m}}, gold: {average_under: {chat: 1m}}}"


def policy(version: str, in_force_from: str, customers: str, voicemail: str = "1h") -> Policy:
    """The shipped policy with these terms of customers, and this general target of voicemails."""
    text = DEFAULT_POLICY.read_text()
    for old, new in (
        ('version: "1"', f'version: "{version}"'),
        ("voicemail: 1h", f"voicemail: {voicemail}"),
        ("customers: {}", customers),
    ):
        assert old in text
        text = text.replace(old, new)
    return load_policy(text, "policy.yaml").model_copy(update={"in_force_from": datetime.fromisoformat(in_force_from)})


def voicemails(
    *minutes: float, customer: str = "acme", month: str = "2026-06", unanswered: int = 0, channel: str = "voicemail"
) -> ChannelCount:
    """Tickets of a customer that waited that many minutes."""
    waited = sum((timedelta(minutes=one) for one in minutes), timedelta())
    return ChannelCount(channel, customer, month, len(minutes), unanswered, waited)


def averages(
    *counts: ChannelCount, policies: tuple[Policy, ...] = (), wanted: ReportFilter = VOICEMAIL
) -> list[ChannelAverage]:
    return channel_averages(counts, policies or (shipped_policy(),), wanted, zone=ZONE, now=NOW)


@pytest.mark.rule("6.2")
@pytest.mark.parametrize(
    ("minutes", "mean", "met"),
    [((30, 60, 90), 3600.0, False), ((30, 60, 89), 3580.0, True), ((30, 60, 91), 3620.0, False)],
)
def test_the_mean_must_be_strictly_less_than_the_target(minutes: tuple[int, ...], mean: float, met: bool) -> None:
    [average] = averages(voicemails(*minutes))
    assert (average.items, average.mean_seconds, average.met) == (3, mean, met)


def test_one_microsecond_in_10_000_tickets_decides() -> None:
    hours = timedelta(hours=10_000)
    almost = ChannelCount("voicemail", "acme", "2026-06", 10_000, 0, hours - timedelta(microseconds=1))
    assert averages(almost)[0].met is True
    assert averages(almost._replace(waited=hours))[0].met is False


@pytest.mark.rule("6.2")
def test_without_tickets_there_is_no_data_rather_than_a_pass() -> None:
    chat, voicemail = averages(voicemails(1), wanted=ReportFilter())
    assert (chat.channel, chat.items, chat.unanswered, chat.target_seconds) == ("chat", 0, 0, 300.0)
    assert (chat.month, chat.mean_seconds, chat.met) == (None, None, None)
    assert voicemail.met is True


@pytest.mark.rule("6.2")
def test_months_and_customers_are_added_up() -> None:
    june, july = averages(
        voicemails(10, 20, unanswered=1),
        voicemails(60, customer="zeta", unanswered=1),
        voicemails(5, month="2026-07"),
    )
    assert (june.month, june.items, june.unanswered, june.mean_seconds) == ("2026-06", 3, 2, 1800.0)
    assert (july.month, july.items, july.mean_seconds) == ("2026-07", 1, 300.0)


@pytest.mark.rule("6.21")
def test_a_customer_with_an_own_target_has_an_average_of_their_own() -> None:
    found = averages(voicemails(50), voicemails(40, customer="vip"), policies=(policy("2", "2026-01-01T00:00Z", VIP),))
    assert [(one.customer, one.mean_seconds, one.target_seconds, one.met) for one in found] == [
        (None, 3000.0, 3600.0, True),
        ("vip", 2400.0, 1800.0, False),
    ]


@pytest.mark.rule("6.21")
@pytest.mark.parametrize(
    ("customer", "expected"),
    [
        ("vip", [("chat", None, 300.0), ("voicemail", "vip", 1800.0)]),
        ("gold", [("chat", "gold", 60.0), ("voicemail", None, 3600.0)]),
        ("nobody", [("chat", None, 300.0), ("voicemail", None, 3600.0)]),
    ],
)
def test_without_tickets_a_customer_has_the_targets_that_apply_to_them(
    customer: str, expected: list[tuple[str, str | None, float]]
) -> None:
    found = averages(policies=(policy("2", "2026-01-01T00:00Z", VIP),), wanted=ReportFilter(customer=customer))
    assert [(one.channel, one.customer, one.target_seconds) for one in found] == expected
    assert {one.met for one in found} == {None}


@pytest.mark.rule("6.21")
def test_a_month_is_measured_by_the_policy_in_force_at_its_end() -> None:
    versions = (
        policy("1", "2026-01-01T00:00Z", "customers: {}"),
        policy("2", "2026-06-20T00:00Z", "customers: {}", voicemail="30m"),
        policy("3", "2026-07-02T00:00Z", "customers: {}", voicemail="10m"),
    )
    found = averages(*(voicemails(40, month=f"2026-0{month}") for month in (5, 6, 7)), policies=versions)
    assert [(one.target_seconds, one.met) for one in found] == [(3600.0, True), (1800.0, False), (1800.0, False)]


def test_the_average_that_gauges_show_is_the_one_highest_in_relation_to_its_target() -> None:
    versions = (policy("2", "2026-01-01T00:00Z", VIP),)
    shown = most_exceeded(averages(voicemails(50), voicemails(40, customer="vip"), policies=versions))
    assert shown is not None
    assert shown.customer == "vip"
    shown = most_exceeded(averages(voicemails(50), voicemails(1, customer="vip"), policies=versions))
    assert shown is not None
    assert shown.customer is None
    shown = most_exceeded(averages(policies=versions))
    assert shown is not None
    assert (shown.customer, shown.mean_seconds) == (None, None)
    assert most_exceeded([]) is None


def test_a_month_begins_at_midnight_in_its_zone() -> None:
    assert begin_of_month(datetime(2026, 6, 1, 3, tzinfo=UTC), ZONE) == datetime(2026, 5, 1, 4, tzinfo=UTC)
    assert begin_of_month(datetime(2026, 3, 20, tzinfo=UTC), ZONE) == datetime(2026, 3, 1, 5, tzinfo=UTC)


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
