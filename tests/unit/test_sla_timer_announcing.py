"""What the events say to those who read them, and their ids."""

from sla_timer.domain.event_mapping import Scope, announce, announce_void
from sla_timer.domain.fact_log import Rulebook
from sla_timer.domain.timeline_events import LADDER, Happening, Item, Kind
from support.fake_timer import Teller, moment, said, ticket
from support.stories import DEFAULT_POLICY, shipped_policy
from tocsin.business_time import micros
from tocsin.events import (
    ClockBreached,
    ClockMet,
    ClockVoided,
    ClockWarned,
    DeadlineEvent,
    LadderEnded,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
)
from tocsin.policy import Policy, load_policy

LEAD = ("service_desk_team_lead",)


def told(*changes: tuple[str, str], channel: str = "email") -> list[DeadlineEvent]:
    """A silent severity-1 ticket by e-mail, up to where nobody is left; by the shipped policy with changes."""
    teller = Teller(Rulebook([policy(*changes)], None), channel)
    teller.receive([said(1, "opened", "06-08 12:00", severity=1)])
    teller.pass_time(moment("06-12 12:00"))
    return list(teller.events)


def policy(*changes: tuple[str, str]) -> Policy:
    text = DEFAULT_POLICY.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return load_policy(text, "policy.yaml")


def test_warnings_and_missed_responses_go_to_tier_1_unless_the_policy_names_others() -> None:
    roles = {(type(e).__name__, e.clock): e.roles for e in told() if isinstance(e, ClockWarned | ClockBreached)}
    assert roles == {
        ("ClockWarned", "response"): LEAD,
        ("ClockBreached", "response"): LEAD,
        ("ClockWarned", "answer"): LEAD,
        ("ClockBreached", "answer"): LEAD,
    }
    mail = (
        "stand_down: true",
        "warnings_to: [account_manager]\n  response_missed_to: [chief_operating_officer]\n"
        "  answer_missed_to: [it_operations_director]\n  stand_down: false",
    )
    roles = {(type(e).__name__, e.clock): e.roles for e in told(mail) if isinstance(e, ClockWarned | ClockBreached)}
    assert roles["ClockWarned", "response"] == ("account_manager",)
    assert roles["ClockBreached", "response"] == ("chief_operating_officer",)
    assert roles["ClockBreached", "answer"] == ("it_operations_director",)


def test_a_missed_resolution_names_no_role_since_the_ladder_tells_it() -> None:
    teller = Teller(Rulebook([shipped_policy()], None))
    teller.receive([said(1, "opened", "06-08 12:00", severity=1), said(2, "responded", "06-08 12:00")])
    teller.pass_time(moment("06-09 12:00"))
    breach = next(e for e in teller.events if isinstance(e, ClockBreached))
    assert (breach.clock, breach.roles, breach.target) == ("resolution", (), "24 hours")
    step = teller.events[-1]
    assert isinstance(step, LadderStepDue)
    assert (step.due_at, step.started_at) == (moment("06-09 12:00"), moment("06-08 12:00"))


def test_a_step_carries_the_whole_ladder_and_when_it_goes_on() -> None:
    steps = [event for event in told() if isinstance(event, LadderStepDue)]
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    first = steps[0]
    assert [tier.role for tier in first.ladder][:2] == ["service_desk_team_lead", "senior_it_operations_manager"]
    assert (first.reason, first.interval, first.target) == ("no_response", "1 hour", "24 hours")
    assert first.next_at == moment("06-09 14:00")
    assert isinstance(told()[-1], LadderExhausted)


def test_an_explicit_step_names_the_due_that_is_still_to_come() -> None:
    teller = Teller(Rulebook([shipped_policy()], None))
    teller.receive([said(1, "opened", "06-08 12:00", severity=1), said(2, "escalated", "06-08 12:10")])
    step = teller.events[-1]
    assert isinstance(step, LadderStepDue)
    assert (step.reason, step.due_at) == ("explicit", moment("06-09 13:00"))


def test_an_explicit_step_during_a_pause_names_no_due() -> None:
    teller = Teller(Rulebook([shipped_policy()], None))
    facts = [said(1, "opened", "06-08 12:00", severity=1), said(2, "responded", "06-08 12:10")]
    teller.receive([*facts, said(3, "paused", "06-08 12:20"), said(4, "escalated", "06-08 12:30")])
    step = teller.events[-1]
    assert isinstance(step, LadderStepDue)
    assert (step.reason, step.due_at) == ("explicit", None)


def test_an_acknowledgement_says_until_when_it_holds() -> None:
    teller = Teller(Rulebook([shipped_policy()], None))
    teller.receive([said(1, "opened", "06-08 12:00", severity=1), said(2, "escalated", "06-08 12:10")])
    teller.receive([said(3, "acknowledged", "06-08 12:20")])
    held = teller.events[-1]
    assert isinstance(held, LadderHeld)
    assert (held.by, held.until) == ("acknowledged", moment("06-08 13:20"))


def test_the_policy_may_want_no_stand_down() -> None:
    scope = Scope(ticket(), Rulebook([policy(("stand_down: true", "stand_down: false"))], None), 1, None, 0)
    ended = announce(Item(1, 1, LADDER, "ended"), Happening(0, Kind.ENDED, 1, 1, reason="resolved"), scope)
    voided = announce_void(Item(1, 1, "response", "breached"), 0, scope)
    assert isinstance(ended, LadderEnded)
    assert isinstance(voided, ClockVoided)
    assert not ended.stand_down
    assert not voided.stand_down


def test_ids_are_the_same_every_time_and_differ_between_things() -> None:
    events, again = told(), told()
    assert [event.event_id for event in events] == [event.event_id for event in again]
    scope = Scope(ticket(), Rulebook([shipped_policy()], None), 1, None, micros(moment("06-08 12:00")))
    keys = [
        Item(cycle, run, subject, kind)
        for cycle in (1, 2)
        for run in (1, 2)
        for subject in ("response", "resolution", "answer")
        for kind in ("warned", "breached", "met", "cancelled")
    ]
    voids = [announce_void(item, 0, scope) for item in keys]
    steps = [announce_void(Item(c, r, LADDER, "step", s), 0, scope) for c in (1, 2) for r in (1, 2) for s in (1, 2)]
    runs = [announce_void(Item(c, r, LADDER, LADDER), 0, scope) for c in (1, 2) for r in (1, 2)]
    ids = [event.event_id for event in (*voids, *steps, *runs)]
    ids += [event.voids for event in voids if isinstance(event, ClockVoided)]
    assert len(set(ids)) == len(ids)


def test_what_a_void_takes_back_is_the_event_that_was_told() -> None:
    met = Happening(0, Kind.MET, 1, 1, clock="response", started_at=0, due_at=5)
    scope = Scope(ticket(), Rulebook([shipped_policy()], None), 1, None, 0)
    item = Item(1, 1, "response", "met")
    told_event, voided = announce(item, met, scope), announce_void(item, 10, scope)
    assert isinstance(told_event, ClockMet)
    assert isinstance(voided, ClockVoided)
    assert voided.voids == told_event.event_id
