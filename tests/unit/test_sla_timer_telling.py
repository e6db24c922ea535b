"""What was told against what is now true: late evidence, runs, and what is never told twice (RULES 4)."""

from itertools import pairwise

from sla_timer.domain.fact_log import Rulebook
from support.fake_timer import Teller, briefly, moment, said
from support.stories import shipped_policy
from tocsin.events import ClockBreached, ClockVoided, DeadlineEvent, Fact, LadderEnded


def teller(*facts: Fact, through: str, channel: str = "portal", historic_through: str | None = None) -> Teller:
    """A ticket whose facts arrived as they happened, and what has fallen due by `through`."""
    one = Teller(
        Rulebook([shipped_policy()], None), channel, None if historic_through is None else moment(historic_through)
    )
    for fact, following in pairwise([*facts, None]):
        assert fact is not None
        one.receive([fact])
        if following is not None:
            one.pass_time(following.received_at)
    one.pass_time(moment(through))
    return one


def learns(one: Teller, *facts: Fact, at: str) -> list[tuple[str, str]]:
    """What is told when these facts arrive."""
    return briefly(learned(one, *facts, at=at))


def learned(one: Teller, *facts: Fact, at: str) -> list[DeadlineEvent]:
    before = len(one.events)
    one.receive(facts, accepted_through=moment(at))
    return one.events[before:]


def comes(one: Teller, through: str) -> list[tuple[str, str]]:
    """What falls due by then."""
    before = len(one.events)
    one.pass_time(moment(through))
    return briefly(one.events[before:])


OPENED = said(1, "opened", "06-08 13:00", severity=1)
ANSWERED = said(2, "responded", "06-08 13:00")
DUE_FIRED = (OPENED, ANSWERED)


def test_a_late_pause_voids_the_breach_and_what_comes_then_is_a_new_run() -> None:
    one = teller(*DUE_FIRED, through="06-09 13:00")
    assert briefly(one.events[-2:]) == [("breached resolution", "06-09 13:00"), ("step_due 1 of run 1", "06-09 13:00")]
    late = (said(3, "paused", "06-09 12:30", "06-09 13:05"), said(4, "resumed", "06-09 12:45", "06-09 13:05"))
    assert learns(one, *late, at="06-09 13:05") == [
        ("voided breached resolution", "06-09 13:05"),
        ("ended run 1: voided", "06-09 13:05"),
    ]
    assert comes(one, "06-09 13:15") == [
        ("breached resolution", "06-09 13:15"),
        ("step_due 1 of run 2", "06-09 13:15"),
    ]
    assert len({event.event_id for event in one.events}) == len(one.events)


def test_a_resolve_before_the_due_that_arrives_late_voids_breach_and_ladder() -> None:
    one = teller(*DUE_FIRED, through="06-09 14:00")
    told = learned(one, said(3, "resolved", "06-09 12:59", "06-09 14:30"), at="06-09 14:30")
    assert briefly(told) == [
        ("voided breached resolution", "06-09 14:30"),
        ("ended run 1: voided", "06-09 14:30"),
        ("met resolution", "06-09 12:59"),
    ]
    breach = next(event for event in one.events if isinstance(event, ClockBreached))
    voided, ended, _ = told
    assert isinstance(voided, ClockVoided)
    assert (voided.voids, voided.kind, voided.stand_down) == (breach.event_id, "breached", False)
    assert isinstance(ended, LadderEnded)
    assert ended.stand_down
    assert comes(one, "06-20 00:00") == []


def test_a_response_that_arrives_late_voids_the_missed_response_and_stands_down() -> None:
    one = teller(OPENED, through="06-08 14:00")
    voided = learned(one, said(2, "responded", "06-08 13:10", "06-08 14:20"), at="06-08 14:20")
    assert briefly(voided) == [
        ("voided breached response", "06-08 14:20"),
        ("voided warned response", "06-08 14:20"),
        ("met response", "06-08 13:10"),
    ]
    stand_downs = {event.kind: event.stand_down for event in voided if isinstance(event, ClockVoided)}
    assert stand_downs == {"warned": False, "breached": True}


def test_a_run_that_late_evidence_reopens_is_a_new_run_told_anew() -> None:
    second = said(1, "opened", "06-08 12:00", severity=2)
    answered = said(2, "responded", "06-08 12:00")
    workaround = said(3, "resolved", "06-10 00:30", resolution_kind="workaround")
    one = teller(second, answered, workaround, through="06-10 01:00")
    assert briefly(one.events)[-1] == ("ended run 1: workaround", "06-10 00:30")
    # On severity 1 there is no workaround: the ticket was never closed, and has long been overdue.
    late = said(4, "severity_changed", "06-10 00:15", "06-10 01:00", severity=1)
    assert learns(one, late, at="06-10 01:00") == [
        ("step_due 1 of run 2", "06-10 00:00"),
        ("step_due 2 of run 2", "06-10 01:00"),
    ]
    assert comes(one, "06-10 02:00") == [("step_due 3 of run 2", "06-10 02:00")]


