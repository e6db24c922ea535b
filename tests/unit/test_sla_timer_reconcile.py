"""The timeline against the published log: late evidence, runs, and what is never published twice."""

from itertools import pairwise

import pytest
from support.fake_timer import FakeTimer, moment, numbered_fact, summaries
from tocsin.events import ClockBreached, ClockVoided, DeadlineEvent, Fact, LadderEnded

OPENED = numbered_fact(1, "opened", "06-08 13:00", severity=1)
RESPONDED = numbered_fact(2, "responded", "06-08 13:00")
BREACHED = (OPENED, RESPONDED)
"""Facts of a ticket whose resolution is due, and breaches, on 06-09 at 13:00."""


def run(*facts: Fact, through: str) -> FakeTimer:
    """A ticket whose facts arrived as they happened, with everything published that fell due by `through`."""
    timer = FakeTimer()
    for fact, following in pairwise([*facts, None]):
        assert fact is not None
        timer.receive([fact])
        if following is not None:
            timer.pass_time(following.received_at)
    timer.pass_time(moment(through))
    return timer


def published_on_receipt(timer: FakeTimer, *facts: Fact, at: str) -> list[DeadlineEvent]:
    """What is published when these facts arrive."""
    before = len(timer.events)
    timer.receive(facts, accepted_through=moment(at))
    return timer.events[before:]


def published_by(timer: FakeTimer, through: str) -> list[tuple[str, str]]:
    """What is published as time passes until then."""
    before = len(timer.events)
    timer.pass_time(moment(through))
    return summaries(timer.events[before:])


@pytest.mark.rule("4.17", "4.18", "4.19")
def test_a_late_pause_voids_the_breach_and_the_next_one_starts_a_new_run() -> None:
    timer = run(*BREACHED, through="06-09 13:00")
    assert summaries(timer.events[-2:]) == [
        ("breached resolution", "06-09 13:00"),
        ("step_due 1 of run 1", "06-09 13:00"),
    ]
    late = (
        numbered_fact(3, "paused", "06-09 12:30", "06-09 13:05"),
        numbered_fact(4, "resumed", "06-09 12:45", "06-09 13:05"),
    )
    assert summaries(published_on_receipt(timer, *late, at="06-09 13:05")) == [
        ("voided breached resolution", "06-09 13:05"),
        ("ended run 1: voided", "06-09 13:05"),
    ]
    assert published_by(timer, "06-09 13:15") == [
        ("breached resolution", "06-09 13:15"),
        ("step_due 1 of run 2", "06-09 13:15"),
    ]
    assert len({event.event_id for event in timer.events}) == len(timer.events)


@pytest.mark.rule("4.17", "4.18")
def test_a_resolve_before_the_deadline_that_arrives_late_voids_breach_and_ladder() -> None:
    timer = run(*BREACHED, through="06-09 14:00")
    published = published_on_receipt(
        timer, numbered_fact(3, "resolved", "06-09 12:59", "06-09 14:30"), at="06-09 14:30"
    )
    assert summaries(published) == [
        ("voided breached resolution", "06-09 14:30"),
        ("ended run 1: voided", "06-09 14:30"),
        ("met resolution", "06-09 12:59"),
    ]
    breach = next(event for event in timer.events if isinstance(event, ClockBreached))
    voided, ended, _ = published
    assert isinstance(voided, ClockVoided)
    assert (voided.voids, voided.kind, voided.stand_down) == (breach.event_id, "breached", False)
    assert isinstance(ended, LadderEnded)
    assert ended.stand_down
    assert published_by(timer, "06-20 00:00") == []


@pytest.mark.rule("4.18")
def test_a_response_that_arrives_late_voids_the_missed_response_and_stands_down() -> None:
    timer = run(OPENED, through="06-08 14:00")
    published = published_on_receipt(
        timer, numbered_fact(2, "responded", "06-08 13:10", "06-08 14:20"), at="06-08 14:20"
    )
    assert summaries(published) == [
        ("voided breached response", "06-08 14:20"),
        ("voided warned response", "06-08 14:20"),
        ("met response", "06-08 13:10"),
    ]
    stand_downs = {event.kind: event.stand_down for event in published if isinstance(event, ClockVoided)}
    assert stand_downs == {"warned": False, "breached": True}


@pytest.mark.rule("4.19")
def test_a_ladder_whose_end_late_evidence_undoes_continues_in_a_new_run() -> None:
    timer = run(
        numbered_fact(1, "opened", "06-08 12:00", severity=2),
        numbered_fact(2, "responded", "06-08 12:00"),
        numbered_fact(3, "resolved", "06-10 00:30", resolution_kind="workaround"),
        through="06-10 01:00",
    )
    assert summaries(timer.events)[-1] == ("ended run 1: workaround", "06-10 00:30")
    # On severity 1 there is no workaround: the ticket was never closed, and is long overdue.
    late = numbered_fact(4, "severity_changed", "06-10 00:15", "06-10 01:00", severity=1)
    assert summaries(published_on_receipt(timer, late, at="06-10 01:00")) == [
        ("step_due 1 of run 2", "06-10 00:00"),
        ("step_due 2 of run 2", "06-10 01:00"),
    ]
    assert published_by(timer, "06-10 02:00") == [("step_due 3 of run 2", "06-10 02:00")]


