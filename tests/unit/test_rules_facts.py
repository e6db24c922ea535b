"""The facts of a ticket: instants, order, and impossible facts (docs/rules.md#0-facts-and-timelines)."""

from typing import Any

import pytest
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.fact_log import FactLog
from support.fake_timer import moment, numbered_fact, shipped_history
from support.stories import at, changed_policy, clock, fact, ladder, shipped_policy, simulated
from tocsin.business_time import micros

OPENED = fact("opened", "06-08 12:00", severity=1)
ANSWERED = fact("responded", "06-08 12:00")
PAUSED = fact("paused", "06-08 13:00")
CLOSED = fact("cancelled", "06-08 14:00")


@pytest.mark.rule("0.2")
def test_the_instant_of_receipt_changes_no_timeline() -> None:
    story = [("opened", "06-08 12:00"), ("responded", "06-08 12:30"), ("resolved", "06-09 12:31")]

    def received(*instants: str) -> FactLog:
        facts = [
            numbered_fact(number, kind, occurred, instant, severity=1)
            for number, ((kind, occurred), instant) in enumerate(zip(story, instants, strict=True), start=1)
        ]
        return FactLog.of(facts, shipped_history(), channel="portal")

    until = micros(moment("06-10 12:00"))
    in_time = evaluate(received("06-08 12:00", "06-08 12:30", "06-09 12:31"), shipped_history(), until)
    late = evaluate(received("06-09 20:00", "06-09 10:00", "06-09 23:00"), shipped_history(), until)
    assert late == in_time


@pytest.mark.rule("0.3")
def test_a_response_before_the_opening_counts_at_the_opening() -> None:
    timeline = simulated(OPENED, fact("responded", "06-08 11:00"), until="06-08 12:30")
    assert timeline["first_responded_at"] == at("06-08 12:00")
    assert clock(timeline, "resolution")["due_at"] == at("06-09 12:00")


@pytest.mark.rule("0.6")
def test_what_falls_due_at_one_instant_occurs_in_the_order_response_answer_ladder() -> None:
    timeline = simulated(
        fact("opened", "06-05 21:00", severity=3, channel="email"),
        fact("escalated", "06-06 12:00"),
        fact("severity_changed", "06-06 21:00", severity=1),
        until="06-06 21:00",
    )
    happened = [
        (event["type"], event.get("clock", event.get("step")))
        for event in timeline["events"]
        if event["at"] == at("06-06 21:00")
    ]
    assert happened == [("clock.breached", "response"), ("clock.breached", "answer"), ("ladder.step_due", 2)]


@pytest.mark.rule("0.8")
@pytest.mark.parametrize(
    ("facts", "impossible"),
    [
        pytest.param([OPENED, ANSWERED], fact("resumed", "06-08 15:00"), id="resume while not paused"),
        pytest.param([OPENED, ANSWERED, PAUSED], fact("paused", "06-08 15:00"), id="pause while paused"),
        pytest.param([OPENED, ANSWERED], fact("responded", "06-08 15:00"), id="second response"),
        pytest.param([OPENED, ANSWERED], fact("severity_changed", "06-08 15:00", severity=1), id="same severity"),
        pytest.param(
            [OPENED, ANSWERED], fact("resolved", "06-08 15:00", resolution_kind="workaround"), id="workaround"
        ),
        pytest.param([OPENED, ANSWERED], fact("reopened", "06-08 15:00"), id="reopen while open"),
        pytest.param([OPENED, ANSWERED], fact("acknowledged", "06-09 11:59"), id="acknowledgement without a ladder"),
        pytest.param([OPENED, ANSWERED], fact("acknowledged", "06-09 18:30"), id="acknowledgement after the ladder"),
        pytest.param([OPENED, ANSWERED], fact("escalated", "06-09 18:30"), id="escalation of an exhausted ladder"),
        *(
            pytest.param([OPENED, ANSWERED, CLOSED], fact(kind, "06-08 15:00"), id=f"{kind} while closed")
            for kind in ("responded", "paused", "resumed", "resolved", "cancelled", "acknowledged", "escalated")
        ),
    ],
)
def test_an_impossible_fact_changes_no_timeline(facts: list[dict[str, Any]], impossible: dict[str, Any]) -> None:
    assert simulated(*facts, impossible, until="06-12 12:00") == simulated(*facts, until="06-12 12:00")


@pytest.mark.rule("1.2")
def test_the_effective_severity_governs_from_its_instant_on() -> None:
    changed = fact("severity_changed", "06-08 12:30", severity=2)
    assert simulated(OPENED, changed, until="06-08 12:29")["severity"] == 1
    timeline = simulated(OPENED, changed, until="06-08 13:00")
    assert timeline["severity"] == 2
    assert clock(timeline, "response")["due_at"] == at("06-08 14:00")
    assert ladder(timeline) == []


NAMED = changed_policy("automatic_actors: []", 'automatic_actors: [robot, "*@noreply.example.com"]')


@pytest.mark.rule("3.6")
def test_an_automatic_receipt_is_no_response() -> None:
    receipts = [
        fact("responded", "06-08 12:01", actor="robot"),
        fact("responded", "06-08 12:02", actor="desk@noreply.example.com"),
    ]
    timeline = simulated(
        OPENED,
        *receipts,
        fact("responded", "06-08 12:30", actor="maya"),
        *receipts,
        until="06-09 14:00",
        policies=[NAMED],
    )
    assert timeline["first_responded_at"] == at("06-08 12:30")
    assert clock(timeline, "resolution")["due_at"] == at("06-09 12:30")
    silent = simulated(OPENED, *receipts, until="06-09 14:00", policies=[NAMED])
    assert silent == simulated(OPENED, until="06-09 14:00", policies=[NAMED])
    by_the_shipped_policy = simulated(OPENED, *receipts, until="06-09 14:00")
    assert by_the_shipped_policy["first_responded_at"] == at("06-08 12:01")


@pytest.mark.rule("3.6", "4.14")
def test_the_version_in_force_at_its_instant_decides_whether_a_response_is_automatic() -> None:
    later = NAMED.model_copy(update={"version": "2", "in_force_from": moment("06-08 12:10")})
    policies = [shipped_policy(), later]
    early, late = fact("responded", "06-08 12:09", actor="robot"), fact("responded", "06-08 12:10", actor="robot")
    assert simulated(OPENED, late, until="06-08 13:00", policies=policies)["first_responded_at"] is None
    before = simulated(OPENED, early, late, until="06-08 13:00", policies=policies)
    assert before["first_responded_at"] == at("06-08 12:09")


@pytest.mark.rule("1.7", "0.10")
@pytest.mark.parametrize("closing", ["resolved", "cancelled"])
def test_an_assessment_and_an_assignment_change_no_clock(closing: str) -> None:
    story = [OPENED, ANSWERED, PAUSED, fact(closing, "06-10 12:00"), fact("reopened", "06-11 12:00")]
    plain = simulated(*story, until="06-20 12:00")
    for when in ("06-08 12:00", "06-08 14:00", "06-10 12:30", "06-12 12:00"):
        for kind in ("assessed", "assigned"):
            assert simulated(*story, fact(kind, when), until="06-20 12:00") == plain
