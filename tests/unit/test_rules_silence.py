"""Silence never meets a target (docs/rules.md#3-12, docs/rules.md#3-13)."""

from typing import Any

import pytest
from sla_timer.domain.policy_history import PolicyHistory
from support.fake_timer import FakeTimer, moment, numbered_fact, summaries
from support.stories import at, changed_policy, clock, fact, ladder, shipped_policy, simulated

OPENED = fact("opened", "06-08 12:00", severity=1)
"""Unless somebody responds: response due at 13:00, provisional deadline on 06-09 at 13:00."""
OPENED_HIGH = fact("opened", "06-08 12:00", severity=2)
"""Unless somebody responds: response due at 14:00, provisional deadline on 06-10 at 02:00."""


def resolution(timeline: dict[str, Any], cycle: int = 1) -> tuple[str, str | None]:
    """The outcome of the resolution clock, and when it breached."""
    found = clock(timeline, "resolution", cycle)
    return found["outcome"], found["breached_at"]


@pytest.mark.rule("3.12", "3.13")
def test_a_resolve_after_silence_is_a_breach_and_adds_no_step() -> None:
    timeline = simulated(OPENED, fact("resolved", "06-09 14:30"), until="06-20 12:00")
    assert resolution(timeline) == ("breached", at("06-09 14:30"))
    assert ladder(timeline) == [(1, at("06-09 13:00"), "no_response"), (2, at("06-09 14:00"), "no_response")]
    at_the_resolve = [event for event in timeline["events"] if event["at"] == at("06-09 14:30")]
    assert [(event["type"], event.get("clock")) for event in at_the_resolve] == [
        ("clock.breached", "resolution"),
        ("ladder.ended", None),
    ]


@pytest.mark.rule("3.11", "3.12")
def test_the_other_fields_of_the_clock_are_those_of_a_response_at_the_resolve() -> None:
    timeline = simulated(OPENED, fact("resolved", "06-09 14:30"), until="06-20 12:00")
    assert timeline["first_responded_at"] == at("06-09 14:30")
    ended = clock(timeline, "resolution")
    assert (ended["started_at"], ended["due_at"], ended["provisional"]) == (at("06-09 14:30"), at("06-10 14:30"), False)
    breach = next(event for event in timeline["events"] if event["type"] == "clock.breached" and event["cycle"] == 1)
    assert breach["clock"] == "response"


@pytest.mark.rule("3.12")
def test_a_workaround_after_silence_is_a_breach_too() -> None:
    workaround = fact("resolved", "06-10 02:30", resolution_kind="workaround")
    assert resolution(simulated(OPENED_HIGH, workaround, until="06-11 12:00")) == ("breached", at("06-10 02:30"))


@pytest.mark.rule("3.3", "3.12")
@pytest.mark.parametrize(
    ("resolved", "outcome"),
    [("06-09 12:59:59.999999", "met"), ("06-09 13:00", "met"), ("06-09 13:00:00.000001", "breached")],
)
def test_a_resolve_at_the_provisional_deadline_still_meets_the_target(resolved: str, outcome: str) -> None:
    assert resolution(simulated(OPENED, fact("resolved", resolved), until="06-11 12:00"))[0] == outcome


@pytest.mark.rule("3.7", "3.12")
@pytest.mark.parametrize("responded", ["06-09 14:00", "06-09 15:00"])
def test_a_response_up_to_the_instant_of_the_resolve_ends_the_silence(responded: str) -> None:
    timeline = simulated(OPENED, fact("responded", responded), fact("resolved", "06-09 15:00"), until="06-11 12:00")
    assert resolution(timeline) == ("met", None)


@pytest.mark.rule("3.12")
def test_a_deadline_that_a_change_put_later_decides() -> None:
    lowered = fact("severity_changed", "06-09 14:00", severity=2)  # provisional deadline 06-10 02:00
    met = simulated(OPENED, lowered, fact("resolved", "06-10 02:00"), until="06-11 12:00")
    breached = simulated(OPENED, lowered, fact("resolved", "06-10 02:01"), until="06-11 12:00")
    assert resolution(met) == ("met", None)
    assert resolution(breached) == ("breached", at("06-10 02:01"))


