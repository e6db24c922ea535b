"""The tier a step goes to, and who is notified, withdrawn and stood down (docs/rules.md#5-escalation-ladder)."""

from collections.abc import Sequence
from datetime import datetime

import pytest
from escalator.domain.decisions import decide
from escalator.domain.tiers import IsVacant, LadderRun, RunKey, TicketEscalation, next_tier
from support.deadline_events import HOUR, LADDER, START, DeadlineEventFactory
from tocsin.events import (
    Acknowledgement,
    DeadlineEvent,
    EscalationEvent,
    Exhausted,
    Notify,
    StandDown,
    Tier,
    UpcomingStep,
    Withdraw,
    decode,
    encode,
)

timer = DeadlineEventFactory()


def none_vacant(tier: Tier, at: datetime) -> bool:
    return False


def vacant(*numbers: int, until: datetime | None = None) -> IsVacant:
    return lambda tier, at: tier.number in numbers and (until is None or at < until)


def decide_all(
    events: Sequence[DeadlineEvent], is_vacant: IsVacant = none_vacant, escalation: TicketEscalation | None = None
) -> tuple[TicketEscalation, list[EscalationEvent]]:
    escalation = escalation or TicketEscalation()
    decided: list[EscalationEvent] = []
    for event in events:
        escalation, new = decide(event, escalation, is_vacant)
        decided += new
    return escalation, decided


def tiers(decided: Sequence[EscalationEvent]) -> list[int]:
    return [event.tier.number for event in decided if isinstance(event, Notify) and event.tier]


class TestNextTier:
    def test_the_first_step_goes_to_tier_1(self) -> None:
        assert next_tier(LADDER, 0, lambda tier: False) == (LADDER[0], ())

    @pytest.mark.rule("5.19")
    def test_vacant_tiers_are_skipped_and_recorded(self) -> None:
        assert next_tier(LADDER, 1, lambda tier: tier.number in (2, 3)) == (LADDER[3], (LADDER[1], LADDER[2]))

    def test_no_tier_is_above_the_last(self) -> None:
        assert next_tier(LADDER, 6, lambda tier: False) == (None, ())

    def test_no_tier_is_left_if_all_above_are_vacant(self) -> None:
        assert next_tier(LADDER, 4, lambda tier: True) == (None, LADDER[4:])

    def test_the_order_of_the_list_does_not_matter(self) -> None:
        assert next_tier(LADDER[::-1], 2, lambda tier: False) == (LADDER[2], ())


@pytest.mark.rule("5.1", "5.11")
def test_six_steps_reach_the_ceo_and_the_ladder_is_exhausted_once() -> None:
    _, decided = decide_all([*(timer.step(n) for n in range(1, 7)), timer.exhausted(), timer.exhausted()])
    assert tiers(decided) == [1, 2, 3, 4, 5, 6]
    assert [(event.reason, event.at) for event in decided if isinstance(event, Exhausted)] == [
        ("ladder", START + 6 * HOUR)
    ]


@pytest.mark.rule("5.29")
def test_a_notification_carries_everything_the_mail_needs() -> None:
    _, (_, second) = decide_all([timer.step(1), timer.step(2)], vacant(2, 4))
    assert isinstance(second, Notify)
    assert (second.kind, second.role, second.role_title) == (
        "escalation",
        "it_operations_director",
        "IT Operations Director",
    )
    assert (second.step, second.tier, second.run, second.reason) == (2, LADDER[2], 1, "resolution_breached")
    assert second.skipped == (LADDER[1],)
    assert [(before.tier.number, before.at) for before in second.told_before] == [(1, START)]
    assert second.upcoming is not None
    assert (second.upcoming.at, second.upcoming.tier) == (START + 2 * HOUR, LADDER[4])
    assert (second.target, second.interval, second.due_at) == ("24 hours", "1 hour", START)
    assert decode(*encode(second, "escalator")) == second


