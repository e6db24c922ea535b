"""Single clauses of docs/rules.md about clocks and ladders, each with the smallest story that shows it."""

import pytest
from support.stories import at, clock, fact, ladder, simulated

OPENED = fact("opened", "06-08 12:00", severity=1)
ANSWERED = fact("responded", "06-08 12:00")


@pytest.mark.rule("0.2", "3.3")
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


@pytest.mark.rule("1.1")
def test_the_initial_severity_starts_the_clocks_at_once() -> None:
    timeline = simulated(OPENED, until="06-08 12:00")
    assert [(c["clock"], c["started_at"], c["outcome"]) for c in timeline["clocks"]] == [
        ("response", at("06-08 12:00"), "running"),
        ("resolution", at("06-08 12:00"), "running"),
    ]


@pytest.mark.rule("1.2", "4.5")
def test_a_severity_change_keeps_the_start_and_applies_the_new_target_with_all_pauses() -> None:
    timeline = simulated(
        fact("opened", "06-08 12:00", severity=3),
        ANSWERED,
        fact("paused", "06-08 20:00"),
        fact("resumed", "06-09 00:00"),
        fact("severity_changed", "06-09 01:00", severity=1),
        until="06-09 02:00",
    )
    resolution = clock(timeline, "resolution")
    # The pause counts four hours on the elapsed clock of severity 1, and one hour on the business clock of severity 3.
    assert (resolution["started_at"], resolution["due_at"]) == (at("06-08 12:00"), at("06-09 16:00"))
    assert timeline["severity"] == 1


@pytest.mark.rule("4.5")
def test_a_severity_change_leaves_decided_clocks_as_they_are() -> None:
    changed = fact("severity_changed", "06-08 14:00", severity=4)
    breached = simulated(OPENED, changed, until="06-08 15:00")
    assert (clock(breached, "response")["outcome"], breached["severity"]) == ("breached", 4)
    met = simulated(OPENED, fact("responded", "06-08 12:30"), changed, until="06-08 15:00")
    assert clock(met, "response")["due_at"] == at("06-08 13:00")


@pytest.mark.rule("3.11")
def test_a_resolve_without_a_response_is_the_first_response_too() -> None:
    timeline = simulated(OPENED, fact("resolved", "06-08 12:30"), until="06-08 13:30")
    assert timeline["first_responded_at"] == at("06-08 12:30")
    assert [(c["clock"], c["outcome"]) for c in timeline["clocks"]] == [("response", "met"), ("resolution", "met")]
    assert simulated(OPENED, fact("cancelled", "06-08 12:30"), until="06-08 13:30")["first_responded_at"] is None


@pytest.mark.rule("4.8")
def test_a_severity_raised_after_the_breach_shortens_the_interval_but_not_before_the_change() -> None:
    second = fact("opened", "06-08 12:00", severity=2)
    raised = fact("severity_changed", "06-10 01:30", severity=1)
    timeline = simulated(second, ANSWERED, raised, until="06-10 03:00")
    # Step 1 at 00:00 counted from there: one hour later lies before the change.
    assert [(step, when) for step, when, _ in ladder(timeline)] == [
        (1, at("06-10 00:00")),
        (2, at("06-10 01:30")),
        (3, at("06-10 02:30")),
    ]


@pytest.mark.rule("4.11")
def test_a_severity_change_while_closed_governs_from_the_reopen_on() -> None:
    facts = [
        fact("opened", "06-08 12:00", severity=2),
        ANSWERED,
        fact("resolved", "06-09 13:00"),
        fact("severity_changed", "06-09 14:00", severity=1),
    ]
    closed = simulated(*facts, until="06-09 15:00")
    assert (closed["severity"], clock(closed, "resolution")["outcome"]) == (1, "met")
    reopened = simulated(*facts, fact("reopened", "06-09 16:00"), until="06-09 16:00")
    assert clock(reopened, "resolution", cycle=2)["breached_at"] == at("06-09 16:00")


@pytest.mark.rule("5.6", "5.9")
@pytest.mark.parametrize("acknowledged", ["06-09 12:20", "06-09 23:30"])
def test_of_a_hold_and_an_acknowledgement_the_later_instant_counts(acknowledged: str) -> None:
    lowered = fact("severity_changed", "06-09 12:30", severity=2)  # holds the ladder until 06-10 00:00
    timeline = simulated(OPENED, ANSWERED, fact("acknowledged", acknowledged), lowered, until="06-10 02:00")
    expected = {"06-09 12:20": "06-10 00:00", "06-09 23:30": "06-10 01:30"}
    assert ladder(timeline)[1][:2] == (2, at(expected[acknowledged]))


@pytest.mark.rule("5.10")
@pytest.mark.parametrize("kind", ["responded", "paused", "acknowledged", "escalated", "resolved", "cancelled"])
def test_only_a_resolve_or_cancel_ends_the_ladder(kind: str) -> None:
    timeline = simulated(OPENED, fact(kind, "06-09 13:30"), until="06-09 13:30")
    ended = [event["reason"] for event in timeline["events"] if event["type"] == "ladder.ended"]
    assert ended == ([kind] if kind in ("resolved", "cancelled") else [])
