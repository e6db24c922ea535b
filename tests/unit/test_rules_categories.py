"""What the resolution clock of a category measures (docs/rules.md#3-16 to docs/rules.md#3-19)."""

from typing import Any, get_args

import pytest
from support.fake_timer import FakeTimer, moment, numbered_fact, summaries
from support.stories import at, changed_policy, clock, fact, ladder, shipped_policy, simulated
from tocsin.events import Category, ClockWarned, LadderExhausted, LadderStepDue
from tocsin.policy import Policy

BY_START = ("onboarding", "offboarding")


def opened(category: str, severity: int = 4, when: str = "06-08 13:00", **fields: Any) -> dict[str, Any]:
    """An opening. Severity 4, responded at the opening: due by target on 06-17 at 13:00, warning on 06-15 at 15:15."""
    return fact("opened", when, severity=severity, category=category, **fields)


def onboarding(starts_at: str, severity: int = 4) -> dict[str, Any]:
    return opened("onboarding", severity, starts_at=at(starts_at))


RESPONDED = fact("responded", "06-08 13:00")


def deadline(timeline: dict[str, Any], cycle: int = 1) -> tuple[str | None, str | None]:
    """The warning and the deadline of the resolution clock."""
    found = clock(timeline, "resolution", cycle)
    return found["warn_at"], found["due_at"]


def has_resolution(timeline: dict[str, Any]) -> bool:
    return any(one["clock"] == "resolution" for one in timeline["clocks"])


def version(policy: Policy, in_force_from: str) -> Policy:
    """The policy as a second version."""
    return policy.model_copy(update={"version": "2", "in_force_from": moment(in_force_from)})


@pytest.mark.rule("3.16")
@pytest.mark.parametrize("category", [name for name in get_args(Category) if name not in (*BY_START, "project")])
def test_other_categories_are_measured_by_target(category: str) -> None:
    starting = opened(category, starts_at=at("07-01 12:00"))
    assert deadline(simulated(starting, RESPONDED, until="06-08 14:00")) == (at("06-15 15:15"), at("06-17 13:00"))


@pytest.mark.rule("3.16", "2.9")
def test_a_customer_may_have_other_measures() -> None:
    own = "customers:\n  acme:\n    categories: { project: by_start, incident: none }\n    start_warning: 48h"
    policies = [changed_policy("customers: {}", own)]
    project = opened("project", starts_at=at("07-01 12:00"))
    for_acme = simulated(project, RESPONDED, until="06-08 14:00", policies=policies, customer="acme")
    assert deadline(for_acme) == (at("06-29 12:00"), at("07-01 12:00"))
    assert not has_resolution(simulated(opened("incident"), until="06-08 14:00", policies=policies, customer="acme"))
    assert not has_resolution(simulated(project, until="06-08 14:00", policies=policies, customer="zeta"))


# by_start


@pytest.mark.rule("3.17")
@pytest.mark.parametrize("category", BY_START)
def test_a_start_after_the_deadline_by_target_is_the_deadline(category: str) -> None:
    starting = opened(category, starts_at=at("07-01 12:00"))
    assert deadline(simulated(starting, RESPONDED, until="06-08 14:00")) == (at("06-30 12:00"), at("07-01 12:00"))


@pytest.mark.rule("3.17")
@pytest.mark.parametrize("starts_at", ["06-17 13:00", "06-10 12:00", "06-01 12:00"])
def test_an_earlier_start_leaves_the_deadline_by_target(starts_at: str) -> None:
    found = simulated(onboarding(starts_at), RESPONDED, until="06-08 14:00")
    assert deadline(found) == (at("06-15 15:15"), at("06-17 13:00"))
    without = simulated(opened("onboarding"), RESPONDED, until="06-08 14:00")
    assert deadline(without) == deadline(found)