def test_the_last_tier_announces_exhaustion() -> None:
    _, decided = decide_all([timer.step(n) for n in range(1, 7)])
    last = decided[-1]
    assert isinstance(last, Notify)
    assert last.upcoming is not None
    assert last.upcoming.tier is None


def test_no_upcoming_step_if_the_next_instant_is_unknown() -> None:
    _, (only,) = decide_all([timer.step(1, following=None)])
    assert isinstance(only, Notify)
    assert only.upcoming is None


@pytest.mark.rule("5.19")
def test_vacancy_is_evaluated_at_the_scheduled_instant() -> None:
    is_vacant = vacant(1, until=START + HOUR)
    assert tiers(decide_all([timer.step(1)], is_vacant)[1]) == [2]
    assert tiers(decide_all([timer.step(1, hours=1)], is_vacant)[1]) == [1]


def test_the_upcoming_tier_depends_on_the_vacancies_of_its_own_instant() -> None:
    _, (first,) = decide_all([timer.step(1)], vacant(2, until=START + HOUR))
    assert isinstance(first, Notify)
    assert first.upcoming is not None
    assert first.upcoming.tier == LADDER[1]


@pytest.mark.rule("5.12", "5.19")
def test_a_ladder_with_only_vacant_tiers_left_is_exhausted_once_and_stays_exhausted() -> None:
    steps = [*(timer.step(n) for n in range(1, 7)), timer.exhausted()]
    escalation, decided = decide_all(steps, vacant(5, 6))
    assert tiers(decided) == [1, 2, 3, 4]
    (exhausted,) = [event for event in decided if isinstance(event, Exhausted)]
    assert (exhausted.reason, exhausted.skipped) == ("vacant", LADDER[4:])
    assert escalation.runs[RunKey(1, 1)].state == "exhausted"
    assert decide_all([timer.step(7)], none_vacant, escalation)[1] == []


@pytest.mark.rule("5.24")
def test_the_end_of_a_run_stands_down_its_notifications_once() -> None:
    escalation, decided = decide_all(
        [timer.step(1), timer.step(2), timer.ended(1.5), timer.ended(1.5), timer.ended(1.7)]
    )
    (stand_down,) = [event for event in decided if isinstance(event, StandDown)]
    assert stand_down.notifications == tuple(event.event_id for event in decided[:2])
    assert (stand_down.reason, stand_down.run, stand_down.clock) == ("resolved", 1, None)
    assert escalation.runs[RunKey(1, 1)].state == "ended"


def test_without_stand_down_mails_the_end_withdraws_what_is_queued() -> None:
    _, decided = decide_all([timer.step(1), timer.ended(1, stand_down=False)])
    assert isinstance(decided[-1], Withdraw)
    assert decided[-1].notifications == (decided[0].event_id,)


def test_the_end_of_an_unknown_ladder_notifies_nobody() -> None:
    escalation, decided = decide_all([timer.ended(1)])
    assert decided == []
    assert escalation.runs[RunKey(1, 1)].state == "ended"


def test_a_hold_of_an_unknown_ladder_is_remembered() -> None:
    escalation, decided = decide_all([timer.held(1, until=3, kept=True, cycle=2)])
    assert decided == []
    assert escalation.runs[RunKey(2, 1)].state == "held"


def test_an_acknowledgement_withdraws_no_mail() -> None:
    _, before = decide_all([timer.step(1)])
    _, after = decide_all([timer.step(1), timer.held(0.5, until=24)])
    assert [event for event in before if isinstance(event, Notify)]
    assert after == before


def test_a_held_ladder_continues_with_its_next_tier() -> None:
    escalation, _ = decide_all([timer.step(1), timer.held(0.5, until=24)])
    held = escalation.runs[RunKey(1, 1)]
    assert (held.state, held.next_at) == ("held", START + 24 * HOUR)
    upcoming = held.upcoming(vacant(2))
    assert upcoming is not None
    assert upcoming.tier == LADDER[2]
    escalation, decided = decide_all([timer.step(2, hours=24)], escalation=escalation)
    assert tiers(decided) == [2]
    assert escalation.runs[RunKey(1, 1)].state == "running"


