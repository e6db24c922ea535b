"""Single clauses of RULES 3 to 5, each by the smallest story that shows it."""

import pytest
from support.stories import at, clock, fact, ladder, tell

OPENED = fact("opened", "06-08 12:00", severity=1)
ANSWERED = fact("responded", "06-08 12:00")


@pytest.mark.parametrize(
    ("resolved", "outcome"),
    [("06-09 11:59:59.999999", "met"), ("06-09 12:00:00.000000", "met"), ("06-09 12:00:00.000001", "breached")],
)
def test_or_less_is_inclusive_to_the_microsecond(resolved: str, outcome: str) -> None:
    told = tell(OPENED, ANSWERED, fact("resolved", resolved), until="06-09 13:00")
    assert clock(told, "resolution")["outcome"] == outcome
    assert len(told["ladder"]) == (outcome == "breached")


def test_at_the_due_without_a_resolve_the_clock_is_breached() -> None:
    assert clock(tell(OPENED, ANSWERED, until="06-09 12:00"), "resolution")["outcome"] == "breached"
    assert tell(OPENED, ANSWERED, until="06-09 11:59:59.999999")["next"] == "breach:resolution"


def test_silence_climbs_to_the_top_and_is_exhausted_once() -> None:
    told = tell(OPENED, until="06-20 12:00")
    assert [step for step, _, _ in ladder(told)] == [1, 2, 3, 4, 5, 6]
    assert told["exhausted_at"] == at("06-09 19:00")
    assert clock(told, "resolution")["outcome"] == "running"
    assert told["next"] is None


def test_a_paused_clock_has_no_due_and_outcome_paused() -> None:
    resolution = clock(tell(OPENED, ANSWERED, fact("paused", "06-08 13:00"), until="06-20 13:00"), "resolution")
    assert (resolution["due_at"], resolution["outcome"], resolution["net_seconds"]) == (None, "paused", 3600.0)


def test_time_used_up_exactly_where_a_pause_begins_is_due_there() -> None:
    told = tell(OPENED, ANSWERED, fact("paused", "06-09 12:00"), until="06-09 12:00")
    assert clock(told, "resolution")["breached_at"] == at("06-09 12:00")


def test_a_workaround_ends_it_but_not_on_severity_1() -> None:
    workaround = fact("resolved", "06-08 13:00", resolution_kind="workaround")
    assert clock(tell(OPENED, ANSWERED, workaround, until="06-08 14:00"), "resolution")["outcome"] == "running"
    second = fact("opened", "06-08 12:00", severity=2)
    assert clock(tell(second, ANSWERED, workaround, until="06-08 14:00"), "resolution")["outcome"] == "met"


def test_severity_lowered_at_tier_2_holds_and_goes_on_at_tier_3() -> None:
    told = tell(OPENED, ANSWERED, fact("severity_changed", "06-09 13:30", severity=2), until="06-10 02:00")
    assert [(step, when) for step, when, _ in ladder(told)] == [
        (1, at("06-09 12:00")),
        (2, at("06-09 13:00")),
        (3, at("06-10 00:00")),
        (4, at("06-10 02:00")),
    ]


def test_an_explicit_escalation_starts_and_advances() -> None:
    before = tell(OPENED, ANSWERED, fact("escalated", "06-08 13:00"), until="06-08 14:00")
    assert ladder(before) == [(1, at("06-08 13:00"), "explicit"), (2, at("06-08 14:00"), "explicit")]
    after = tell(OPENED, ANSWERED, fact("escalated", "06-09 12:20"), until="06-09 13:20")
    assert ladder(after) == [
        (1, at("06-09 12:00"), "resolution_breached"),
        (2, at("06-09 12:20"), "explicit"),
        (3, at("06-09 13:20"), "resolution_breached"),
    ]


def test_a_breach_adds_no_step_to_a_ladder_that_runs() -> None:
    told = tell(OPENED, ANSWERED, fact("escalated", "06-09 11:30"), until="06-09 12:29")
    assert ladder(told) == [(1, at("06-09 11:30"), "explicit")]
    assert clock(told, "resolution")["outcome"] == "breached"


def test_a_step_escalated_in_the_instant_of_the_resolve_is_told() -> None:
    told = tell(
        OPENED, ANSWERED, fact("escalated", "06-08 13:00"), fact("resolved", "06-08 13:00"), until="06-09 13:00"
    )
    assert ladder(told) == [(1, at("06-08 13:00"), "explicit")]


def test_a_breached_cycle_that_is_reopened_goes_on_at_its_next_tier() -> None:
    told = tell(OPENED, ANSWERED, fact("resolved", "06-09 13:30"), fact("reopened", "06-09 20:00"), until="06-09 21:00")
    assert [(step, when) for step, when, _ in ladder(told)] == [
        (1, at("06-09 12:00")),
        (2, at("06-09 13:00")),
        (3, at("06-09 21:00")),
    ]
    assert clock(told, "resolution", cycle=2)["breached_at"] == at("06-09 12:00")


def test_a_met_cycle_that_is_reopened_leaves_no_ladder_and_what_was_left_goes_on() -> None:
    told = tell(OPENED, ANSWERED, fact("resolved", "06-08 13:00"), fact("reopened", "06-10 12:00"), until="06-10 13:00")
    assert clock(told, "resolution", cycle=2)["due_at"] == at("06-11 11:00")
    assert clock(told, "resolution", cycle=1)["outcome"] == "met"
    assert ladder(told) == []


def test_the_answer_clock_runs_for_mail_alone() -> None:
    mail = fact("opened", "06-08 12:00", severity=4, channel="email")
    assert clock(tell(mail, until="06-09 12:00"), "answer")["breached_at"] == at("06-09 12:00")
    assert all(c["clock"] != "answer" for c in tell(OPENED, until="06-09 12:00")["clocks"])


def test_cancelled_is_neither_met_nor_breached() -> None:
    told = tell(OPENED, ANSWERED, fact("cancelled", "06-08 13:00"), until="06-12 12:00")
    assert clock(told, "resolution")["outcome"] == "cancelled"
    assert clock(told, "response")["outcome"] == "met"
    assert told["next"] is None


def test_a_request_that_was_not_handled_properly_escalates_at_its_opening() -> None:
    opened = fact("opened", "06-08 12:00", severity=3, category="mishandled_request", sender_is_it_contact=True)
    assert ladder(tell(opened, until="06-08 12:00")) == [(1, at("06-08 12:00"), "explicit")]