@pytest.mark.rule("3.17")
@pytest.mark.parametrize(
    ("starts_at", "warn_at"),
    [("06-17 13:00:00.000001", "06-16 13:00:00.000001"), ("06-18 12:00", "06-17 12:00")],
)
def test_the_warning_is_a_day_before_the_start(starts_at: str, warn_at: str) -> None:
    found = simulated(onboarding(starts_at), RESPONDED, until="06-08 14:00")
    assert deadline(found) == (at(warn_at), at(starts_at))


@pytest.mark.rule("3.17")
def test_a_later_warning_by_target_stays() -> None:
    found = simulated(onboarding("06-09 18:00", severity=1), RESPONDED, until="06-08 14:00")
    assert deadline(found) == (at("06-09 07:00"), at("06-09 18:00"))  # a day before would be 06-08 18:00


@pytest.mark.rule("3.3", "3.17")
@pytest.mark.parametrize(("resolved", "outcome"), [("07-01 12:00", "met"), ("07-01 12:00:00.000001", "breached")])
def test_the_start_is_inclusive(resolved: str, outcome: str) -> None:
    found = simulated(onboarding("07-01 12:00"), RESPONDED, fact("resolved", resolved), until="07-02 12:00")
    assert clock(found, "resolution")["outcome"] == outcome
    assert ladder(found) == ([] if outcome == "met" else [(1, at("07-01 12:00"), "resolution_breached")])


@pytest.mark.rule("3.8", "3.9", "3.17")
def test_silence_about_work_that_starts_later_starts_the_ladder_at_the_start() -> None:
    found = simulated(onboarding("07-01 12:00"), until="07-01 12:00")
    assert deadline(found) == (None, at("07-01 12:00"))
    assert ladder(found) == [(1, at("07-01 12:00"), "no_response")]
    late = simulated(onboarding("07-01 12:00"), fact("responded", "07-01 13:00"), until="07-01 14:00")
    assert clock(late, "resolution")["due_at"] == at("07-13 13:00")  # by target again


@pytest.mark.rule("3.12", "3.17")
def test_silence_until_after_the_start_is_a_breach_of_the_resolve() -> None:
    for resolved, outcome in (("07-01 12:00", "met"), ("07-01 12:01", "breached")):
        found = simulated(onboarding("07-01 12:00"), fact("resolved", resolved), until="07-02 12:00")
        assert clock(found, "resolution")["outcome"] == outcome


@pytest.mark.rule("3.17", "4.4")
def test_pauses_do_not_move_the_start_and_make_it_unknown_while_they_last() -> None:
    paused, resumed = fact("paused", "06-18 12:00"), fact("resumed", "06-22 12:00")
    assert deadline(simulated(onboarding("07-01 12:00"), RESPONDED, paused, until="06-19 12:00")) == (None, None)
    found = simulated(onboarding("07-01 12:00"), RESPONDED, paused, resumed, until="06-23 12:00")
    assert deadline(found) == (at("06-30 12:00"), at("07-01 12:00"))


@pytest.mark.rule("3.17", "4.2")
def test_a_pause_moves_the_deadline_by_target_beyond_the_start() -> None:
    paused, resumed = fact("paused", "06-09 13:00"), fact("resumed", "06-16 13:00")
    found = simulated(onboarding("06-18 12:00"), RESPONDED, paused, resumed, until="06-16 14:00")
    assert deadline(found) == (at("06-23 15:15"), at("06-25 13:00"))  # 06-19 is a holiday


@pytest.mark.rule("3.17", "4.6")
def test_a_start_during_a_pause_is_missed_at_the_resume() -> None:
    paused, resumed = fact("paused", "06-30 20:00"), fact("resumed", "07-02 12:00")
    found = simulated(onboarding("07-01 12:00"), RESPONDED, paused, until="07-02 11:00")
    assert clock(found, "resolution")["outcome"] == "paused"
    found = simulated(onboarding("07-01 12:00"), RESPONDED, paused, resumed, until="07-02 12:00")
    assert clock(found, "resolution")["breached_at"] == at("07-02 12:00")
    assert ladder(found) == [(1, at("07-02 12:00"), "resolution_breached")]