def test_a_step_after_an_undone_end_notifies_and_is_stood_down_again() -> None:
    """A workaround ends the ladder; a late fact makes the workaround impossible: severity 1 before it."""
    escalation, decided = decide_all([timer.step(1), timer.ended(0.5, "workaround"), timer.step(2), timer.ended(3)])
    assert [type(event).__name__ for event in decided] == ["Notify", "StandDown", "Notify", "StandDown"]
    assert isinstance(decided[-1], StandDown)
    assert decided[-1].notifications == (decided[2].event_id,)
    assert escalation.runs[RunKey(1, 1)].end_reason == "resolved"


@pytest.mark.rule("4.19")
def test_a_new_run_after_a_voided_one_starts_at_tier_1() -> None:
    story = [timer.step(1), timer.step(2), timer.ended(1.2, "voided"), timer.step(1, hours=2, run=2)]
    _, decided = decide_all(story)
    assert tiers(decided) == [1, 2, 1]
    again = decided[-1]
    assert isinstance(again, Notify)
    assert again.event_id != decided[0].event_id
    assert again.told_before == ()


@pytest.mark.rule("4.13")
def test_a_kept_ladder_continues_over_several_cycles() -> None:
    escalation, decided = decide_all(
        [
            timer.step(1),
            timer.step(2),
            timer.ended(1.5),
            timer.step(3, hours=9, cycle=2, kept=True),
            timer.ended(9.5, cycle=2, kept=True),
            timer.ended(12, cycle=3, kept=True),
            timer.step(4, hours=20, cycle=4, kept=True),
        ]
    )
    assert tiers(decided) == [1, 2, 3, 4]
    last = decided[-1]
    assert isinstance(last, Notify)
    assert [before.tier.number for before in last.told_before] == [1, 2, 3]
    assert [len(event.notifications) for event in decided if isinstance(event, StandDown)] == [2, 1]
    assert [step.step for _, step in escalation.all_steps(escalation.runs[RunKey(4, 1)])] == [1, 2, 3, 4]


def test_a_kept_ladder_continues_from_the_highest_run_of_the_cycle_before() -> None:
    story: list[DeadlineEvent] = [*(timer.step(n) for n in (1, 2, 3)), timer.ended(2.5, "voided")]
    story += [timer.step(1, hours=4, run=2), timer.ended(4.5, run=2), timer.step(2, hours=9, cycle=2, kept=True)]
    assert tiers(decide_all(story)[1]) == [1, 2, 3, 1, 2]


@pytest.mark.rule("5.12")
def test_a_kept_ladder_stays_exhausted() -> None:
    story = [
        timer.step(1),
        timer.ended(1),
        timer.step(2, hours=5, cycle=2, kept=True),
        timer.exhausted(9, cycle=2, kept=True),
    ]
    escalation, decided = decide_all(story, vacant(2, 3, 4, 5, 6))
    assert sum(isinstance(event, Exhausted) for event in decided) == 1
    _, later = decide_all(
        [timer.ended(9.5, cycle=2, kept=True), timer.step(3, hours=20, cycle=3, kept=True)], none_vacant, escalation
    )
    assert later == []


@pytest.mark.rule("4.13")
def test_a_kept_ladder_is_open_from_the_reopen_on_and_mails_nobody() -> None:
    closed, _ = decide_all([timer.step(1), timer.step(2), timer.ended(1.5)])
    escalation, decided = decide_all([timer.continued(9, 10, cycle=2, kept=True, severity=2)], escalation=closed)
    run = escalation.runs[RunKey(2, 1)]
    assert (run.state, run.tier, run.severity, run.next_at) == ("running", 2, 2, START + 10 * HOUR)
    assert run.upcoming(none_vacant) == UpcomingStep(at=START + 10 * HOUR, tier=LADDER[2])
    assert run.live
    assert decided == []
    _, decided = decide_all([timer.step(3, hours=10, cycle=2, kept=True)], escalation=escalation)
    assert tiers(decided) == [3]