@pytest.mark.rule("0.4", "3.12")
def test_a_change_at_the_instant_of_the_resolve_decides_too() -> None:
    story = [OPENED, fact("escalated", "06-09 12:30"), fact("severity_changed", "06-09 14:00", severity=2)]
    assert resolution(simulated(*story, fact("resolved", "06-09 14:00"), until="06-11 12:00")) == ("met", None)


@pytest.mark.rule("0.6", "3.12")
def test_silence_that_was_never_judged_is_no_breach() -> None:
    raised = fact("severity_changed", "06-09 20:00", severity=1)  # would have been due on 06-09 at 13:00
    assert resolution(simulated(OPENED_HIGH, raised, fact("resolved", "06-09 20:00"), until="06-11 12:00"))[0] == "met"
    later = simulated(OPENED_HIGH, raised, fact("resolved", "06-09 20:01"), until="06-11 12:00")
    assert resolution(later) == ("breached", at("06-09 20:01"))


@pytest.mark.rule("3.12", "4.3", "4.4")
def test_a_pause_after_silence_changes_nothing_and_an_unknown_deadline_is_none_that_passed() -> None:
    paused = fact("paused", "06-09 14:00")
    assert resolution(simulated(OPENED, paused, fact("resolved", "06-09 16:00"), until="06-11 12:00")) == (
        "breached",
        at("06-09 16:00"),
    )
    lowered = fact("severity_changed", "06-09 15:00", severity=3)
    assert resolution(simulated(OPENED, paused, lowered, fact("resolved", "06-09 16:00"), until="06-11 12:00")) == (
        "met",
        None,
    )


@pytest.mark.rule("3.12", "3.15", "4.10")
def test_silence_that_goes_on_in_a_further_cycle_is_a_breach_of_that_cycle() -> None:
    timeline = simulated(
        OPENED,
        fact("cancelled", "06-09 13:30"),
        fact("reopened", "06-09 15:00"),
        fact("resolved", "06-09 15:30"),
        until="06-11 12:00",
    )
    assert resolution(timeline) == ("cancelled", None)
    assert resolution(timeline, cycle=2) == ("breached", at("06-09 15:30"))


@pytest.mark.rule("3.13", "4.12", "4.13", "5.14")
def test_a_reopen_finds_a_cycle_that_had_breached() -> None:
    timeline = simulated(OPENED, fact("resolved", "06-09 13:30"), fact("reopened", "06-09 20:00"), until="06-09 22:00")
    assert resolution(timeline, cycle=2) == ("breached", at("06-09 13:30"))
    assert ladder(timeline) == [
        (1, at("06-09 13:00"), "no_response"),
        (2, at("06-09 21:00"), "resolution_breached"),
        (3, at("06-09 22:00"), "resolution_breached"),
    ]
    assert [event["type"] for event in timeline["events"] if event["cycle"] == 2] == ["ladder.step_due"] * 2


@pytest.mark.rule("3.13", "5.14")
def test_a_ladder_that_an_escalation_started_keeps_its_reason() -> None:
    timeline = simulated(
        OPENED,
        fact("escalated", "06-09 12:30"),
        fact("resolved", "06-09 13:20"),
        fact("reopened", "06-09 20:00"),
        until="06-09 21:00",
    )
    assert resolution(timeline) == ("breached", at("06-09 13:20"))
    assert ladder(timeline) == [(1, at("06-09 12:30"), "explicit"), (2, at("06-09 21:00"), "explicit")]


@pytest.mark.rule("3.13", "5.12")
def test_a_reopen_keeps_an_exhausted_ladder_exhausted() -> None:
    timeline = simulated(OPENED, fact("resolved", "06-10 12:00"), fact("reopened", "06-10 13:00"), until="06-20 12:00")
    assert [step for step, _, _ in ladder(timeline)] == [1, 2, 3, 4, 5, 6]
    assert timeline["next"] is None


