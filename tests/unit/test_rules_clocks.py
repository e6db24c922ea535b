"""Warnings, provisional deadlines and ended clocks (docs/rules.md#3-clocks)."""

from typing import Any

import pytest
from support.stories import at, clock, fact, ladder, simulated

OPENED = fact("opened", "06-08 12:00", severity=1)
OPENED_HIGH = fact("opened", "06-08 12:00", severity=2)
ANSWERED = fact("responded", "06-08 12:00")
"""The resolution of severity 1 is due on 06-09 at 12:00, with a warning at 06:00; severity 2: 06-10 00:00, 15:00."""


def warnings(*facts: dict[str, Any]) -> list[str]:
    """When the resolution clock warned."""
    timeline = simulated(*facts, until="06-12 12:00")
    return [
        event["at"]
        for event in timeline["events"]
        if event["type"] == "clock.warned" and event["clock"] == "resolution"
    ]


@pytest.mark.rule("3.2", "3.4")
def test_a_clock_warns_once_even_if_a_change_moves_its_warning() -> None:
    assert warnings(OPENED, ANSWERED) == [at("06-09 06:00")]
    lowered = fact("severity_changed", "06-09 07:00", severity=2)
    assert warnings(OPENED, ANSWERED, lowered) == [at("06-09 06:00")]


@pytest.mark.rule("3.4")
def test_a_warning_that_a_change_moves_into_the_past_is_given_at_the_change() -> None:
    raised = fact("severity_changed", "06-09 08:00", severity=1)
    assert warnings(OPENED_HIGH, ANSWERED, raised) == [at("06-09 08:00")]


@pytest.mark.rule("3.4")
def test_no_warning_is_given_at_or_after_the_deadline_nor_after_a_breach() -> None:
    raised = fact("severity_changed", "06-09 12:00", severity=1)
    lowered = fact("severity_changed", "06-09 13:00", severity=2)
    assert warnings(OPENED_HIGH, ANSWERED, raised) == []
    assert warnings(OPENED_HIGH, ANSWERED, raised, lowered) == []


@pytest.mark.rule("3.8")
@pytest.mark.parametrize(
    ("begin", "end", "due"),
    [
        ("12:10", "12:40", "06-09 13:00"),  # before the response deadline
        ("12:30", "13:30", "06-09 13:30"),
        ("14:00", "16:00", "06-09 15:00"),
    ],
)
def test_pauses_after_the_response_deadline_extend_the_provisional_deadline(begin: str, end: str, due: str) -> None:
    timeline = simulated(OPENED, fact("paused", f"06-08 {begin}"), fact("resumed", f"06-08 {end}"), until=due)
    resolution = clock(timeline, "resolution")
    assert (resolution["provisional"], resolution["due_at"], resolution["warn_at"]) == (True, at(due), None)
    assert ladder(timeline) == [(1, at(due), "no_response")]


@pytest.mark.rule("3.10")
def test_a_response_holds_no_ladder_that_an_escalation_started() -> None:
    timeline = simulated(
        OPENED, fact("escalated", "06-08 12:10"), fact("responded", "06-08 12:20"), until="06-08 13:10"
    )
    assert ladder(timeline) == [(1, at("06-08 12:10"), "explicit"), (2, at("06-08 13:10"), "explicit")]


@pytest.mark.rule("3.14")
def test_a_workaround_closes_a_ticket_that_can_be_reopened() -> None:
    workaround = fact("resolved", "06-08 14:00", resolution_kind="workaround")
    timeline = simulated(OPENED_HIGH, ANSWERED, workaround, fact("reopened", "06-09 14:00"), until="06-09 15:00")
    first, second = clock(timeline, "resolution"), clock(timeline, "resolution", cycle=2)
    assert (first["ended_at"], first["outcome"]) == (at("06-08 14:00"), "met")
    assert (second["due_at"], second["outcome"]) == (at("06-11 00:00"), "running")


@pytest.mark.rule("3.15")
def test_a_clock_that_had_breached_ends_as_breached_when_the_ticket_is_cancelled() -> None:
    timeline = simulated(OPENED, fact("cancelled", "06-08 14:00"), until="06-08 15:00")
    response = clock(timeline, "response")
    assert (response["outcome"], response["breached_at"], response["ended_at"]) == (
        "breached",
        at("06-08 13:00"),
        at("06-08 14:00"),
    )
    assert clock(timeline, "resolution")["outcome"] == "cancelled"


@pytest.mark.rule("3.20")
def test_each_cycle_reports_net_and_gross_from_the_fact_that_started_the_clock() -> None:
    timeline = simulated(
        OPENED,
        fact("responded", "06-08 12:30"),
        fact("resolved", "06-08 14:00"),
        fact("reopened", "06-09 14:00"),
        until="06-09 15:00",
    )
    ended, running = clock(timeline, "resolution"), clock(timeline, "resolution", cycle=2)
    assert (ended["started_at"], ended["warn_at"], ended["due_at"]) == (
        at("06-08 12:30"),
        at("06-09 06:30"),
        at("06-09 12:30"),
    )
    assert (ended["gross_seconds"], ended["net_seconds"]) == (1.5 * 3600, 1.5 * 3600)
    assert (running["started_at"], running["due_at"]) == (at("06-08 12:30"), at("06-10 12:30"))
    assert (running["gross_seconds"], running["net_seconds"]) == (26.5 * 3600, 2.5 * 3600)