@pytest.mark.rule("5.12", "5.22")
@pytest.mark.parametrize("is_vacant", [none_vacant, vacant(3, 4, 5, 6)], ids=["at its end", "only vacant tiers"])
def test_a_kept_exhausted_ladder_is_exhausted_from_the_reopen_on(is_vacant: IsVacant) -> None:
    top = [*(timer.step(n) for n in range(1, 7)), timer.exhausted()]
    closed, _ = decide_all([*top, timer.ended(7)], is_vacant)
    events = [timer.continued(9, exhausted=6, cycle=2, kept=True)]
    escalation, decided = decide_all(events, is_vacant, closed)
    before, run = escalation.runs[RunKey(1, 1)], escalation.runs[RunKey(2, 1)]
    assert (run.state, run.exhausted, run.exhausted_at) == ("exhausted", before.exhausted, before.exhausted_at)
    assert decided == []
    escalation, decided = decide_all([timer.ended(10, cycle=2, kept=True)], is_vacant, escalation)
    assert escalation.runs[RunKey(2, 1)].state == "ended"
    assert decided == []


def test_a_continued_run_has_the_severity_the_hold_and_the_next_instant_of_the_event() -> None:
    paused = timer.continued(0.5, None, severity=2, held=True)
    escalation, _ = decide_all([timer.step(1), timer.held(0.25, until=4), paused])
    run = escalation.runs[RunKey(1, 1)]
    assert (run.state, run.severity, run.next_at) == ("held", 2, None)
    escalation, _ = decide_all([timer.continued(1, 6, severity=2)], escalation=escalation)
    run = escalation.runs[RunKey(1, 1)]
    assert (run.state, run.severity, run.next_at) == ("running", 2, START + 6 * HOUR)


@pytest.mark.rule("5.12")
def test_an_exhausted_run_stays_exhausted_when_late_evidence_moves_its_last_steps() -> None:
    story = [*(timer.step(n) for n in range(1, 7)), timer.exhausted(), timer.step_voided(6), timer.continued(6.5, 7)]
    escalation, _ = decide_all(story)
    run = escalation.runs[RunKey(1, 1)]
    assert (run.state, run.exhausted_at, run.next_at) == ("exhausted", START + 6 * HOUR, None)


def test_a_kept_ladder_that_late_evidence_exhausted_before_the_reopen_is_exhausted() -> None:
    escalation, decided = decide_all([timer.continued(9, 10, cycle=2, kept=True)])
    assert decided == []
    escalation, decided = decide_all(
        [timer.continued(9, exhausted=6, cycle=2, kept=True, run=1)], escalation=escalation
    )
    run = escalation.runs[RunKey(2, 1)]
    assert (run.state, run.exhausted, run.exhausted_at) == ("exhausted", "ladder", START + 6 * HOUR)
    assert decided == []


def test_a_ladder_that_began_in_history_is_live_once_it_continues_after_it() -> None:
    historic, _ = decide_all([timer.step(1, historic=True), timer.continued(0.5, 2, historic=True)])
    assert not historic.runs[RunKey(1, 1)].live
    live, _ = decide_all([timer.continued(0.75, 3)], escalation=historic)
    assert live.runs[RunKey(1, 1)].live


@pytest.mark.rule("4.13")
def test_a_new_cycle_that_kept_no_ladder_starts_at_tier_1() -> None:
    assert tiers(decide_all([timer.step(1), timer.step(2), timer.ended(2), timer.step(1, hours=30, cycle=2)])[1]) == [
        1,
        2,
        1,
    ]


@pytest.mark.rule("4.20")
def test_a_voided_step_sends_nothing_and_its_tier_stays_notified() -> None:
    escalation, decided = decide_all(
        [timer.step(1), timer.step(2), timer.step_voided(2), timer.step(2, hours=3), timer.step(3)]
    )
    assert tiers(decided) == [1, 2, 3]
    assert [step.voided for step in escalation.runs[RunKey(1, 1)].steps] == [False, True, False]


