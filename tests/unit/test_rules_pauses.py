"""Waiting for the customer: what a pause stops, and when it ends (docs/rules.md#4-pauses-changes-reopening)."""

import pytest
from support.stories import at, clock, fact, ladder, simulated

OPENED = fact("opened", "06-08 12:00", severity=1)
ANSWERED = fact("responded", "06-08 12:00")
"""The resolution is due, and the ladder starts, on 06-09 at 12:00."""


@pytest.mark.rule("4.1")
def test_a_pause_stops_neither_the_response_nor_the_answer_clock() -> None:
    mail = fact("opened", "06-08 12:00", severity=1, channel="email")
    timeline = simulated(mail, fact("paused", "06-08 12:10"), until="06-10 12:00")
    assert clock(timeline, "response")["breached_at"] == at("06-08 13:00")
    assert clock(timeline, "answer")["breached_at"] == at("06-09 12:00")
    assert (clock(timeline, "resolution")["due_at"], ladder(timeline)) == (None, [])


@pytest.mark.rule("4.1", "5.5")
def test_a_pause_stops_the_interval_of_the_ladder() -> None:
    paused = fact("paused", "06-09 12:20")
    started = (1, at("06-09 12:00"), "resolution_breached")
    assert ladder(simulated(OPENED, ANSWERED, paused, until="06-20 12:00")) == [started]
    resumed = fact("resumed", "06-09 12:50")
    assert ladder(simulated(OPENED, ANSWERED, paused, resumed, until="06-09 14:30")) == [
        started,
        (2, at("06-09 13:30"), "resolution_breached"),
        (3, at("06-09 14:30"), "resolution_breached"),
    ]


@pytest.mark.rule("4.2")
def test_the_first_resume_ends_a_pause() -> None:
    timeline = simulated(
        OPENED,
        ANSWERED,
        fact("paused", "06-08 13:00"),
        fact("paused", "06-08 13:30"),
        fact("resumed", "06-08 14:00"),
        fact("resumed", "06-08 15:00"),
        until="06-08 16:00",
    )
    assert clock(timeline, "resolution")["due_at"] == at("06-09 13:00")


@pytest.mark.rule("4.2")
def test_a_pause_may_begin_where_another_ends() -> None:
    timeline = simulated(
        OPENED,
        ANSWERED,
        fact("paused", "06-08 13:00"),
        fact("resumed", "06-08 14:00"),
        fact("paused", "06-08 14:00"),
        fact("resumed", "06-08 15:00"),
        until="06-08 16:00",
    )
    assert clock(timeline, "resolution")["due_at"] == at("06-09 14:00")


@pytest.mark.rule("4.2")
@pytest.mark.parametrize("kind", ["resolved", "cancelled"])
def test_a_resolve_or_cancel_ends_an_open_pause(kind: str) -> None:
    timeline = simulated(
        OPENED,
        ANSWERED,
        fact("paused", "06-08 13:00"),
        fact(kind, "06-08 14:00"),
        fact("reopened", "06-08 15:00"),
        until="06-08 16:00",
    )
    resolution = clock(timeline, "resolution", cycle=2)
    assert (resolution["outcome"], resolution["due_at"]) == ("running", at("06-09 14:00"))


@pytest.mark.rule("4.3")
def test_an_interval_used_up_exactly_at_the_start_of_a_pause_is_due_there() -> None:
    timeline = simulated(OPENED, ANSWERED, fact("paused", "06-09 13:00"), until="06-20 12:00")
    assert ladder(timeline) == [
        (1, at("06-09 12:00"), "resolution_breached"),
        (2, at("06-09 13:00"), "resolution_breached"),
    ]


@pytest.mark.rule("4.4")
def test_a_resolve_while_paused_is_met_by_net_time() -> None:
    paused = fact("paused", "06-09 11:59:59.999999")
    timeline = simulated(OPENED, ANSWERED, paused, fact("resolved", "06-15 12:00"), until="06-15 12:00")
    resolution = clock(timeline, "resolution")
    assert (resolution["outcome"], resolution["net_seconds"]) == ("met", 24 * 3600 - 1e-6)


@pytest.mark.rule("4.3", "4.4", "4.6")
def test_a_change_while_paused_breaches_a_clock_that_had_used_up_its_new_time() -> None:
    timeline = simulated(
        fact("opened", "06-08 12:00", severity=2),
        ANSWERED,
        fact("paused", "06-09 14:00"),
        fact("severity_changed", "06-09 16:00", severity=1),
        until="06-09 17:00",
    )
    resolution = clock(timeline, "resolution")
    assert (resolution["due_at"], resolution["breached_at"]) == (at("06-09 12:00"), at("06-09 16:00"))
