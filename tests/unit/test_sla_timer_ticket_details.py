"""What deadlines events say apart from clocks: dispute, assignee, requester, acknowledgements, and notices."""

from typing import Any

import pytest
from sla_timer.domain.policy_history import PolicyHistory
from support.fake_timer import FakeTimer, moment, numbered_fact
from support.stories import changed_policy, shipped_policy
from tocsin.events import (
    Acknowledgement,
    Assignee,
    ClockBreached,
    ClockWarned,
    EscalationRequested,
    LadderExhausted,
    LadderHeld,
    LadderStepDue,
    RequestRerouted,
)

OPENED = numbered_fact(1, "opened", "06-08 12:00", severity=2)
LEAD = "service_desk_team_lead"
MAYA = {"name": "Maya", "email": "maya@msp.example"}
CATASTROPHIC = {"business_risk": "catastrophic"}


def history(old: str, new: str) -> PolicyHistory:
    return PolicyHistory.of([changed_policy(old, new)], None)


def steps(timer: FakeTimer) -> list[LadderStepDue]:
    return [event for event in timer.events if isinstance(event, LadderStepDue)]


def suggestions(timer: FakeTimer) -> list[tuple[str, int | None]]:
    return [(event.at.strftime("%m-%d %H:%M"), event.suggested_severity) for event in timer.events]


def assignees(timer: FakeTimer) -> list[tuple[str, str | None]]:
    found = [(event.at.strftime("%m-%d %H:%M"), event.ticket.assignee) for event in timer.events]
    return [(at, None if assignee is None else assignee.name) for at, assignee in found]


# The dispute of the severity


@pytest.mark.rule("1.6")
def test_events_carry_the_suggestion_while_the_severity_is_disputed() -> None:
    timer = FakeTimer(initial_severity=2, impact=CATASTROPHIC)
    timer.receive([OPENED])
    timer.pass_time(moment("06-08 14:00"))
    assert suggestions(timer) == [("06-08 13:30", 1), ("06-08 14:00", 1)]


@pytest.mark.rule("1.6")
@pytest.mark.parametrize("severity", [1, 2, 3])
def test_any_severity_change_settles_the_dispute_for_ever(severity: int) -> None:
    timer = FakeTimer(initial_severity=2, impact=CATASTROPHIC)
    timer.receive([OPENED])
    timer.pass_time(moment("06-08 13:30"))
    timer.receive([numbered_fact(2, "severity_changed", "06-08 13:40", severity=severity)])
    timer.receive([numbered_fact(3, "assessed", "06-08 13:50", impact=CATASTROPHIC)])
    timer.pass_time(moment("06-09 14:00"))
    before, *after = suggestions(timer)
    assert before == ("06-08 13:30", 1)
    assert {suggested for _, suggested in after} == {None}


@pytest.mark.rule("1.6", "1.7")
def test_an_assessment_rewrites_the_events_that_are_still_to_come() -> None:
    timer = FakeTimer(initial_severity=2)
    timer.receive([OPENED])
    timer.pass_time(moment("06-08 13:30"))
    timer.receive([numbered_fact(2, "assessed", "06-08 13:40", impact=CATASTROPHIC)])
    assert len(timer.events) == 1
    timer.pass_time(moment("06-08 14:00"))
    assert suggestions(timer) == [("06-08 13:30", None), ("06-08 14:00", 1)]
    timer.receive([numbered_fact(3, "assessed", "06-08 15:00", impact={"business_risk": "minimal"})])
    timer.pass_time(moment("06-10 02:00"))
    assert suggestions(timer)[2:] == [("06-10 02:00", None)]


@pytest.mark.rule("1.7")
def test_an_assessment_counts_from_its_instant() -> None:
    timer = FakeTimer(initial_severity=2)
    timer.receive(
        [
            OPENED,
            numbered_fact(2, "responded", "06-08 13:00"),
            numbered_fact(3, "assessed", "06-08 14:00", impact=CATASTROPHIC),
            numbered_fact(4, "resolved", "06-08 14:00"),
            numbered_fact(5, "reopened", "06-08 15:00"),
        ]
    )
    assert suggestions(timer) == [("06-08 13:00", None), ("06-08 14:00", 1)]


