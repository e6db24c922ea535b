"""What the published events contain for their readers, and their ids."""

import pytest
from sla_timer.domain.event_mapping import EventContext, published_event, voiding_event
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.ticket_details import TicketDetails
from sla_timer.domain.timeline_events import LADDER, EventKey, EventKind, KeyedEvent, Subject, TimelineEvent
from support.fake_timer import FakeTimer, moment, numbered_fact, shipped_history, ticket
from support.stories import changed_policy
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

LEAD = ("service_desk_team_lead",)
OPENED = numbered_fact(1, "opened", "06-08 12:00", severity=1)
UNKNOWN = TicketDetails(assignee=None, suggested_severity=None)


def silent_until_exhausted(policies: PolicyHistory | None = None) -> list[DeadlineEvent]:
    """The events of a silent severity-1 ticket by e-mail, until its ladder is exhausted."""
    timer = FakeTimer(policies, channel="email")
    timer.receive([OPENED])
    timer.pass_time(moment("06-12 12:00"))
    return timer.events


def changed_history(old: str, new: str) -> PolicyHistory:
    """The history of the shipped policy with `new` in place of `old`."""
    return PolicyHistory.of([changed_policy(old, new)], None)


def context(policies: PolicyHistory) -> EventContext:
    return EventContext(ticket=ticket(), policies=policies, severity=1, historic_through=None, confirmed_through=0)


def roles(events: list[DeadlineEvent]) -> dict[tuple[type[DeadlineEvent], str], tuple[str, ...]]:
    return {
        (type(event), event.clock): event.roles for event in events if isinstance(event, ClockWarned | ClockBreached)
    }


@pytest.mark.rule("3.5", "5.3")
def test_warnings_and_missed_responses_go_to_tier_1() -> None:
    assert roles(silent_until_exhausted()) == {
        (ClockWarned, "response"): LEAD,
        (ClockBreached, "response"): LEAD,
        (ClockWarned, "answer"): LEAD,
        (ClockBreached, "answer"): LEAD,
    }


@pytest.mark.rule("3.5", "5.3")
def test_the_policy_may_name_other_roles() -> None:
    mail = (
        "warnings_to: [account_manager]\n  response_missed_to: [chief_operating_officer]\n"
        "  answer_missed_to: [it_operations_director]\n  stand_down: false"
    )
    found = roles(silent_until_exhausted(changed_history("stand_down: true", mail)))
    assert found[ClockWarned, "response"] == ("account_manager",)
    assert found[ClockBreached, "response"] == ("chief_operating_officer",)
    assert found[ClockBreached, "answer"] == ("it_operations_director",)


def test_a_breached_resolution_names_no_role_because_its_ladder_does() -> None:
    timer = FakeTimer()
    timer.receive([OPENED, numbered_fact(2, "responded", "06-08 12:00")])
    timer.pass_time(moment("06-09 12:00"))
    breach = next(event for event in timer.events if isinstance(event, ClockBreached))
    assert (breach.clock, breach.roles, breach.target) == ("resolution", (), "24 hours")
    step = timer.events[-1]
    assert isinstance(step, LadderStepDue)
    assert (step.due_at, step.started_at) == (moment("06-09 12:00"), moment("06-08 12:00"))


def test_a_step_contains_the_whole_ladder_and_the_instant_of_the_next_step() -> None:
    events = silent_until_exhausted()
    steps = [event for event in events if isinstance(event, LadderStepDue)]
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    first = steps[0]
    assert [tier.role for tier in first.ladder][:2] == ["service_desk_team_lead", "senior_it_operations_manager"]
    assert (first.reason, first.interval, first.target) == ("no_response", "1 hour", "24 hours")
    assert first.next_at == moment("06-09 14:00")
    assert isinstance(events[-1], LadderExhausted)


def test_an_explicit_step_contains_the_deadline_that_is_still_ahead() -> None:
    timer = FakeTimer()
    timer.receive([OPENED, numbered_fact(2, "escalated", "06-08 12:10")])
    step = timer.events[-1]
    assert isinstance(step, LadderStepDue)
    assert (step.reason, step.due_at) == ("explicit", moment("06-09 13:00"))


def test_an_explicit_step_during_a_pause_contains_no_deadline() -> None:
    timer = FakeTimer()
    timer.receive(
        [
            OPENED,
            numbered_fact(2, "responded", "06-08 12:10"),
            numbered_fact(3, "paused", "06-08 12:20"),
            numbered_fact(4, "escalated", "06-08 12:30"),
        ]
    )
    step = timer.events[-1]
    assert isinstance(step, LadderStepDue)
    assert (step.reason, step.due_at) == ("explicit", None)


def test_a_hold_contains_the_instant_at_which_it_expires() -> None:
    timer = FakeTimer()
    timer.receive([OPENED, numbered_fact(2, "escalated", "06-08 12:10")])
    timer.receive([numbered_fact(3, "acknowledged", "06-08 12:20")])
    held = timer.events[-1]
    assert isinstance(held, LadderHeld)
    assert (held.by, held.until) == ("acknowledged", moment("06-08 13:20"))


def test_the_policy_may_switch_stand_down_mails_off() -> None:
    quiet = context(changed_history("stand_down: true", "stand_down: false"))
    end = TimelineEvent(at=0, kind=EventKind.ENDED, cycle=1, severity=1, end_reason="resolved")
    ended = published_event(KeyedEvent(EventKey(1, 1, LADDER, EventKind.ENDED), end), UNKNOWN, quiet)
    voided = voiding_event(EventKey(1, 1, "response", EventKind.BREACHED), 0, UNKNOWN, quiet)
    assert isinstance(ended, LadderEnded)
    assert isinstance(voided, ClockVoided)
    assert not ended.stand_down
    assert not voided.stand_down


def test_ids_are_deterministic() -> None:
    again = silent_until_exhausted()
    assert [event.event_id for event in silent_until_exhausted()] == [event.event_id for event in again]


def test_ids_differ_between_different_events() -> None:
    clocks: tuple[Subject, ...] = ("response", "resolution", "answer")
    keys = [
        EventKey(cycle, run, clock, kind)
        for cycle in (1, 2)
        for run in (1, 2)
        for clock in clocks
        for kind in (EventKind.WARNED, EventKind.BREACHED, EventKind.MET, EventKind.CANCELLED)
    ]
    for cycle in (1, 2):
        for run in (1, 2):
            keys.append(EventKey(cycle, run, LADDER, EventKind.ENDED))
            keys += [EventKey(cycle, run, LADDER, EventKind.STEP_DUE, step) for step in (1, 2)]
    events = [voiding_event(key, 0, UNKNOWN, context(shipped_history())) for key in keys]
    ids = [event.event_id for event in events]
    ids += [event.voids for event in events if isinstance(event, ClockVoided)]
    assert len(set(ids)) == len(ids)


def test_a_voiding_refers_to_the_published_event() -> None:
    key = EventKey(1, 1, "response", EventKind.MET)
    met = TimelineEvent(at=0, kind=EventKind.MET, cycle=1, severity=1, clock="response", started_at=0, due_at=5)
    published = published_event(KeyedEvent(key, met), UNKNOWN, context(shipped_history()))
    voided = voiding_event(key, 10, UNKNOWN, context(shipped_history()))
    assert isinstance(published, ClockMet)
    assert isinstance(voided, ClockVoided)
    assert voided.voids == published.event_id