@pytest.mark.rule("3.17", "4.3")
def test_a_start_at_the_begin_of_a_pause_is_due_there() -> None:
    found = simulated(onboarding("07-01 12:00"), RESPONDED, fact("paused", "07-01 12:00"), until="07-01 13:00")
    assert deadline(found) == (at("06-30 12:00"), at("07-01 12:00"))
    assert clock(found, "resolution")["breached_at"] == at("07-01 12:00")


@pytest.mark.rule("3.4", "3.17")
def test_a_warning_during_a_pause_is_given_at_the_resume() -> None:
    found = simulated(
        onboarding("07-01 12:00"),
        RESPONDED,
        fact("paused", "06-29 12:00"),
        fact("resumed", "06-30 20:00"),
        until="07-01 12:00",
    )
    warnings = [event["at"] for event in found["events"] if event["type"] == "clock.warned"]
    assert warnings == [at("06-30 20:00")]


@pytest.mark.rule("3.17", "4.5")
def test_a_severity_change_measures_target_and_start_anew() -> None:
    raised = fact("severity_changed", "06-09 13:00", severity=1)
    soon = simulated(onboarding("06-12 12:00"), RESPONDED, until="06-09 12:00")
    assert deadline(soon) == (at("06-15 15:15"), at("06-17 13:00"))
    found = simulated(onboarding("06-12 12:00"), RESPONDED, raised, until="06-09 13:00")
    assert deadline(found) == (at("06-11 12:00"), at("06-12 12:00"))


@pytest.mark.rule("3.17", "4.11")
def test_a_start_that_passed_while_the_ticket_was_closed_is_missed_at_the_reopen() -> None:
    found = simulated(
        onboarding("07-01 12:00"),
        RESPONDED,
        fact("resolved", "06-20 12:00"),
        fact("reopened", "07-02 12:00"),
        until="07-02 13:00",
    )
    assert clock(found, "resolution")["outcome"] == "met"
    assert clock(found, "resolution", cycle=2)["breached_at"] == at("07-02 12:00")


@pytest.mark.rule("2.7", "3.17")
def test_a_start_beyond_all_calendars_is_not_used() -> None:
    starting = opened("onboarding", severity=3) | {"starts_at": "2090-01-01T00:00:00Z"}
    assert clock(simulated(starting, RESPONDED, until="06-08 14:00"), "resolution")["due_at"] == at("06-15 13:00")
    timer = FakeTimer(category="onboarding", starts_at="2089-12-31T23:59:59Z")
    timer.receive([numbered_fact(1, "opened", "06-08 13:00", severity=4)])
    assert timer.agenda[-1].keyed.event.kind == "ladder.exhausted"


@pytest.mark.rule("3.17", "4.14", "4.15")
def test_a_policy_version_may_measure_by_another_way() -> None:
    by_target = version(changed_policy("  onboarding: by_start\n", "  onboarding: target\n"), "06-22 12:00")
    policies = [shipped_policy(), by_target]
    before = simulated(onboarding("07-01 12:00"), RESPONDED, until="06-22 11:59", policies=policies)
    assert deadline(before) == (at("06-30 12:00"), at("07-01 12:00"))
    after = simulated(onboarding("07-01 12:00"), RESPONDED, until="06-22 12:00", policies=policies)
    assert clock(after, "resolution")["breached_at"] == at("06-22 12:00")


@pytest.mark.rule("3.17")
def test_a_step_and_a_warning_say_that_the_start_may_be_the_deadline() -> None:
    timer = FakeTimer(category="onboarding", starts_at=at("07-01 12:00"))
    timer.receive([numbered_fact(1, "opened", "06-08 13:00", severity=4), numbered_fact(2, "responded", "06-08 13:00")])
    timer.pass_time(moment("07-01 12:00"))
    texts = {event.target for event in timer.events if isinstance(event, ClockWarned | LadderStepDue)}
    assert texts == {"7 business days, or by the start if that is later"}


