"""What a severity change does to clocks and ladder (docs/rules.md#4-5 to docs/rules.md#4-8)."""

import pytest
from support.stories import at, clock, fact, ladder, simulated

OPENED = fact("opened", "06-08 12:00", severity=1)
OPENED_HIGH = fact("opened", "06-08 12:00", severity=2)
ANSWERED = fact("responded", "06-08 12:00")
"""The resolution of severity 1 is due on 06-09 at 12:00, that of severity 2 on 06-10 at 00:00."""


@pytest.mark.rule("4.6")
def test_a_clock_breaches_once_however_often_the_severity_changes() -> None:
    timeline = simulated(
        OPENED_HIGH,
        ANSWERED,
        fact("severity_changed", "06-09 15:00", severity=1),
        fact("severity_changed", "06-09 15:10", severity=2),
        fact("severity_changed", "06-09 15:20", severity=1),
        until="06-11 12:00",
    )
    breaches = [event["at"] for event in timeline["events"] if event["type"] == "clock.breached"]
    assert breaches == [at("06-09 15:00")]
    assert clock(timeline, "resolution")["breached_at"] == at("06-09 15:00")


@pytest.mark.rule("4.6")
def test_a_provisional_deadline_that_lies_before_the_change_passes_at_the_change() -> None:
    timeline = simulated(
        fact("opened", "06-08 13:30", severity=3),
        fact("severity_changed", "06-10 15:00", severity=1),
        until="06-10 16:00",
    )
    assert ladder(timeline) == [(1, at("06-10 15:00"), "no_response"), (2, at("06-10 16:00"), "no_response")]
    resolution = clock(timeline, "resolution")
    assert (resolution["due_at"], resolution["breached_at"]) == (at("06-09 14:30"), None)


@pytest.mark.rule("4.7", "5.6", "5.14")
def test_a_change_holds_a_ladder_that_a_breach_started_and_an_escalation_moved() -> None:
    timeline = simulated(
        OPENED,
        ANSWERED,
        fact("escalated", "06-09 12:20"),
        fact("severity_changed", "06-09 12:30", severity=2),
        until="06-10 02:00",
    )
    assert ladder(timeline) == [
        (1, at("06-09 12:00"), "resolution_breached"),
        (2, at("06-09 12:20"), "explicit"),
        (3, at("06-10 00:00"), "resolution_breached"),
        (4, at("06-10 02:00"), "resolution_breached"),
    ]


@pytest.mark.rule("4.7")
def test_a_change_holds_a_ladder_that_silence_started_until_the_provisional_deadline() -> None:
    timeline = simulated(OPENED, fact("severity_changed", "06-09 13:30", severity=2), until="06-10 04:00")
    assert ladder(timeline) == [
        (1, at("06-09 13:00"), "no_response"),
        (2, at("06-10 02:00"), "no_response"),
        (3, at("06-10 04:00"), "no_response"),
    ]


@pytest.mark.rule("4.7", "4.8")
def test_a_change_holds_no_ladder_that_an_escalation_started() -> None:
    timeline = simulated(
        OPENED,
        ANSWERED,
        fact("escalated", "06-08 13:00"),
        fact("severity_changed", "06-08 13:30", severity=2),
        until="06-08 17:00",
    )
    assert [(step, when) for step, when, _ in ladder(timeline)] == [
        (1, at("06-08 13:00")),
        (2, at("06-08 15:00")),
        (3, at("06-08 17:00")),
    ]


@pytest.mark.rule("4.7")
def test_a_deadline_that_a_pause_makes_unknown_counts_as_in_the_future() -> None:
    timeline = simulated(
        OPENED,
        ANSWERED,
        fact("paused", "06-09 12:10"),
        fact("severity_changed", "06-09 12:20", severity=2),
        fact("resumed", "06-09 13:10"),
        until="06-10 01:00",
    )
    assert [(step, when) for step, when, _ in ladder(timeline)] == [(1, at("06-09 12:00")), (2, at("06-10 01:00"))]


@pytest.mark.rule("4.8")
@pytest.mark.parametrize(("raised", "second"), [("06-09 12:40", "06-09 13:00"), ("06-09 13:30", "06-09 13:30")])
def test_a_change_that_puts_the_deadline_into_the_past_again_ends_the_hold(raised: str, second: str) -> None:
    timeline = simulated(
        OPENED,
        ANSWERED,
        fact("severity_changed", "06-09 12:30", severity=2),
        fact("severity_changed", raised, severity=1),
        until=second,
    )
    assert [(step, when) for step, when, _ in ladder(timeline)] == [(1, at("06-09 12:00")), (2, at(second))]


@pytest.mark.rule("4.8")
@pytest.mark.parametrize(("raised", "second"), [("06-10 10:20", "06-10 11:00"), ("06-10 11:30", "06-10 11:30")])
def test_after_a_reopen_the_new_interval_is_counted_from_the_reopen(raised: str, second: str) -> None:
    timeline = simulated(
        OPENED_HIGH,
        ANSWERED,
        fact("resolved", "06-10 00:30"),
        fact("reopened", "06-10 10:00"),
        fact("severity_changed", raised, severity=1),
        until=second,
    )
    assert [(step, when) for step, when, _ in ladder(timeline)] == [(1, at("06-10 00:00")), (2, at(second))]
