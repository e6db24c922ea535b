"""Start, interval, acknowledgement, exhaustion and escalation of the ladder (docs/rules.md#5-escalation-ladder)."""

import pytest
from support.stories import at, clock, fact, ladder, simulated

OPENED = fact("opened", "06-08 12:00", severity=1)
ANSWERED = fact("responded", "06-08 12:00")
"""The resolution is due, and the ladder starts, on 06-09 at 12:00; it is exhausted at 18:00."""
ESCALATED_SEVEN_TIMES = [fact("escalated", f"06-08 13:0{minute}") for minute in range(7)]


@pytest.mark.rule("5.2")
def test_silence_adds_no_step_to_a_running_ladder() -> None:
    timeline = simulated(OPENED, fact("escalated", "06-09 12:30"), until="06-09 13:30")
    assert ladder(timeline) == [(1, at("06-09 12:30"), "explicit"), (2, at("06-09 13:30"), "explicit")]


@pytest.mark.rule("5.4", "5.5")
@pytest.mark.parametrize(
    ("severity", "instants"),
    [
        (1, ["06-09 13:30", "06-09 14:30", "06-09 15:30"]),
        (2, ["06-10 01:30", "06-10 03:30", "06-10 05:30"]),
        (3, ["06-15 13:30", "06-16 13:30", "06-17 13:30"]),
        (4, ["06-17 13:30", "06-18 13:30", "06-22 13:30"]),  # over Juneteenth and a weekend
    ],
)
def test_the_interval_is_the_response_target_of_the_severity(severity: int, instants: list[str]) -> None:
    timeline = simulated(
        fact("opened", "06-08 13:30", severity=severity), fact("responded", "06-08 13:30"), until=instants[-1]
    )
    assert [when for _, when, _ in ladder(timeline)] == [at(instant) for instant in instants]


@pytest.mark.rule("5.7")
def test_a_severity_change_measures_an_acknowledgement_anew() -> None:
    facts = [fact("opened", "06-08 12:00", severity=2), ANSWERED, fact("acknowledged", "06-10 00:30")]
    assert ladder(simulated(*facts, until="06-10 02:30"))[1][:2] == (2, at("06-10 02:30"))
    raised = fact("severity_changed", "06-10 00:40", severity=1)
    assert ladder(simulated(*facts, raised, until="06-10 02:30")) == [
        (1, at("06-10 00:00"), "resolution_breached"),
        (2, at("06-10 01:30"), "resolution_breached"),
        (3, at("06-10 02:30"), "resolution_breached"),
    ]


@pytest.mark.rule("5.8")
@pytest.mark.parametrize(
    ("acknowledged", "instants"),
    [
        ("06-09 13:00:00.000000", ["06-09 12:00", "06-09 14:00", "06-09 15:00"]),
        ("06-09 13:00:00.000001", ["06-09 12:00", "06-09 13:00", "06-09 14:00:00.000001"]),
    ],
)
def test_an_acknowledgement_leaves_a_step_that_was_due_before_it(acknowledged: str, instants: list[str]) -> None:
    timeline = simulated(OPENED, ANSWERED, fact("acknowledged", acknowledged), until=instants[-1])
    assert [when for _, when, _ in ladder(timeline)] == [at(instant) for instant in instants]


@pytest.mark.rule("3.10", "5.9")
@pytest.mark.parametrize(("acknowledged", "second"), [("06-09 13:20", "06-10 13:30"), ("06-10 13:00", "06-10 14:00")])
def test_a_hold_by_a_response_and_an_acknowledgement_both_apply(acknowledged: str, second: str) -> None:
    timeline = simulated(
        OPENED, fact("acknowledged", acknowledged), fact("responded", "06-09 13:30"), until="06-10 14:00"
    )
    assert ladder(timeline) == [(1, at("06-09 13:00"), "no_response"), (2, at(second), "resolution_breached")]


@pytest.mark.rule("5.11")
@pytest.mark.parametrize(("fact_type", "exhausted"), [("acknowledged", "06-09 18:30"), ("escalated", "06-09 17:30")])
def test_exhaustion_is_delayed_and_brought_forward_like_a_tier(fact_type: str, exhausted: str) -> None:
    timeline = simulated(OPENED, ANSWERED, fact(fact_type, "06-09 17:30"), until="06-12 12:00")
    assert timeline["exhausted_at"] == at(exhausted)
    assert [step for step, _, _ in ladder(timeline)] == [1, 2, 3, 4, 5, 6]
    assert [event["type"] for event in timeline["events"]].count("ladder.exhausted") == 1


@pytest.mark.rule("5.12")
def test_escalations_silence_and_a_breach_add_no_step_to_an_exhausted_ladder() -> None:
    escalated = fact("escalated", "06-08 13:30")
    silent = simulated(OPENED, *ESCALATED_SEVEN_TIMES, escalated, until="06-12 12:00")
    breached = simulated(OPENED, ANSWERED, *ESCALATED_SEVEN_TIMES, escalated, until="06-12 12:00")
    assert clock(breached, "resolution")["breached_at"] == at("06-09 12:00")
    for timeline in (silent, breached):
        assert [(step, when) for step, when, _ in ladder(timeline)] == [
            (minute + 1, at(f"06-08 13:0{minute}")) for minute in range(6)
        ]
        assert timeline["exhausted_at"] == at("06-08 13:06")


@pytest.mark.rule("5.12")
def test_an_exhausted_ladder_that_a_reopen_keeps_stays_exhausted() -> None:
    closed_and_reopened = [fact("resolved", "06-09 19:00"), fact("reopened", "06-09 20:00")]
    timeline = simulated(OPENED, ANSWERED, *closed_and_reopened, fact("escalated", "06-09 20:10"), until="06-12 12:00")
    assert [step for step, _, _ in ladder(timeline)] == [1, 2, 3, 4, 5, 6]
    assert timeline["exhausted_at"] == at("06-09 18:00")


@pytest.mark.rule("5.12")
def test_a_cycle_that_kept_no_exhausted_ladder_starts_at_tier_1() -> None:
    closed_and_reopened = [fact("resolved", "06-08 14:00"), fact("reopened", "06-08 15:00")]
    timeline = simulated(OPENED, ANSWERED, *ESCALATED_SEVEN_TIMES, *closed_and_reopened, until="06-09 13:00")
    assert ladder(timeline)[6:] == [(1, at("06-09 13:00"), "resolution_breached")]


@pytest.mark.rule("5.13")
def test_an_escalation_ends_a_hold() -> None:
    timeline = simulated(
        OPENED,
        ANSWERED,
        fact("severity_changed", "06-09 12:30", severity=2),  # holds the ladder until 06-10 00:00
        fact("escalated", "06-09 12:40"),
        until="06-09 14:40",
    )
    assert ladder(timeline) == [
        (1, at("06-09 12:00"), "resolution_breached"),
        (2, at("06-09 12:40"), "explicit"),
        (3, at("06-09 14:40"), "resolution_breached"),
    ]


@pytest.mark.rule("5.14")
def test_a_ladder_that_an_escalation_started_stays_explicit_after_a_breach() -> None:
    timeline = simulated(OPENED, ANSWERED, fact("escalated", "06-09 11:30"), until="06-09 12:30")
    assert ladder(timeline) == [(1, at("06-09 11:30"), "explicit"), (2, at("06-09 12:30"), "explicit")]
