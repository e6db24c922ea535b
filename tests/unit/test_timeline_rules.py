"""Single clauses of docs/rules.md about clocks and ladders, each with the smallest story that shows it."""

import pytest
from support.stories import at, clock, fact, ladder, simulated

OPENED = fact("opened", "06-08 12:00", severity=1)
ANSWERED = fact("responded", "06-08 12:00")


@pytest.mark.rule("3.3")
@pytest.mark.parametrize(
    ("resolved", "outcome"),
    [("06-09 11:59:59.999999", "met"), ("06-09 12:00:00.000000", "met"), ("06-09 12:00:00.000001", "breached")],
)
def test_or_less_is_inclusive_to_the_microsecond(resolved: str, outcome: str) -> None:
    timeline = simulated(OPENED, ANSWERED, fact("resolved", resolved), until="06-09 13:00")
    assert clock(timeline, "resolution")["outcome"] == outcome
    assert len(timeline["ladder"]) == (outcome == "breached")


@pytest.mark.rule("3.3")
def test_at_its_deadline_without_a_resolve_the_clock_is_breached() -> None:
    assert clock(simulated(OPENED, ANSWERED, until="06-09 12:00"), "resolution")["outcome"] == "breached"
    assert simulated(OPENED, ANSWERED, until="06-09 11:59:59.999999")["next"] == "breach:resolution"


@pytest.mark.rule("3.9", "5.11")
def test_a_ladder_started_by_silence_reaches_the_top_and_is_exhausted_once() -> None:
    timeline = simulated(OPENED, until="06-20 12:00")
    assert [step for step, _, _ in ladder(timeline)] == [1, 2, 3, 4, 5, 6]
    assert timeline["exhausted_at"] == at("06-09 19:00")
    assert clock(timeline, "resolution")["outcome"] == "running"
    assert timeline["next"] is None


@pytest.mark.rule("4.1", "4.4")
def test_a_paused_clock_has_no_deadline_and_the_outcome_paused() -> None:
    resolution = clock(simulated(OPENED, ANSWERED, fact("paused", "06-08 13:00"), until="06-20 13:00"), "resolution")
    assert (resolution["due_at"], resolution["outcome"], resolution["net_seconds"]) == (None, "paused", 3600.0)


@pytest.mark.rule("4.3")
def test_time_used_up_exactly_at_the_start_of_a_pause_is_due_there() -> None:
    timeline = simulated(OPENED, ANSWERED, fact("paused", "06-09 12:00"), until="06-09 12:00")
    assert clock(timeline, "resolution")["breached_at"] == at("06-09 12:00")


@pytest.mark.rule("3.14")
def test_a_workaround_meets_the_resolution_but_not_on_severity_1() -> None:
    workaround = fact("resolved", "06-08 13:00", resolution_kind="workaround")
    assert clock(simulated(OPENED, ANSWERED, workaround, until="06-08 14:00"), "resolution")["outcome"] == "running"
    second = fact("opened", "06-08 12:00", severity=2)
    assert clock(simulated(second, ANSWERED, workaround, until="06-08 14:00"), "resolution")["outcome"] == "met"


@pytest.mark.rule("4.7")
def test_a_severity_lowered_at_tier_2_holds_the_ladder_which_continues_with_tier_3() -> None:
    timeline = simulated(OPENED, ANSWERED, fact("severity_changed", "06-09 13:30", severity=2), until="06-10 02:00")
    assert [(step, when) for step, when, _ in ladder(timeline)] == [
        (1, at("06-09 12:00")),
        (2, at("06-09 13:00")),
        (3, at("06-10 00:00")),
        (4, at("06-10 02:00")),
    ]


@pytest.mark.rule("5.13", "5.14")
def test_an_explicit_escalation_starts_or_advances_the_ladder() -> None:
    before = simulated(OPENED, ANSWERED, fact("escalated", "06-08 13:00"), until="06-08 14:00")
    assert ladder(before) == [(1, at("06-08 13:00"), "explicit"), (2, at("06-08 14:00"), "explicit")]
    after = simulated(OPENED, ANSWERED, fact("escalated", "06-09 12:20"), until="06-09 13:20")
    assert ladder(after) == [
        (1, at("06-09 12:00"), "resolution_breached"),
        (2, at("06-09 12:20"), "explicit"),
        (3, at("06-09 13:20"), "resolution_breached"),
    ]


@pytest.mark.rule("5.2")
def test_a_breach_adds_no_step_to_a_running_ladder() -> None:
    timeline = simulated(OPENED, ANSWERED, fact("escalated", "06-09 11:30"), until="06-09 12:29")
    assert ladder(timeline) == [(1, at("06-09 11:30"), "explicit")]
    assert clock(timeline, "resolution")["outcome"] == "breached"


@pytest.mark.rule("5.13")
def test_an_escalation_before_a_resolve_of_the_same_instant_takes_its_step() -> None:
    timeline = simulated(
        OPENED, ANSWERED, fact("escalated", "06-08 13:00"), fact("resolved", "06-08 13:00"), until="06-09 13:00"
    )
    assert ladder(timeline) == [(1, at("06-08 13:00"), "explicit")]


@pytest.mark.rule("4.12", "4.13")
def test_a_breached_cycle_that_is_reopened_continues_with_the_next_tier() -> None:
    timeline = simulated(
        OPENED, ANSWERED, fact("resolved", "06-09 13:30"), fact("reopened", "06-09 20:00"), until="06-09 21:00"
    )
    assert [(step, when) for step, when, _ in ladder(timeline)] == [
        (1, at("06-09 12:00")),
        (2, at("06-09 13:00")),
        (3, at("06-09 21:00")),
    ]
    assert clock(timeline, "resolution", cycle=2)["breached_at"] == at("06-09 12:00")


@pytest.mark.rule("4.9", "4.10")
def test_a_met_cycle_that_is_reopened_keeps_no_ladder_and_its_remaining_time() -> None:
    timeline = simulated(
        OPENED, ANSWERED, fact("resolved", "06-08 13:00"), fact("reopened", "06-10 12:00"), until="06-10 13:00"
    )
    assert clock(timeline, "resolution", cycle=2)["due_at"] == at("06-11 11:00")
    assert clock(timeline, "resolution", cycle=1)["outcome"] == "met"
    assert ladder(timeline) == []


@pytest.mark.rule("3.1", "6.1")
def test_only_a_ticket_by_mail_has_an_answer_clock() -> None:
    mail = fact("opened", "06-08 12:00", severity=4, channel="email")
    assert clock(simulated(mail, until="06-09 12:00"), "answer")["breached_at"] == at("06-09 12:00")
    assert all(c["clock"] != "answer" for c in simulated(OPENED, until="06-09 12:00")["clocks"])


@pytest.mark.rule("3.15")
def test_cancelled_is_neither_met_nor_breached() -> None:
    timeline = simulated(OPENED, ANSWERED, fact("cancelled", "06-08 13:00"), until="06-12 12:00")
    assert clock(timeline, "resolution")["outcome"] == "cancelled"
    assert clock(timeline, "response")["outcome"] == "met"
    assert timeline["next"] is None


@pytest.mark.rule("5.16")
def test_a_mishandled_request_escalates_at_its_opening() -> None:
    opened = fact("opened", "06-08 12:00", severity=3, category="mishandled_request", sender_is_it_contact=True)
    assert ladder(simulated(opened, until="06-08 12:00")) == [(1, at("06-08 12:00"), "explicit")]
