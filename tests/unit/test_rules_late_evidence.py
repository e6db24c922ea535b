"""What late facts void, and what is never published again (docs/rules.md#4-17 to docs/rules.md#4-20)."""

from collections.abc import Sequence

import pytest
from support.fake_timer import FakeTimer, moment, numbered_fact, summaries
from tocsin.events import Fact

OPENED = numbered_fact(1, "opened", "06-08 13:00", severity=1)
RESPONDED = numbered_fact(2, "responded", "06-08 13:00")
"""Of a ticket whose resolution breaches on 06-09 at 13:00, unless a late fact disproves it."""


def ticket(*facts: Fact, through: str) -> FakeTimer:
    """A ticket whose facts arrived as they happened, with everything published that fell due by `through`."""
    timer = FakeTimer()
    for one in facts:
        timer.pass_time(one.received_at)
        timer.receive([one])
    timer.pass_time(moment(through))
    return timer


def after_late_facts(timer: FakeTimer, facts: Sequence[Fact], *, at: str, through: str) -> list[tuple[str, str]]:
    """What is published when these facts arrive, and until `through`."""
    before = len(timer.events)
    timer.receive(facts, accepted_through=moment(at))
    timer.pass_time(moment(through))
    return summaries(timer.events[before:])


@pytest.mark.rule("4.17", "4.18", "4.19")
def test_a_response_in_time_that_arrives_late_voids_the_ladder_that_silence_started() -> None:
    timer = ticket(OPENED, through="06-09 14:10")
    assert summaries(timer.events[-1:]) == [("step_due 1 of run 1", "06-09 14:00")]
    response = numbered_fact(2, "responded", "06-09 13:59", "06-09 14:10")
    assert after_late_facts(timer, [response], at="06-09 14:10", through="06-10 14:59") == [
        ("ended run 1: voided", "06-09 14:10"),
        ("warned resolution", "06-10 07:59"),
        ("breached resolution", "06-10 13:59"),
        ("step_due 1 of run 2", "06-10 13:59"),
        ("step_due 2 of run 2", "06-10 14:59"),
    ]


@pytest.mark.rule("4.20")
def test_a_breach_and_a_step_whose_instants_move_are_not_published_again() -> None:
    timer = ticket(OPENED, RESPONDED, through="06-09 14:10")
    pause = [
        numbered_fact(3, "paused", "06-08 14:00", "06-09 14:10"),
        numbered_fact(4, "resumed", "06-08 14:30", "06-09 14:10"),
    ]
    # Breach and step 1 are at 13:30 now; step 2, published at 14:00, is due at 14:30.
    assert after_late_facts(timer, pause, at="06-09 14:10", through="06-09 15:30") == [
        ("step_voided 2 of run 1", "06-09 14:10"),
        ("continued in run 1", "06-09 13:30"),
        ("continued in run 1", "06-09 14:30"),
        ("step_due 3 of run 1", "06-09 15:30"),
    ]


@pytest.mark.rule("4.20")
def test_a_step_that_late_evidence_adds_before_the_end_of_an_ended_run_is_not_published() -> None:
    timer = ticket(OPENED, RESPONDED, numbered_fact(3, "resolved", "06-09 14:45"), through="06-09 15:00")
    assert summaries(timer.events[-1:]) == [("ended run 1: resolved", "06-09 14:45")]
    # With the escalation in its place, steps 2 and 3 are at 13:30 and 14:30; 1 and 2 were published.
    escalation = numbered_fact(4, "escalated", "06-09 13:30", "06-09 15:00")
    assert after_late_facts(timer, [escalation], at="06-09 15:00", through="06-12 12:00") == []