@pytest.mark.rule("5.3")
def test_a_missed_response_notifies_each_role_and_moves_no_ladder() -> None:
    roles = ("service_desk_team_lead", "it_operations_director")
    escalation, decided = decide_all([timer.breached("response", roles=roles)])
    assert [
        (event.kind, event.role, event.role_title, event.clock, event.run)
        for event in decided
        if isinstance(event, Notify)
    ] == [
        ("response_missed", "service_desk_team_lead", "Service Desk Team Lead", "response", None),
        ("response_missed", "it_operations_director", "IT Operations Director", "response", None),
    ]
    assert escalation.runs == {}


@pytest.mark.rule("5.2")
def test_a_missed_resolution_alone_notifies_nobody() -> None:
    assert decide_all([timer.breached("resolution")])[1] == []


@pytest.mark.rule("4.18")
def test_a_voided_missed_answer_stands_down() -> None:
    missed = timer.breached("answer")
    _, decided = decide_all([missed, timer.voided(missed), timer.voided(missed)])
    assert [type(event) for event in decided] == [Notify, StandDown]
    stand_down = decided[1]
    assert isinstance(stand_down, StandDown)
    assert (stand_down.clock, stand_down.run, stand_down.notifications) == ("answer", None, (decided[0].event_id,))


def test_a_breach_after_a_voided_one_is_a_new_notification() -> None:
    missed = timer.breached("response")
    _, decided = decide_all([missed, timer.voided(missed), timer.breached("response", hours=0.25, run=2)])
    assert [type(event) for event in decided] == [Notify, StandDown, Notify]
    assert decided[2].event_id != decided[0].event_id


@pytest.mark.parametrize(
    ("then", "reason"),
    [(timer.met("response"), "resolved"), (timer.cancelled("response"), "cancelled")],
)
def test_a_warning_is_withdrawn_when_its_clock_ends(then: DeadlineEvent, reason: str) -> None:
    _, decided = decide_all([timer.warned("response"), timer.warned("resolution"), then, then])
    assert [type(event) for event in decided] == [Notify, Notify, Withdraw]
    withdraw = decided[2]
    assert isinstance(withdraw, Withdraw)
    assert (withdraw.notifications, withdraw.reason) == ((decided[0].event_id,), reason)


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (timer.met("resolution"), "resolved"),
        (timer.cancelled("resolution"), "cancelled"),
        (timer.ended(1, stand_down=False), "resolved"),
    ],
)
@pytest.mark.rule("5.24")
def test_closing_the_ticket_withdraws_everything_about_its_clocks(then: DeadlineEvent, reason: str) -> None:
    before = [timer.warned("response"), timer.breached("response"), timer.warned("resolution")]
    other_cycle = timer.warned("response", cycle=2)
    _, decided = decide_all([*before, other_cycle, then, then])
    withdraw = decided[-1]
    assert isinstance(withdraw, Withdraw)
    assert (withdraw.notifications, withdraw.reason) == (tuple(event.event_id for event in decided[:3]), reason)
    assert len(decided) == 5


def test_the_end_of_a_ladder_stands_down_its_tiers_and_withdraws_the_rest() -> None:
    _, decided = decide_all([timer.breached("response"), timer.step(1), timer.ended(1), timer.ended(1)])
    assert [type(event) for event in decided] == [Notify, Notify, StandDown, Withdraw]
    missed, step, stand_down, withdraw = decided
    assert isinstance(stand_down, StandDown)
    assert isinstance(withdraw, Withdraw)
    assert (stand_down.notifications, stand_down.run) == ((step.event_id,), 1)
    assert (withdraw.notifications, withdraw.run) == ((missed.event_id,), None)


def test_late_evidence_that_ends_only_the_ladder_leaves_a_missed_response_alone() -> None:
    _, decided = decide_all([timer.breached("response"), timer.step(1), timer.ended(1, reason="voided")])
    assert [type(event) for event in decided] == [Notify, Notify, StandDown]


