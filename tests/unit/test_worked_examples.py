"""The worked examples at the end of docs/rules.md, one test each."""

from datetime import timedelta

import pytest
from sla_timer.domain.compliance import ChannelCount, ReportFilter, channel_averages
from support.fake_timer import FakeTimer, moment, numbered_fact, summaries
from support.stories import at, clock, fact, ladder, shipped_policy, simulated
from tocsin.events import ClockBreached, LadderEnded


@pytest.mark.rule("2.1", "3.7")
def test_severity_1_with_a_response_in_the_night_in_which_clocks_change() -> None:
    timeline = simulated(
        fact("opened", "03-08 00:30", severity=1), fact("responded", "03-08 01:00"), until="03-08 02:00"
    )
    assert clock(timeline, "resolution")["due_at"] == at("03-09 01:00")


@pytest.mark.rule("2.4", "3.2")
def test_severity_3_opened_on_a_friday_afternoon() -> None:
    timeline = simulated(fact("opened", "03-06 21:00", severity=3), until="03-06 22:00")
    response = clock(timeline, "response")
    assert (response["warn_at"], response["due_at"]) == (at("03-09 17:00"), at("03-09 20:00"))


@pytest.mark.rule("2.3")
def test_severity_3_with_a_response_in_thanksgiving_week() -> None:
    timeline = simulated(
        fact("opened", "11-23 19:00", severity=3), fact("responded", "11-23 19:00"), until="11-23 20:00"
    )
    assert clock(timeline, "resolution")["due_at"] == at("12-01 19:00")


@pytest.mark.rule("2.5")
def test_severity_4_opened_on_a_holiday_is_due_at_the_closing() -> None:
    timeline = simulated(fact("opened", "07-03 14:00", severity=4), until="07-03 15:00")
    response = clock(timeline, "response")
    assert (response["warn_at"], response["due_at"]) == (at("07-06 20:00"), at("07-06 21:00"))


@pytest.mark.rule("4.2")
def test_severity_3_paused_over_a_weekend() -> None:
    timeline = simulated(
        fact("opened", "06-10 14:00", severity=3),
        fact("responded", "06-10 14:00"),
        fact("paused", "06-12 20:00"),
        fact("resumed", "06-15 13:00"),
        until="06-15 14:00",
    )
    assert clock(timeline, "resolution")["due_at"] == at("06-17 16:00")


@pytest.mark.rule("4.2")
def test_severity_2_with_one_pause_of_two_hours() -> None:
    timeline = simulated(
        fact("opened", "06-08 14:00", severity=2),
        fact("responded", "06-08 14:00"),
        fact("paused", "06-08 15:00"),
        fact("resumed", "06-08 17:00"),
        until="06-08 18:00",
    )
    assert clock(timeline, "resolution")["due_at"] == at("06-10 04:00")


@pytest.mark.rule("4.6")
def test_severity_3_made_severity_1_after_its_new_deadline_is_breached_at_the_change() -> None:
    timeline = simulated(
        fact("opened", "06-08 13:30", severity=3),
        fact("responded", "06-08 13:30"),
        fact("severity_changed", "06-10 15:00", severity=1),
        until="06-10 15:30",
    )
    assert clock(timeline, "resolution")["breached_at"] == at("06-10 15:00")
    assert ladder(timeline) == [(1, at("06-10 15:00"), "resolution_breached")]


@pytest.mark.rule("3.8", "3.7")
def test_severity_1_silent_and_then_answered_late() -> None:
    silent = simulated(fact("opened", "06-08 12:00", severity=1), until="06-08 14:00")
    assert clock(silent, "response")["breached_at"] == at("06-08 13:00")
    assert clock(silent, "resolution")["due_at"] == at("06-09 13:00")
    answered = simulated(
        fact("opened", "06-08 12:00", severity=1), fact("responded", "06-08 15:00"), until="06-08 16:00"
    )
    assert clock(answered, "resolution")["due_at"] == at("06-09 15:00")


@pytest.mark.rule("3.9", "3.10", "5.14")
def test_severity_1_silent_until_the_next_day_climbs_is_held_and_continues() -> None:
    timeline = simulated(
        fact("opened", "06-08 12:00", severity=1), fact("responded", "06-09 13:30"), until="06-10 14:30"
    )
    assert ladder(timeline) == [
        (1, at("06-09 13:00"), "no_response"),
        (2, at("06-10 13:30"), "resolution_breached"),
        (3, at("06-10 14:30"), "resolution_breached"),
    ]


@pytest.mark.rule("0.6")
def test_severity_3_made_severity_1_and_resolved_at_one_instant_is_met() -> None:
    timeline = simulated(
        fact("opened", "06-08 13:30", severity=3),
        fact("responded", "06-08 13:30"),
        fact("severity_changed", "06-10 15:00", severity=1),
        fact("resolved", "06-10 15:00"),
        until="06-12 15:00",
    )
    assert clock(timeline, "resolution")["outcome"] == "met"
    assert ladder(timeline) == []


@pytest.mark.rule("3.9", "3.12", "5.11")
def test_severity_1_silent_until_its_resolve_two_days_later() -> None:
    timeline = simulated(
        fact("opened", "06-08 12:00", severity=1), fact("resolved", "06-10 12:00"), until="06-10 13:00"
    )
    assert clock(timeline, "response")["breached_at"] == at("06-08 13:00")
    assert clock(timeline, "resolution")["outcome"] == "breached"
    assert clock(timeline, "resolution")["breached_at"] == at("06-10 12:00")
    assert {reason for _, _, reason in ladder(timeline)} == {"no_response"}
    assert [step for step, _, _ in ladder(timeline)] == [1, 2, 3, 4, 5, 6]
    assert timeline["exhausted_at"] == at("06-09 19:00")
    assert timeline["events"][-1]["type"] == "ladder.ended"