@pytest.mark.rule("1.6", "4.14")
def test_the_matrix_in_force_at_the_event_suggests() -> None:
    later = changed_policy("    users_affected_percent_from: 75\n", "    users_affected_percent_from: 60\n")
    later = later.model_copy(update={"version": "2", "in_force_from": moment("06-08 13:45")})
    policies = PolicyHistory.of([shipped_policy(), later], None)
    timer = FakeTimer(policies, initial_severity=2, impact={"users_affected_percent": 70})
    timer.receive([OPENED])
    timer.pass_time(moment("06-08 14:00"))
    assert suggestions(timer) == [("06-08 13:30", None), ("06-08 14:00", 1)]


# The assignee


@pytest.mark.rule("0.10")
def test_events_name_the_assignee_as_of_their_instant() -> None:
    timer = FakeTimer(initial_severity=2, assignee={"name": "Oren"})
    timer.receive([OPENED])
    timer.pass_time(moment("06-08 13:30"))
    timer.receive([numbered_fact(2, "assigned", "06-08 13:40", assignee=MAYA)])
    timer.pass_time(moment("06-08 14:00"))
    timer.receive([numbered_fact(3, "assigned", "06-08 14:30", assignee=None)])
    timer.pass_time(moment("06-10 02:00"))
    assert assignees(timer) == [("06-08 13:30", "Oren"), ("06-08 14:00", "Maya"), ("06-10 02:00", None)]


@pytest.mark.rule("0.10", "4.20")
def test_an_assignment_that_arrives_late_changes_no_published_event() -> None:
    timer = FakeTimer(initial_severity=2)
    timer.receive([OPENED])
    timer.pass_time(moment("06-08 14:00"))
    assert not timer.receive([numbered_fact(2, "assigned", "06-08 12:00", "06-08 15:00", assignee=MAYA)]).events
    timer.receive([numbered_fact(3, "cancelled", "06-08 16:00")])
    assert assignees(timer)[-1] == ("06-08 16:00", "Maya")


@pytest.mark.rule("0.10")
def test_a_voiding_names_the_assignee_of_now() -> None:
    timer = FakeTimer(initial_severity=2)
    timer.receive([OPENED])
    timer.pass_time(moment("06-08 14:00"))
    timer.receive([numbered_fact(2, "assigned", "06-08 14:30", assignee=MAYA)])
    timer.receive([numbered_fact(3, "responded", "06-08 13:00", "06-08 15:00")])
    assert [name for at, name in assignees(timer) if at == "06-08 15:00"] == ["Maya", "Maya"]