def test_a_voided_missed_response_is_stood_down_even_after_the_ticket_closed() -> None:
    missed = timer.breached("response")
    _, decided = decide_all([missed, timer.met("resolution"), timer.voided(missed), timer.voided(missed)])
    assert [type(event) for event in decided] == [Notify, Withdraw, StandDown]
    stand_down = decided[2]
    assert isinstance(stand_down, StandDown)
    assert stand_down.notifications == (decided[0].event_id,)


@pytest.mark.rule("4.18")
def test_a_voided_warning_is_withdrawn() -> None:
    warned = timer.warned("resolution")
    _, decided = decide_all([warned, timer.voided(warned)])
    assert [type(event) for event in decided] == [Notify, Withdraw]


@pytest.mark.rule("4.24", "5.20")
def test_historic_steps_notify_nobody_and_move_the_ladder() -> None:
    old = [timer.step(n, historic=True) for n in (1, 2)]
    escalation, decided = decide_all([timer.warned("resolution", historic=True), *old, timer.step(3)], vacant(1))
    assert tiers(decided) == [3]
    assert isinstance(decided[0], Notify)
    assert decided[0].told_before == ()
    _, later = decide_all([timer.ended(3)], escalation=escalation)
    assert [event.notifications for event in later if isinstance(event, StandDown)] == [(decided[0].event_id,)]


def test_a_historic_ladder_is_exhausted_without_an_event() -> None:
    escalation, decided = decide_all(
        [*(timer.step(n, historic=True) for n in range(1, 7)), timer.exhausted(historic=True)]
    )
    assert decided == []
    assert escalation.runs[RunKey(1, 1)].state == "exhausted"


def test_a_ladder_without_steps_has_no_upcoming_step() -> None:
    assert LadderRun(RunKey(1, 1)).upcoming(none_vacant) is None
    assert LadderRun(RunKey(1, 1), held=True, next_at=START).upcoming(none_vacant) is None


@pytest.mark.rule("5.22")
def test_exhaustion_names_every_notification_of_its_run() -> None:
    story = [
        timer.warned("resolution"),
        timer.step(1),
        timer.ended(0.5, "voided"),
        *(timer.step(n, run=2) for n in range(1, 7)),
        timer.exhausted(run=2, suggested_severity=1, severity=2, target="36 hours"),
    ]
    _, decided = decide_all(story)
    exhausted = decided[-1]
    assert isinstance(exhausted, Exhausted)
    mine = [event.event_id for event in decided if isinstance(event, Notify) and event.run == 2]
    assert (list(exhausted.notifications), exhausted.mail, len(mine)) == (mine, True, 6)
    assert (exhausted.due_at, exhausted.target, exhausted.suggested_severity) == (START, "36 hours", 1)


@pytest.mark.rule("5.22", "5.24")
def test_the_end_of_an_exhausted_run_stands_down_the_mail_about_exhaustion_too() -> None:
    escalation, decided = decide_all([timer.step(1), timer.exhausted(2), timer.ended(3), timer.ended(3)])
    notify, exhausted, stand_down = decided
    assert isinstance(stand_down, StandDown)
    assert stand_down.notifications == (notify.event_id, exhausted.event_id)
    assert not any(notification.open for notification in escalation.notifications)


@pytest.mark.rule("5.22")
@pytest.mark.parametrize(
    "story",
    [
        [timer.step(1), timer.exhausted(2, mail=False)],
        [timer.step(1), timer.step(2, mail_exhausted=False)],
    ],
    ids=["ladder", "vacant"],
)
def test_the_policy_may_want_no_mail_about_exhaustion(story: list[DeadlineEvent]) -> None:
    _, (notify, exhausted, stand_down) = decide_all([*story, timer.ended(3)], vacant(2, 3, 4, 5, 6))
    assert isinstance(exhausted, Exhausted)
    assert (exhausted.mail, exhausted.notifications) == (False, (notify.event_id,))
    assert isinstance(stand_down, StandDown)
    assert stand_down.notifications == (notify.event_id,)