@pytest.mark.rule("3.12", "4.14")
def test_a_policy_version_that_puts_the_deadline_later_decides() -> None:
    longer = changed_policy("1: 24h", "1: 48h").model_copy(
        update={"version": "2", "in_force_from": moment("06-09 14:00")}
    )
    for resolved, outcome in (("06-10 13:00", "met"), ("06-10 13:01", "breached")):
        timeline = simulated(
            OPENED, fact("resolved", resolved), until="06-11 12:00", policies=[shipped_policy(), longer]
        )
        assert resolution(timeline)[0] == outcome


def silent_and_resolved(**options: Any) -> FakeTimer:
    """A silent ticket that was resolved on 06-09 at 14:30, after two steps."""
    timer = FakeTimer(**options)
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1)])
    timer.pass_time(moment("06-09 14:00"))
    timer.receive([numbered_fact(2, "resolved", "06-09 14:30")])
    return timer


@pytest.mark.rule("3.12", "4.17")
@pytest.mark.parametrize("responded", ["06-08 15:00", "06-09 14:10"])
def test_a_response_that_arrives_late_voids_the_breach(responded: str) -> None:
    timer = silent_and_resolved()
    assert ("breached resolution", "06-09 14:30") in summaries(timer.events)
    before = len(timer.events)
    timer.receive([numbered_fact(3, "responded", responded, "06-09 15:00")])
    after = summaries(timer.events[before:])
    assert ("voided breached resolution", "06-09 15:00") in after
    assert ("met resolution", "06-09 14:30") in after
    assert not any("ended" in what or "step_due" in what for what, _ in after)


@pytest.mark.rule("3.12", "4.17")
def test_a_late_severity_can_turn_a_met_target_into_a_breach() -> None:
    timer = FakeTimer()
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=2)])
    timer.pass_time(moment("06-09 14:00"))
    timer.receive([numbered_fact(2, "resolved", "06-09 14:30")])
    assert timer.events[-1].at == moment("06-09 14:30")
    before = len(timer.events)
    timer.receive([numbered_fact(3, "severity_changed", "06-08 12:30", "06-09 15:00", severity=1)])
    after = summaries(timer.events[before:])
    assert ("voided met resolution", "06-09 15:00") in after
    assert ("breached resolution", "06-09 14:30") in after


@pytest.mark.rule("3.12", "4.24")
def test_the_breach_of_a_historic_resolve_is_historic() -> None:
    timer = FakeTimer(historic_through=moment("06-20 12:00"))
    timer.receive(
        [
            numbered_fact(1, "opened", "06-08 12:00", "06-20 12:00", severity=1),
            numbered_fact(2, "resolved", "06-09 14:30", "06-20 12:00"),
        ]
    )
    breach = next(event for event in timer.events if summaries([event]) == [("breached resolution", "06-09 14:30")])
    assert breach.historic


@pytest.mark.rule("3.12", "6.3")
def test_reports_count_the_breach_at_the_resolve() -> None:
    timer = FakeTimer()
    evaluation = timer.receive(
        [numbered_fact(1, "opened", "06-08 12:00", severity=1), numbered_fact(2, "resolved", "06-09 14:30")]
    )
    summary = next(one for one in evaluation.clocks if one.clock == "resolution")
    assert (summary.state, summary.outcome_at, summary.open) == ("breached", moment("06-09 14:30"), False)


@pytest.mark.rule("3.6", "3.12")
def test_an_automatic_receipt_does_not_end_the_silence() -> None:
    history = PolicyHistory.of([changed_policy("automatic_actors: []", "automatic_actors: [robot]")], None)
    timer = FakeTimer(history)
    timer.receive(
        [
            numbered_fact(1, "opened", "06-08 12:00", severity=1),
            numbered_fact(2, "responded", "06-08 12:00", actor="robot"),
            numbered_fact(3, "resolved", "06-09 14:30", actor="maya"),
        ]
    )
    assert ("breached resolution", "06-09 14:30") in summaries(timer.events)