def roles_of(policies: PolicyHistory, assignee: dict[str, Any] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The recipients of the warning and of the missed response."""
    timer = FakeTimer(policies, initial_severity=2, assignee=assignee)
    timer.receive([OPENED])
    timer.pass_time(moment("06-08 14:00"))
    warned, breached = timer.events
    assert isinstance(warned, ClockWarned)
    assert isinstance(breached, ClockBreached)
    return warned.roles, breached.roles


@pytest.mark.rule("3.5", "5.3")
def test_an_assignee_with_an_address_is_a_recipient() -> None:
    mail = "warnings_to: [assignee, tier 2]\n  response_missed_to: [assignee]\n  stand_down: true"
    policies = history("stand_down: true", mail)
    manager = "senior_it_operations_manager"
    assert roles_of(policies, MAYA) == (("assignee", manager), ("assignee",))
    assert roles_of(policies, {"name": "Maya"}) == ((manager,), (LEAD,))
    assert roles_of(policies, None) == ((manager,), (LEAD,))


@pytest.mark.rule("3.5")
def test_an_assignment_changes_the_recipients_of_a_warning_to_come() -> None:
    timer = FakeTimer(history("stand_down: true", "warnings_to: [assignee]\n  stand_down: true"), initial_severity=2)
    timer.receive([OPENED])
    timer.receive([numbered_fact(2, "assigned", "06-08 12:10", assignee=MAYA)])
    timer.pass_time(moment("06-08 13:30"))
    [warned] = timer.events
    assert isinstance(warned, ClockWarned)
    assert warned.roles == ("assignee",)
    assert warned.ticket.assignee == Assignee(name="Maya", email="maya@msp.example")


# Who asked, and who acknowledged


@pytest.mark.rule("5.13")
def test_each_step_that_an_escalation_caused_says_who_asked_and_why() -> None:
    timer = FakeTimer(initial_severity=2)
    timer.receive([OPENED, numbered_fact(2, "responded", "06-08 12:00")])
    timer.receive([numbered_fact(3, "escalated", "06-08 12:10", actor="Dana Wu", reason="The board meets at 14:00")])
    timer.pass_time(moment("06-08 14:10"))
    assert [(step.reason, step.requested_by, step.requested_reason) for step in steps(timer)] == [
        ("explicit", "Dana Wu", "The board meets at 14:00")
    ] * 2


@pytest.mark.rule("5.7", "5.8")
def test_a_step_names_the_acknowledgements_before_it_and_until_when_they_held() -> None:
    timer = FakeTimer()
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1)])
    timer.pass_time(moment("06-09 13:00"))
    timer.receive([numbered_fact(2, "acknowledged", "06-09 13:10", actor="maya")])
    timer.receive([numbered_fact(3, "acknowledged", "06-09 13:30", actor="oren")])
    timer.pass_time(moment("06-09 15:30"))
    first, second, third = steps(timer)
    expected = (
        Acknowledgement(at=moment("06-09 13:10"), by="maya", held_until=moment("06-09 14:10")),
        Acknowledgement(at=moment("06-09 13:30"), by="oren", held_until=moment("06-09 14:30")),
    )
    assert [step.at for step in (first, second, third)] == [
        moment("06-09 13:00"),
        moment("06-09 14:30"),
        moment("06-09 15:30"),
    ]
    assert (first.acknowledgements, second.acknowledgements, third.acknowledgements) == ((), expected, expected)
    assert [event.acknowledged_by for event in timer.events if isinstance(event, LadderHeld)] == ["maya", "oren"]


@pytest.mark.rule("5.7", "5.13")
def test_an_escalation_ends_what_an_acknowledgement_held() -> None:
    timer = FakeTimer()
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1)])
    timer.pass_time(moment("06-09 13:00"))
    timer.receive([numbered_fact(2, "acknowledged", "06-09 13:10", actor="maya")])
    timer.receive([numbered_fact(3, "escalated", "06-09 13:20", actor="Dana Wu")])
    step = steps(timer)[-1]
    assert step.acknowledgements == (
        Acknowledgement(at=moment("06-09 13:10"), by="maya", held_until=moment("06-09 13:20")),
    )
    assert step.requested_by == "Dana Wu"


@pytest.mark.rule("4.4", "5.7")
def test_a_pause_makes_unknown_until_when_an_earlier_acknowledgement_held() -> None:
    timer = FakeTimer()
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1)])
    timer.pass_time(moment("06-09 13:00"))
    timer.receive(
        [
            numbered_fact(2, "paused", "06-09 13:05"),
            numbered_fact(3, "acknowledged", "06-09 13:10", actor="maya"),
            numbered_fact(4, "acknowledged", "06-09 13:20", actor="oren"),
            numbered_fact(5, "resumed", "06-09 14:00"),
        ]
    )
    timer.pass_time(moment("06-09 15:00"))
    assert [(one.by, one.held_until) for one in steps(timer)[-1].acknowledgements] == [
        ("maya", None),
        ("oren", moment("06-09 15:00")),
    ]


@pytest.mark.rule("4.13", "5.7")
def test_a_kept_ladder_names_the_acknowledgements_of_its_cycle() -> None:
    timer = FakeTimer()
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1)])
    timer.pass_time(moment("06-09 13:00"))
    timer.receive(
        [
            numbered_fact(2, "acknowledged", "06-09 13:10", actor="maya"),
            numbered_fact(3, "resolved", "06-09 13:20"),
            numbered_fact(4, "reopened", "06-09 14:00"),
        ]
    )
    timer.pass_time(moment("06-09 15:00"))
    assert (steps(timer)[-1].cycle, steps(timer)[-1].acknowledgements) == (2, ())


def test_a_step_names_the_latest_twenty_acknowledgements() -> None:
    timer = FakeTimer()
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1)])
    timer.pass_time(moment("06-09 13:00"))
    many = [numbered_fact(2 + number, "acknowledged", "06-09 13:10", actor=f"p{number}") for number in range(50)]
    timer.receive(many)
    timer.pass_time(moment("06-09 14:10"))
    assert [one.by for one in steps(timer)[-1].acknowledgements] == [f"p{number}" for number in range(30, 50)]


@pytest.mark.rule("5.22")
@pytest.mark.parametrize("mailed", [True, False])
def test_the_end_of_the_ladder_is_mailed_unless_the_policy_says_no(mailed: bool) -> None:
    timer = FakeTimer(None if mailed else history("exhausted: true", "exhausted: false"))
    timer.receive([numbered_fact(1, "opened", "06-08 12:00", severity=1)])
    timer.pass_time(moment("06-12 12:00"))
    exhausted = timer.events[-1]
    assert isinstance(exhausted, LadderExhausted)
    assert exhausted.mail is mailed
    assert {step.mail_exhausted for step in steps(timer)} == {mailed}


# Notices about the request itself


def notices(timer: FakeTimer) -> list[EscalationRequested | RequestRerouted]:
    return [event for event in timer.events if isinstance(event, EscalationRequested | RequestRerouted)]


@pytest.mark.rule("6.7")
def test_a_request_to_the_escalations_mailbox_is_announced_once_before_all_else() -> None:
    timer = FakeTimer(routed_to="escalations", category="project", initial_severity=2, impact=CATASTROPHIC)
    timer.receive([OPENED, numbered_fact(2, "responded", "06-08 12:00")])
    first = timer.events[0]
    assert isinstance(first, EscalationRequested)
    assert (first.at, first.role, first.cycle, first.severity) == (moment("06-08 12:00"), LEAD, 1, 2)
    assert (first.suggested_severity, first.historic) == (1, False)
    timer.receive([numbered_fact(3, "resolved", "06-08 13:00"), numbered_fact(4, "reopened", "06-08 14:00")])
    assert notices(timer) == [first]


@pytest.mark.rule("6.7", "2.9")
def test_the_policy_names_the_role_of_the_service_delivery_team() -> None:
    policies = history("service_delivery: service_desk_team_lead", "service_delivery: account_manager")
    timer = FakeTimer(policies, routed_to="escalations")
    timer.receive([OPENED])
    [requested] = notices(timer)
    assert isinstance(requested, EscalationRequested)
    assert requested.role == "account_manager"


@pytest.mark.rule("6.6", "6.7")
def test_a_notice_of_history_is_historic() -> None:
    timer = FakeTimer(historic_through=moment("06-20 12:00"), routed_to="escalations")
    timer.receive([OPENED])
    assert [notice.historic for notice in notices(timer)] == [True]


CONTACT = {"name": "Ada", "email": "ada@acme.example"}


@pytest.mark.rule("6.6")
def test_a_rerouted_mail_is_announced_to_its_sender_once() -> None:
    timer = FakeTimer(channel="email", flags=["rerouted"], contact=CONTACT)
    timer.receive([OPENED])
    timer.receive([numbered_fact(2, "responded", "06-08 12:10")])
    [rerouted] = notices(timer)
    assert isinstance(rerouted, RequestRerouted)
    assert rerouted.at == moment("06-08 12:00")


@pytest.mark.rule("6.6", "6.7")
@pytest.mark.parametrize(
    "fields",
    [
        {"channel": "email", "contact": CONTACT},
        {"channel": "portal", "contact": CONTACT, "flags": ["rerouted"]},
        {"channel": "email", "contact": {"name": "Ada", "phone": "1"}, "flags": ["rerouted"]},
        {"channel": "email", "contact": CONTACT, "flags": ["rerouted", "contact_unusable"]},
        {"channel": "email", "contact": CONTACT, "flags": ["rerouted", "default_contact"]},
    ],
)
def test_no_other_request_is_announced(fields: dict[str, Any]) -> None:
    timer = FakeTimer(**fields)
    timer.receive([OPENED])
    assert notices(timer) == []