# none


PROJECT = opened("project", severity=1, when="06-08 12:00", channel="email")


@pytest.mark.rule("3.18")
def test_a_project_has_no_resolution_clock_and_silence_starts_no_ladder() -> None:
    found = simulated(PROJECT, until="06-30 12:00")
    assert [(one["clock"], one["breached_at"]) for one in found["clocks"]] == [
        ("response", at("06-08 13:00")),
        ("answer", at("06-09 12:00")),
    ]
    assert (found["ladder"], found["next"]) == ([], None)


@pytest.mark.rule("3.18", "4.9")
def test_a_project_has_no_resolution_clock_in_any_cycle() -> None:
    found = simulated(
        PROJECT,
        fact("cancelled", "06-08 12:30"),
        fact("reopened", "06-08 14:00"),
        fact("responded", "06-08 14:10"),
        fact("resolved", "06-10 12:00"),
        fact("reopened", "06-11 12:00"),
        until="06-30 12:00",
    )
    assert [(one["cycle"], one["clock"], one["outcome"]) for one in found["clocks"]] == [
        (1, "response", "cancelled"),
        (1, "answer", "cancelled"),
        (2, "response", "met"),
        (2, "answer", "met"),
    ]
    assert not any(event.get("clock") == "resolution" for event in found["events"])
    assert found["next"] is None


@pytest.mark.rule("3.18", "5.2", "5.5", "5.13")
def test_an_escalation_starts_the_ladder_of_a_project_and_pauses_stop_it() -> None:
    found = simulated(
        PROJECT,
        fact("responded", "06-08 12:10"),
        fact("escalated", "06-08 13:00"),
        fact("paused", "06-08 14:30"),
        fact("resumed", "06-08 16:30"),
        fact("acknowledged", "06-08 16:40"),
        until="06-08 18:40",
    )
    assert ladder(found) == [
        (1, at("06-08 13:00"), "explicit"),
        (2, at("06-08 14:00"), "explicit"),
        (3, at("06-08 17:40"), "explicit"),
        (4, at("06-08 18:40"), "explicit"),
    ]


@pytest.mark.rule("3.18", "4.13")
def test_a_reopen_keeps_no_ladder_of_a_project() -> None:
    found = simulated(
        PROJECT,
        fact("escalated", "06-08 13:00"),
        fact("resolved", "06-08 13:30"),
        fact("reopened", "06-08 15:00"),
        fact("escalated", "06-08 16:00"),
        until="06-08 16:30",
    )
    assert ladder(found) == [(1, at("06-08 13:00"), "explicit"), (1, at("06-08 16:00"), "explicit")]


@pytest.mark.rule("3.18")
def test_a_ladder_of_a_project_has_no_resolution_target() -> None:
    timer = FakeTimer(category="project")
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1), numbered_fact(2, "escalated", "06-08 12:10")])
    step = timer.events[-1]
    assert isinstance(step, LadderStepDue)
    assert (step.target, step.started_at, step.due_at) == (None, None, None)
    assert (step.interval, step.next_at) == ("1 hour", moment("06-08 13:10"))
    timer.pass_time(moment("06-08 18:10"))
    exhausted = timer.events[-1]
    assert isinstance(exhausted, LadderExhausted)
    assert exhausted.target is None


@pytest.mark.rule("5.22")
def test_the_end_of_a_ladder_states_the_resolution_target() -> None:
    timer = FakeTimer()
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1), numbered_fact(2, "escalated", "06-08 12:10")])
    timer.pass_time(moment("06-08 18:10"))
    exhausted = timer.events[-1]
    assert isinstance(exhausted, LadderExhausted)
    assert exhausted.target == "24 hours"


# Versions that take the resolution clock away, or bring it