@pytest.mark.rule("5.22")
def test_exhaustion_in_history_mails_nobody_and_is_remembered() -> None:
    story = [*(timer.step(n, historic=True) for n in range(1, 7)), timer.exhausted(historic=True)]
    escalation, decided = decide_all(story)
    run = escalation.runs[RunKey(1, 1)]
    assert (decided, run.state, run.exhausted_at, run.live) == ([], "exhausted", START + 6 * HOUR, False)


def test_a_ladder_that_began_in_history_is_live_from_its_first_live_step_on() -> None:
    escalation, _ = decide_all([timer.step(1, historic=True)])
    assert not escalation.runs[RunKey(1, 1)].live
    escalation, _ = decide_all([timer.step(2)], escalation=escalation)
    assert escalation.runs[RunKey(1, 1)].live


@pytest.mark.rule("6.7")
def test_a_request_to_the_escalations_mailbox_notifies_its_role_once() -> None:
    asked = timer.requested("service_delivery")
    _, decided = decide_all([asked, asked, timer.requested(historic=True)])
    (notify,) = decided
    assert isinstance(notify, Notify)
    assert (notify.kind, notify.role, notify.role_title) == (
        "escalation_request",
        "service_delivery",
        "Service Delivery",
    )
    assert (notify.run, notify.clock, notify.at) == (None, None, timer.ticket.opened_at)


@pytest.mark.rule("6.6")
def test_a_rerouted_request_notifies_its_contact_once() -> None:
    _, decided = decide_all([timer.rerouted(), timer.rerouted()])
    (notify,) = decided
    assert isinstance(notify, Notify)
    assert (notify.kind, notify.role, notify.role_title) == ("rerouted", "contact", "Contact")


@pytest.mark.rule("6.6", "6.7")
def test_history_notifies_nobody_of_requests() -> None:
    assert decide_all([timer.requested(historic=True), timer.rerouted(historic=True)])[1] == []


@pytest.mark.rule("5.24", "6.6")
def test_a_closed_ticket_withdraws_the_request_and_not_the_answer_to_its_sender() -> None:
    _, (asked, _, withdraw) = decide_all([timer.requested(), timer.rerouted(), timer.met("resolution")])
    assert isinstance(withdraw, Withdraw)
    assert withdraw.notifications == (asked.event_id,)


@pytest.mark.rule("5.30")
def test_a_step_passes_on_who_acknowledged_and_who_requested_it() -> None:
    known = Acknowledgement(at=START + HOUR / 2, by="ruth", held_until=START + HOUR)
    step = timer.step(
        2,
        reason="explicit",
        requested_by="ada",
        requested_reason="The customer called.",
        acknowledgements=(known,),
        suggested_severity=1,
    )
    escalation, (_, notify) = decide_all([timer.step(1), step])
    assert isinstance(notify, Notify)
    assert (notify.requested_by, notify.requested_reason) == ("ada", "The customer called.")
    assert (notify.acknowledgements, notify.suggested_severity) == ((known,), 1)
    assert escalation.runs[RunKey(1, 1)].acknowledgements == (known,)


def test_an_acknowledgement_is_known_before_the_next_step() -> None:
    held = timer.held(0.5, until=1.5, actor="ruth")
    escalation, _ = decide_all([timer.step(1), held, held])
    (known,) = escalation.runs[RunKey(1, 1)].acknowledgements
    assert (known.at, known.by, known.held_until) == (START + HOUR / 2, "ruth", START + 1.5 * HOUR)


def test_the_assignee_may_be_notified_of_a_clock() -> None:
    _, decided = decide_all([timer.warned("response", roles=("assignee", "service_desk_team_lead"))])
    assert [(event.role, event.role_title) for event in decided if isinstance(event, Notify)] == [
        ("assignee", "Assignee"),
        ("service_desk_team_lead", "Service Desk Team Lead"),
    ]