@pytest.mark.rule("3.7")
def test_severity_1_silent_until_a_response_one_minute_before_its_resolve_is_met() -> None:
    timeline = simulated(
        fact("opened", "06-08 12:00", severity=1),
        fact("responded", "06-10 11:59"),
        fact("resolved", "06-10 12:00"),
        until="06-10 13:00",
    )
    assert clock(timeline, "resolution")["outcome"] == "met"


@pytest.mark.rule("3.17")
def test_onboarding_answered_at_once_is_due_when_its_work_starts() -> None:
    timeline = simulated(
        fact("opened", "06-08 13:00", severity=4, category="onboarding", starts_at=at("07-01 12:00")),
        fact("responded", "06-08 13:00"),
        until="06-08 14:00",
    )
    resolution = clock(timeline, "resolution")
    assert (resolution["warn_at"], resolution["due_at"]) == (at("06-30 12:00"), at("07-01 12:00"))


@pytest.mark.rule("4.9")
def test_severity_1_silent_cancelled_and_reopened() -> None:
    timeline = simulated(
        fact("opened", "06-08 12:00", severity=1),
        fact("cancelled", "06-08 12:30"),
        fact("reopened", "06-08 20:00"),
        until="06-08 20:10",
    )
    assert clock(timeline, "response", cycle=2)["due_at"] == at("06-08 20:30")
    assert clock(timeline, "resolution", cycle=2)["due_at"] == at("06-09 20:30")


@pytest.mark.rule("5.7")
def test_severity_1_acknowledged_after_tier_2() -> None:
    timeline = simulated(
        fact("opened", "06-08 12:00", severity=1),
        fact("responded", "06-08 12:00"),
        fact("acknowledged", "06-09 13:10"),
        until="06-09 14:10",
    )
    assert [(step, when) for step, when, _ in ladder(timeline)] == [
        (1, at("06-09 12:00")),
        (2, at("06-09 13:00")),
        (3, at("06-09 14:10")),
    ]


@pytest.mark.rule("4.17", "4.18", "4.19")
def test_severity_1_whose_breach_a_late_pause_disproves_is_due_later_in_a_new_run() -> None:
    one = responded_severity_1()
    one.pass_time(moment("06-09 13:00"))
    assert summaries(one.events[-2:]) == [
        ("breached resolution", "06-09 13:00"),
        ("step_due 1 of run 1", "06-09 13:00"),
    ]
    before = len(one.events)
    late = [
        numbered_fact(3, "paused", "06-09 12:30", "06-09 13:05"),
        numbered_fact(4, "resumed", "06-09 12:45", "06-09 13:05"),
    ]
    one.receive(late, accepted_through=moment("06-09 13:05"))
    voided, ended = one.events[before:]
    assert summaries([voided, ended]) == [
        ("voided breached resolution", "06-09 13:05"),
        ("ended run 1: voided", "06-09 13:05"),
    ]
    assert isinstance(ended, LadderEnded)
    assert ended.stand_down
    one.pass_time(moment("06-09 13:15"))
    breached, step = one.events[before + 2 :]
    assert summaries([breached, step]) == [
        ("breached resolution", "06-09 13:15"),
        ("step_due 1 of run 2", "06-09 13:15"),
    ]
    assert isinstance(breached, ClockBreached)
    assert breached.due_at == moment("06-09 13:15")


@pytest.mark.rule("5.4", "5.15")
def test_severity_1_breached_while_everything_is_down_takes_each_step_once() -> None:
    one = responded_severity_1()
    one.pass_time(moment("06-09 12:55"))
    before = len(one.events)
    assert "breached resolution" not in dict(summaries(one.events))
    back = moment("06-09 15:30")
    one.receive([], accepted_through=back)  # in between, nothing was evaluated
    caught_up = one.events[before:]
    assert summaries(caught_up) == [
        ("breached resolution", "06-09 13:00"),
        ("step_due 1 of run 1", "06-09 13:00"),
        ("step_due 2 of run 1", "06-09 14:00"),
        ("step_due 3 of run 1", "06-09 15:00"),
    ]
    assert all(back - event.at > timedelta(seconds=60) for event in caught_up)  # whose mails are late
    one.receive([], accepted_through=back)
    one.pass_time(moment("06-09 16:00"))
    assert summaries(one.events[before + 4 :]) == [("step_due 4 of run 1", "06-09 16:00")]


@pytest.mark.rule("6.2")
def test_voicemails_answered_after_an_hour_on_average_are_missed() -> None:
    voicemails = [
        ChannelCount("voicemail", "acme", "2026-06", tickets=1, unanswered=0, waited=timedelta(minutes=minutes))
        for minutes in (30, 60, 90)
    ]
    [average] = channel_averages(
        voicemails,
        [shipped_policy()],
        ReportFilter(channel="voicemail"),
        zone="America/New_York",
        now=moment("07-01 12:00"),
    )
    assert (average.mean_seconds, average.met) == (3600.0, False)


def responded_severity_1() -> FakeTimer:
    """A ticket that was opened and answered so that it is due on 06-09 at 13:00."""
    one = FakeTimer()
    one.receive([numbered_fact(1, "opened", "06-08 13:00", severity=1), numbered_fact(2, "responded", "06-08 13:00")])
    return one