@pytest.mark.rule("4.19")
def test_a_ladder_that_is_still_ahead_after_a_run_ended_is_a_new_run() -> None:
    timer = run(
        numbered_fact(1, "opened", "06-08 13:30", severity=3),
        numbered_fact(2, "responded", "06-08 13:30"),
        numbered_fact(3, "severity_changed", "06-10 15:00", severity=2),
        numbered_fact(4, "resolved", "06-10 16:00", resolution_kind="workaround"),
        through="06-10 16:20",
    )
    assert ("ended run 1: workaround", "06-10 16:00") in summaries(timer.events)
    arrived = "06-10 16:30"
    published_on_receipt(
        timer,
        numbered_fact(5, "paused", "06-08 14:00", arrived),
        numbered_fact(6, "resumed", "06-10 14:00", arrived),
        numbered_fact(7, "severity_changed", "06-10 15:30", arrived, severity=1),
        at=arrived,
    )
    due = "06-11 13:30"
    assert published_by(timer, due)[-2:] == [("breached resolution", due), ("step_due 1 of run 2", due)]


@pytest.mark.rule("4.20")
def test_a_step_voided_within_a_run_is_not_published_again() -> None:
    timer = run(*BREACHED, through="06-09 14:10")
    late = numbered_fact(3, "acknowledged", "06-09 13:30", "06-09 14:10")
    assert summaries(published_on_receipt(timer, late, at="06-09 14:10")) == [
        ("step_voided 2 of run 1", "06-09 14:10"),
        ("held in run 1", "06-09 13:30"),
    ]
    # Step 2 is now due at 14:30, and was published at 14:00.
    assert published_by(timer, "06-09 15:29") == [("continued in run 1", "06-09 14:30")]
    assert published_by(timer, "06-09 15:30") == [("step_due 3 of run 1", "06-09 15:30")]


@pytest.mark.rule("4.18")
def test_a_ladder_that_a_reopen_kept_is_voided_with_the_breach_that_kept_it() -> None:
    timer = run(
        *BREACHED,
        numbered_fact(3, "resolved", "06-09 14:30"),
        numbered_fact(4, "reopened", "06-09 15:00"),
        through="06-09 16:30",
    )
    assert summaries(timer.events)[-1] == ("step_due 3 of run 1", "06-09 16:00")
    published = published_on_receipt(
        timer,
        numbered_fact(5, "paused", "06-08 14:00", "06-09 16:40"),
        numbered_fact(6, "resumed", "06-08 20:00", "06-09 16:40"),
        at="06-09 16:40",
    )
    assert summaries(published) == [
        ("voided breached resolution", "06-09 16:40"),
        ("ended run 1: voided", "06-09 16:40"),
        ("met resolution", "06-09 14:30"),
        ("warned resolution", "06-09 15:00"),
    ]
    # The deadline, 13:00, moved by the pause of six hours and the half hour in which the ticket was closed.
    assert published_by(timer, "06-09 19:30")[-1] == ("step_due 1 of run 2", "06-09 19:30")


@pytest.mark.rule("4.18", "4.19")
def test_a_kept_ladder_without_a_step_is_voided_when_late_evidence_starts_another_one() -> None:
    timer = run(
        *BREACHED,
        numbered_fact(3, "resolved", "06-09 14:30"),
        numbered_fact(4, "reopened", "06-09 15:00"),
        numbered_fact(5, "paused", "06-09 15:10"),
        through="06-09 16:30",
    )
    assert summaries(timer.events)[-2:] == [
        ("continued in run 1", "06-09 15:00"),
        ("continued in run 1", "06-09 15:10"),
    ]
    published = published_on_receipt(
        timer,
        numbered_fact(6, "paused", "06-08 14:00", "06-09 16:40"),
        numbered_fact(7, "resumed", "06-08 20:00", "06-09 16:40"),
        numbered_fact(8, "escalated", "06-09 15:05", "06-09 16:40"),
        at="06-09 16:40",
    )
    assert ("ended run 1: voided", "06-09 16:40") in summaries(published)
    assert ("step_due 1 of run 2", "06-09 15:05") in summaries(published)


def test_the_same_facts_again_publish_nothing() -> None:
    timer = run(*BREACHED, through="06-09 16:00")
    assert published_on_receipt(timer, *BREACHED, at="06-09 16:00") == []


@pytest.mark.rule("4.24")
def test_events_due_by_the_receipt_are_historic() -> None:
    timer = FakeTimer(historic_through=moment("06-09 13:30"))
    timer.receive([numbered_fact(1, "opened", "06-08 13:00", "06-09 13:30", severity=1)])
    timer.pass_time(moment("06-09 15:00"))
    marked = [(event.historic, text) for event, (text, _) in zip(timer.events, summaries(timer.events), strict=True)]
    assert marked == [
        (True, "warned response"),
        (True, "breached response"),
        (False, "step_due 1 of run 1"),
        (False, "step_due 2 of run 1"),
    ]


@pytest.mark.rule("4.22")
def test_events_without_a_watermark_are_unconfirmed_and_valid_until_disproved() -> None:
    timer = run(OPENED, through="06-08 13:30")
    timer.pass_time(moment("06-08 14:00"), confirmed_through=moment("06-08 13:40"))
    # The warning at 13:45 and the breach at 14:00 lie after the watermark.
    marked = [(event.unconfirmed, text) for event, (text, _) in zip(timer.events, summaries(timer.events), strict=True)]
    assert marked == [(True, "warned response"), (True, "breached response")]
    assert published_on_receipt(timer, numbered_fact(2, "acknowledged", "06-08 13:42"), at="06-08 13:42") == []
    disproved = published_on_receipt(timer, numbered_fact(3, "responded", "06-08 13:43"), at="06-08 13:43")
    assert [text for text, _ in summaries(disproved)] == [
        "voided breached response",
        "voided warned response",
        "met response",
    ]
    assert not disproved[-1].unconfirmed