@pytest.mark.rule("3.21")
def test_a_version_that_measures_nothing_ends_the_clock_without_an_outcome() -> None:
    unmeasured = version(changed_policy("  project: none\n", "  project: none\n  incident: none\n"), "06-08 18:00")
    policies = [shipped_policy(), unmeasured]
    incident = opened("incident", severity=1, when="06-08 12:00")
    responded = fact("responded", "06-08 12:00")
    assert has_resolution(simulated(incident, responded, until="06-08 17:59", policies=policies))
    for resolved in ((), (fact("resolved", "06-12 12:00"),)):
        found = simulated(incident, responded, *resolved, until="06-20 12:00", policies=policies)
        assert not has_resolution(found)
        assert not any(event.get("clock") == "resolution" for event in found["events"])


@pytest.mark.rule("3.21")
def test_such_a_version_leaves_a_breach_and_holds_its_ladder() -> None:
    unmeasured = version(changed_policy("  project: none\n", "  project: none\n  incident: none\n"), "06-09 12:30")
    found = simulated(
        opened("incident", severity=1, when="06-08 12:00"),
        fact("responded", "06-08 12:00"),
        fact("escalated", "06-10 12:00"),
        fact("resolved", "06-10 12:30"),
        until="06-20 12:00",
        policies=[shipped_policy(), unmeasured],
    )
    assert clock(found, "resolution")["outcome"] == "breached"
    assert ladder(found) == [
        (1, at("06-09 12:00"), "resolution_breached"),
        (2, at("06-10 12:00"), "explicit"),
    ]


@pytest.mark.rule("3.18", "3.21")
@pytest.mark.parametrize("response", [[], [RESPONDED]])
def test_a_reopen_under_such_a_version_keeps_neither_clock_nor_ladder(response: list[dict[str, Any]]) -> None:
    unmeasured = version(changed_policy("  project: none\n", "  project: none\n  incident: none\n"), "06-09 15:30")
    found = simulated(
        opened("incident", severity=1),
        *response,
        fact("cancelled", "06-09 16:30"),
        fact("reopened", "06-09 17:00"),
        until="06-20 12:00",
        policies=[shipped_policy(), unmeasured],
    )
    assert 2 <= len(ladder(found)) <= 3
    assert all(when <= at("06-09 15:30") for _, when, _ in ladder(found))
    assert not any(one["clock"] == "resolution" for one in found["clocks"] if one["cycle"] == 2)


@pytest.mark.rule("3.21", "4.15")
def test_a_version_that_measures_the_category_brings_the_clock() -> None:
    measured = version(changed_policy("  project: none\n", "  project: target\n"), "06-10 18:00")
    found = simulated(
        opened("project", severity=1, when="06-08 12:00"),
        fact("responded", "06-08 12:00"),
        until="06-10 18:00",
        policies=[shipped_policy(), measured],
    )
    resolution = clock(found, "resolution")
    assert (resolution["due_at"], resolution["breached_at"]) == (at("06-09 12:00"), at("06-10 18:00"))
    assert ladder(found) == [(1, at("06-10 18:00"), "resolution_breached")]


@pytest.mark.rule("3.21", "4.17")
def test_a_version_that_is_stored_late_voids_the_breach_it_takes_away() -> None:
    timer = FakeTimer()
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1), numbered_fact(2, "responded", "06-08 12:00")])
    timer.pass_time(moment("06-09 12:00"))
    before = len(timer.events)
    unmeasured = version(changed_policy("  project: none\n", "  project: none\n  incident: none\n"), "06-08 18:00")
    timer.policies = type(timer.policies).of([shipped_policy(), unmeasured], None)
    timer.receive([], accepted_through=moment("06-09 12:30"))
    assert summaries(timer.events[before:]) == [
        ("voided breached resolution", "06-09 12:30"),
        ("voided warned resolution", "06-09 12:30"),
        ("ended run 1: voided", "06-09 12:30"),
    ]