def test_a_ladder_still_to_come_after_a_run_that_ended_is_a_new_run() -> None:
    one = teller(
        said(1, "opened", "06-08 13:30", severity=3),
        said(2, "responded", "06-08 13:30"),
        said(3, "severity_changed", "06-10 15:00", severity=2),
        said(4, "resolved", "06-10 16:00", resolution_kind="workaround"),
        through="06-10 16:20",
    )
    assert ("ended run 1: workaround", "06-10 16:00") in briefly(one.events)
    arrived = "06-10 16:30"
    learns(
        one,
        said(5, "paused", "06-08 14:00", arrived),
        said(6, "resumed", "06-10 14:00", arrived),
        said(7, "severity_changed", "06-10 15:30", arrived, severity=1),
        at=arrived,
    )
    due = "06-11 13:30"
    assert comes(one, due)[-2:] == [("breached resolution", due), ("step_due 1 of run 2", due)]


def test_a_step_voided_within_a_run_is_not_told_again() -> None:
    one = teller(*DUE_FIRED, through="06-09 14:10")
    late = said(3, "acknowledged", "06-09 13:30", "06-09 14:10")
    assert learns(one, late, at="06-09 14:10") == [
        ("step_voided 2 of run 1", "06-09 14:10"),
        ("held in run 1", "06-09 13:30"),
    ]
    # Tier 2 is due at 14:30 now, and was told at 14:00 already.
    assert comes(one, "06-09 15:29") == []
    assert comes(one, "06-09 15:30") == [("step_due 3 of run 1", "06-09 15:30")]


def test_a_ladder_that_a_reopen_kept_is_voided_with_the_breach_that_kept_it() -> None:
    one = teller(
        *DUE_FIRED,
        said(3, "resolved", "06-09 14:30"),
        said(4, "reopened", "06-09 15:00"),
        through="06-09 16:30",
    )
    assert briefly(one.events)[-1] == ("step_due 3 of run 1", "06-09 16:00")
    told = learns(
        one,
        said(5, "paused", "06-08 14:00", "06-09 16:40"),
        said(6, "resumed", "06-08 20:00", "06-09 16:40"),
        at="06-09 16:40",
    )
    assert told == [
        ("voided breached resolution", "06-09 16:40"),
        ("ended run 1: voided", "06-09 16:40"),
        ("met resolution", "06-09 14:30"),
        ("warned resolution", "06-09 15:00"),
    ]
    # The due, 13:00, moved by the pause of six hours and the half hour in which the ticket was closed.
    assert comes(one, "06-09 19:30")[-1] == ("step_due 1 of run 2", "06-09 19:30")


def test_the_same_facts_again_tell_nothing() -> None:
    one = teller(*DUE_FIRED, through="06-09 16:00")
    assert learns(one, *DUE_FIRED, at="06-09 16:00") == []


def test_what_was_due_by_the_receipt_of_history_is_historic_and_later_things_are_not() -> None:
    one = Teller(Rulebook([shipped_policy()], None), historic_through=moment("06-09 13:30"))
    one.receive([said(1, "opened", "06-08 13:00", "06-09 13:30", severity=1)])
    one.pass_time(moment("06-09 15:00"))
    assert [(event.historic, text) for event, (text, _) in zip(one.events, briefly(one.events), strict=True)] == [
        (True, "warned response"),
        (True, "breached response"),
        (False, "step_due 1 of run 1"),
        (False, "step_due 2 of run 1"),
    ]


def test_what_was_judged_without_proof_is_marked_and_stays_told_until_facts_disprove_it() -> None:
    one = teller(OPENED, through="06-08 13:30")
    one.pass_time(moment("06-08 14:00"), confirmed_through=moment("06-08 13:40"))
    # The warning at 13:45 and the breach at 14:00 lie behind the proof.
    assert [(event.unconfirmed, text) for event, (text, _) in zip(one.events, briefly(one.events), strict=True)] == [
        (True, "warned response"),
        (True, "breached response"),
    ]
    assert learns(one, said(2, "acknowledged", "06-08 13:42"), at="06-08 13:42") == []
    disproved = learned(one, said(3, "responded", "06-08 13:43"), at="06-08 13:43")
    assert [text for text, _ in briefly(disproved)] == [
        "voided breached response",
        "voided warned response",
        "met response",
    ]
    assert not disproved[-1].unconfirmed
