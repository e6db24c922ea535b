"""Which clocks and which ladder a reopen brings back (docs/rules.md#4-9 to docs/rules.md#4-13)."""

from typing import Any

import pytest
from support.stories import at, clock, fact, ladder, simulated

OPENED = fact("opened", "06-08 12:00", severity=1)
MAIL = fact("opened", "06-08 12:00", severity=1, channel="email")
ANSWERED = fact("responded", "06-08 12:00")
"""The resolution is due, and the ladder starts, on 06-09 at 12:00, with a warning at 06:00."""


def resolution_events(timeline: dict[str, Any], kind: str) -> list[tuple[int, str]]:
    """(cycle, at) of these events of the resolution clock."""
    return [
        (event["cycle"], event["at"])
        for event in timeline["events"]
        if event["type"] == kind and event.get("clock") == "resolution"
    ]


@pytest.mark.rule("4.9")
def test_without_a_response_all_clocks_come_back_with_their_remaining_time() -> None:
    timeline = simulated(MAIL, fact("cancelled", "06-08 12:30"), fact("reopened", "06-08 20:00"), until="06-08 20:00")
    assert [(c["clock"], c["due_at"]) for c in timeline["clocks"] if c["cycle"] == 2] == [
        ("response", at("06-08 20:30")),
        ("resolution", at("06-09 20:30")),
        ("answer", at("06-09 19:30")),
    ]


@pytest.mark.rule("4.9")
@pytest.mark.parametrize(
    "facts",
    [
        pytest.param([fact("responded", "06-08 14:00"), fact("cancelled", "06-08 15:00")], id="answered late"),
        pytest.param([fact("resolved", "06-08 15:00")], id="resolved without a response"),
    ],
)
def test_after_a_response_or_resolve_only_the_resolution_clock_comes_back(facts: list[dict[str, Any]]) -> None:
    timeline = simulated(MAIL, *facts, fact("reopened", "06-08 16:00"), until="06-08 16:00")
    assert [c["clock"] for c in timeline["clocks"] if c["cycle"] == 2] == ["resolution"]


@pytest.mark.rule("4.10")
def test_each_cycle_warns_anew_and_a_passed_warning_is_given_at_the_reopen() -> None:
    timeline = simulated(
        OPENED, ANSWERED, fact("resolved", "06-09 07:00"), fact("reopened", "06-09 10:00"), until="06-09 15:00"
    )
    assert resolution_events(timeline, "clock.warned") == [(1, at("06-09 06:00")), (2, at("06-09 10:00"))]
    assert [clock(timeline, "resolution", cycle)["outcome"] for cycle in (1, 2)] == ["met", "breached"]
    assert clock(timeline, "resolution", cycle=2)["breached_at"] == at("06-09 15:00")


@pytest.mark.rule("4.12")
def test_a_clock_that_breached_in_an_earlier_cycle_does_not_breach_again() -> None:
    timeline = simulated(
        OPENED,
        fact("cancelled", "06-08 14:00"),
        fact("reopened", "06-08 20:00"),
        fact("responded", "06-08 21:00"),
        fact("resolved", "06-09 22:00"),
        fact("reopened", "06-10 12:00"),
        until="06-20 12:00",
    )
    response = clock(timeline, "response", cycle=2)
    assert (response["outcome"], response["breached_at"]) == ("breached", at("06-08 13:00"))
    breaches = [(event["clock"], event["at"]) for event in timeline["events"] if event["type"] == "clock.breached"]
    assert breaches == [("response", at("06-08 13:00")), ("resolution", at("06-09 21:00"))]
    assert clock(timeline, "resolution", cycle=3)["breached_at"] == at("06-09 21:00")


@pytest.mark.rule("4.13")
def test_a_reopen_without_a_response_keeps_a_ladder_that_silence_started() -> None:
    timeline = simulated(OPENED, fact("cancelled", "06-09 13:30"), fact("reopened", "06-09 20:00"), until="06-09 21:00")
    assert ladder(timeline) == [(1, at("06-09 13:00"), "no_response"), (2, at("06-09 21:00"), "no_response")]
    # The continuation of the ladder is published, but the timeline has no event for it.
    assert [event["type"] for event in timeline["events"] if event["cycle"] == 2] == ["ladder.step_due"]


@pytest.mark.rule("4.13")
@pytest.mark.parametrize(
    ("lowered", "resolved"),
    [
        pytest.param("06-09 12:20", "06-09 12:30", id="held by the change"),
        pytest.param("06-09 13:00", "06-09 12:30", id="changed while closed"),
    ],
)
def test_a_kept_ladder_continues_one_interval_after_the_reopen_even_before_its_deadline(
    lowered: str, resolved: str
) -> None:
    timeline = simulated(
        OPENED,
        ANSWERED,
        fact("severity_changed", lowered, severity=2),
        fact("resolved", resolved),
        fact("reopened", "06-09 20:00"),
        until="06-09 22:00",
    )
    assert [(step, when) for step, when, _ in ladder(timeline)] == [(1, at("06-09 12:00")), (2, at("06-09 22:00"))]


@pytest.mark.rule("4.13")
@pytest.mark.parametrize(
    ("facts", "first", "due"),
    [
        pytest.param(
            [fact("responded", "06-09 13:30"), fact("cancelled", "06-09 14:00"), fact("reopened", "06-09 20:00")],
            (1, at("06-09 13:00"), "no_response"),
            "06-10 19:30",
            id="silence ended by a response",
        ),
        pytest.param(
            [
                ANSWERED,
                fact("escalated", "06-08 13:00"),
                fact("resolved", "06-08 13:30"),
                fact("reopened", "06-08 15:00"),
            ],
            (1, at("06-08 13:00"), "explicit"),
            "06-09 13:30",
            id="escalated before the deadline",
        ),
    ],
)
def test_any_other_reopen_keeps_no_ladder(facts: list[dict[str, Any]], first: tuple[int, str, str], due: str) -> None:
    timeline = simulated(OPENED, *facts, until=due)
    assert ladder(timeline) == [first, (1, at(due), "resolution_breached")]
