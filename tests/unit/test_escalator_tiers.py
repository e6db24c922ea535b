"""The tier a step goes to, and who is addressed, withdrawn and stood down (RULES 4 and 5)."""

from collections.abc import Sequence
from datetime import datetime

import pytest
from escalator.domain.decisions import address
from escalator.domain.tiers import Case, Ladder, Vacant, next_tier
from support.deadline_events import HOUR, LADDER, START, Telling
from tocsin.events import DeadlineEvent, EscalationEvent, Exhausted, Notify, StandDown, Tier, Withdraw, decode, encode

told = Telling()


def nobody_vacant(tier: Tier, at: datetime) -> bool:
    return False


def vacant(*numbers: int, until: datetime | None = None) -> Vacant:
    return lambda tier, at: tier.number in numbers and (until is None or at < until)


def addressed(
    events: Sequence[DeadlineEvent], vacancy: Vacant = nobody_vacant, case: Case | None = None
) -> tuple[Case, list[EscalationEvent]]:
    case = case or Case()
    decided: list[EscalationEvent] = []
    for event in events:
        case, new = address(event, case, vacancy)
        decided += new
    return case, decided


def tiers(decided: Sequence[EscalationEvent]) -> list[int]:
    return [event.tier.number for event in decided if isinstance(event, Notify) and event.tier]


class TestNextTier:
    def test_the_first_step_goes_to_tier_1(self) -> None:
        assert next_tier(LADDER, 0, lambda tier: False) == (LADDER[0], ())

    def test_vacant_tiers_are_skipped_and_recorded(self) -> None:
        assert next_tier(LADDER, 1, lambda tier: tier.number in (2, 3)) == (LADDER[3], (LADDER[1], LADDER[2]))

    def test_nobody_is_left_above_the_last(self) -> None:
        assert next_tier(LADDER, 6, lambda tier: False) == (None, ())

    def test_nobody_is_left_where_all_above_are_vacant(self) -> None:
        assert next_tier(LADDER, 4, lambda tier: True) == (None, LADDER[4:])

    def test_the_order_of_the_list_does_not_matter(self) -> None:
        assert next_tier(LADDER[::-1], 2, lambda tier: False) == (LADDER[2], ())


def test_six_steps_climb_to_the_ceo_and_are_exhausted_once() -> None:
    _, decided = addressed([*(told.step(n) for n in range(1, 7)), told.exhausted(), told.exhausted()])
    assert tiers(decided) == [1, 2, 3, 4, 5, 6]
    assert [(event.reason, event.at) for event in decided if isinstance(event, Exhausted)] == [
        ("ladder", START + 6 * HOUR)
    ]


def test_a_notification_says_everything_the_mail_needs() -> None:
    _, (_, second) = addressed([told.step(1), told.step(2)], vacant(2, 4))
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
    _, decided = addressed([told.step(n) for n in range(1, 7)])
    last = decided[-1]
    assert isinstance(last, Notify)
    assert last.upcoming is not None
    assert last.upcoming.tier is None


def test_nothing_is_announced_where_the_next_instant_is_unknown() -> None:
    _, (only,) = addressed([told.step(1, following=None)])
    assert isinstance(only, Notify)
    assert only.upcoming is None


def test_vacancy_is_asked_at_the_scheduled_instant() -> None:
    vacancy = vacant(1, until=START + HOUR)
    assert tiers(addressed([told.step(1)], vacancy)[1]) == [2]
    assert tiers(addressed([told.step(1, hours=1)], vacancy)[1]) == [1]


def test_the_next_tier_is_announced_by_the_vacancies_of_its_own_instant() -> None:
    _, (first,) = addressed([told.step(1)], vacant(2, until=START + HOUR))
    assert isinstance(first, Notify)
    assert first.upcoming is not None
    assert first.upcoming.tier == LADDER[1]


def test_nobody_left_above_is_exhausted_once_and_stays_so() -> None:
    steps = [*(told.step(n) for n in range(1, 7)), told.exhausted()]
    case, decided = addressed(steps, vacant(5, 6))
    assert tiers(decided) == [1, 2, 3, 4]
    (exhausted,) = [event for event in decided if isinstance(event, Exhausted)]
    assert (exhausted.reason, exhausted.skipped) == ("vacant", LADDER[4:])
    assert case.ladders[1, 1].state == "exhausted"
    assert addressed([told.step(7)], nobody_vacant, case)[1] == []


def test_an_end_stands_everyone_down_who_was_told_once() -> None:
    case, decided = addressed([told.step(1), told.step(2), told.ended(1.5), told.ended(1.5), told.ended(1.7)])
    (stand_down,) = [event for event in decided if isinstance(event, StandDown)]
    assert stand_down.notifications == tuple(event.event_id for event in decided[:2])
    assert (stand_down.reason, stand_down.run, stand_down.clock) == ("resolved", 1, None)
    assert case.ladders[1, 1].state == "ended"


def test_without_stand_down_mails_what_is_queued_is_withdrawn() -> None:
    _, decided = addressed([told.step(1), told.ended(1, stand_down=False)])
    assert isinstance(decided[-1], Withdraw)
    assert decided[-1].notifications == (decided[0].event_id,)


def test_an_end_of_an_unknown_ladder_tells_nobody() -> None:
    case, decided = addressed([told.ended(1)])
    assert decided == []
    assert case.ladders[1, 1].state == "ended"


def test_a_hold_of_an_unknown_ladder_is_remembered() -> None:
    case, decided = addressed([told.held(1, until=3, kept=True, cycle=2)])
    assert decided == []
    assert case.ladders[2, 1].state == "held"


def test_an_acknowledgement_withdraws_no_mail() -> None:
    _, before = addressed([told.step(1)])
    _, after = addressed([told.step(1), told.held(0.5, until=24)])
    assert [event for event in before if isinstance(event, Notify)]
    assert after == before


def test_a_held_ladder_goes_on_at_its_next_tier() -> None:
    case, _ = addressed([told.step(1), told.held(0.5, until=24)])
    held = case.ladders[1, 1]
    assert (held.state, held.next_at) == ("held", START + 24 * HOUR)
    upcoming = held.upcoming(vacant(2))
    assert upcoming is not None
    assert upcoming.tier == LADDER[2]
    case, decided = addressed([told.step(2, hours=24)], case=case)
    assert tiers(decided) == [2]
    assert case.ladders[1, 1].state == "running"


def test_a_step_after_an_undone_end_is_told_and_stood_down_again() -> None:
    """A workaround ends the ladder; a late fact makes the ticket severity 1 before it, so that it was impossible."""
    case, decided = addressed([told.step(1), told.ended(0.5, "workaround"), told.step(2), told.ended(3)])
    assert [type(event).__name__ for event in decided] == ["Notify", "StandDown", "Notify", "StandDown"]
    assert isinstance(decided[-1], StandDown)
    assert decided[-1].notifications == (decided[2].event_id,)
    assert case.ladders[1, 1].end_reason == "resolved"


def test_a_new_run_after_a_voided_one_starts_at_tier_1() -> None:
    story = [told.step(1), told.step(2), told.ended(1.2, "voided"), told.step(1, hours=2, run=2)]
    _, decided = addressed(story)
    assert tiers(decided) == [1, 2, 1]
    again = decided[-1]
    assert isinstance(again, Notify)
    assert again.event_id != decided[0].event_id
    assert again.told_before == ()


def test_a_kept_ladder_goes_on_above_over_several_cycles() -> None:
    case, decided = addressed(
        [
            told.step(1),
            told.step(2),
            told.ended(1.5),
            told.step(3, hours=9, cycle=2, kept=True),
            told.ended(9.5, cycle=2, kept=True),
            told.ended(12, cycle=3, kept=True),
            told.step(4, hours=20, cycle=4, kept=True),
        ]
    )
    assert tiers(decided) == [1, 2, 3, 4]
    last = decided[-1]
    assert isinstance(last, Notify)
    assert [before.tier.number for before in last.told_before] == [1, 2, 3]
    assert [len(event.notifications) for event in decided if isinstance(event, StandDown)] == [2, 1]
    assert [step.step for _, step in case.told(case.ladders[4, 1])] == [1, 2, 3, 4]


def test_a_kept_ladder_continues_from_the_highest_run_of_the_cycle_before() -> None:
    story: list[DeadlineEvent] = [*(told.step(n) for n in (1, 2, 3)), told.ended(2.5, "voided")]
    story += [told.step(1, hours=4, run=2), told.ended(4.5, run=2), told.step(2, hours=9, cycle=2, kept=True)]
    assert tiers(addressed(story)[1]) == [1, 2, 3, 1, 2]


def test_a_kept_ladder_stays_exhausted() -> None:
    story = [
        told.step(1),
        told.ended(1),
        told.step(2, hours=5, cycle=2, kept=True),
        told.exhausted(9, cycle=2, kept=True),
    ]
    case, decided = addressed(story, vacant(2, 3, 4, 5, 6))
    assert sum(isinstance(event, Exhausted) for event in decided) == 1
    _, later = addressed(
        [told.ended(9.5, cycle=2, kept=True), told.step(3, hours=20, cycle=3, kept=True)], nobody_vacant, case
    )
    assert later == []


def test_a_new_cycle_that_kept_no_ladder_starts_at_tier_1() -> None:
    assert tiers(addressed([told.step(1), told.step(2), told.ended(2), told.step(1, hours=30, cycle=2)])[1]) == [
        1,
        2,
        1,
    ]


def test_a_voided_step_sends_nothing_and_its_tier_stays_told() -> None:
    case, decided = addressed([told.step(1), told.step(2), told.step_voided(2), told.step(2, hours=3), told.step(3)])
    assert tiers(decided) == [1, 2, 3]
    assert [step.voided for step in case.ladders[1, 1].told] == [False, True, False]


def test_a_missed_response_is_told_to_each_role_and_moves_no_ladder() -> None:
    roles = ("service_desk_team_lead", "it_operations_director")
    case, decided = addressed([told.breached("response", roles=roles)])
    assert [
        (event.kind, event.role, event.role_title, event.clock, event.run)
        for event in decided
        if isinstance(event, Notify)
    ] == [
        ("response_missed", "service_desk_team_lead", "Service Desk Team Lead", "response", None),
        ("response_missed", "it_operations_director", "IT Operations Director", "response", None),
    ]
    assert case.ladders == {}


def test_a_missed_resolution_tells_nobody_by_itself() -> None:
    assert addressed([told.breached("resolution")])[1] == []


def test_a_voided_missed_answer_stands_down() -> None:
    missed = told.breached("answer")
    _, decided = addressed([missed, told.voided(missed), told.voided(missed)])
    assert [type(event) for event in decided] == [Notify, StandDown]
    stand_down = decided[1]
    assert isinstance(stand_down, StandDown)
    assert (stand_down.clock, stand_down.run, stand_down.notifications) == ("answer", None, (decided[0].event_id,))


def test_told_anew_after_a_void_is_a_new_notification() -> None:
    missed = told.breached("response")
    _, decided = addressed([missed, told.voided(missed), told.breached("response", hours=0.25, run=2)])
    assert [type(event) for event in decided] == [Notify, StandDown, Notify]
    assert decided[2].event_id != decided[0].event_id


@pytest.mark.parametrize(
    ("then", "reason"),
    [(told.met("response"), "resolved"), (told.cancelled("response"), "cancelled")],
)
def test_a_warning_is_withdrawn_when_its_clock_ends(then: DeadlineEvent, reason: str) -> None:
    _, decided = addressed([told.warned("response"), told.warned("resolution"), then, then])
    assert [type(event) for event in decided] == [Notify, Notify, Withdraw]
    withdraw = decided[2]
    assert isinstance(withdraw, Withdraw)
    assert (withdraw.notifications, withdraw.reason) == ((decided[0].event_id,), reason)


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (told.met("resolution"), "resolved"),
        (told.cancelled("resolution"), "cancelled"),
        (told.ended(1, stand_down=False), "resolved"),
    ],
)
def test_once_the_ticket_is_closed_nothing_about_its_clocks_is_sent_any_more(then: DeadlineEvent, reason: str) -> None:
    before = [told.warned("response"), told.breached("response"), told.warned("resolution")]
    other_cycle = told.warned("response", cycle=2)
    _, decided = addressed([*before, other_cycle, then, then])
    withdraw = decided[-1]
    assert isinstance(withdraw, Withdraw)
    assert (withdraw.notifications, withdraw.reason) == (tuple(event.event_id for event in decided[:3]), reason)
    assert len(decided) == 5


def test_a_ladder_that_ends_stands_down_its_tiers_and_withdraws_the_rest() -> None:
    _, decided = addressed([told.breached("response"), told.step(1), told.ended(1), told.ended(1)])
    assert [type(event) for event in decided] == [Notify, Notify, StandDown, Withdraw]
    missed, step, stand_down, withdraw = decided
    assert isinstance(stand_down, StandDown)
    assert isinstance(withdraw, Withdraw)
    assert (stand_down.notifications, stand_down.run) == ((step.event_id,), 1)
    assert (withdraw.notifications, withdraw.run) == ((missed.event_id,), None)


def test_a_missed_response_stays_told_where_late_evidence_ends_the_ladder_alone() -> None:
    _, decided = addressed([told.breached("response"), told.step(1), told.ended(1, reason="voided")])
    assert [type(event) for event in decided] == [Notify, Notify, StandDown]


def test_a_missed_response_is_stood_down_though_the_ticket_is_closed_already() -> None:
    missed = told.breached("response")
    _, decided = addressed([missed, told.met("resolution"), told.voided(missed), told.voided(missed)])
    assert [type(event) for event in decided] == [Notify, Withdraw, StandDown]
    stand_down = decided[2]
    assert isinstance(stand_down, StandDown)
    assert stand_down.notifications == (decided[0].event_id,)


def test_a_voided_warning_is_withdrawn() -> None:
    warned = told.warned("resolution")
    _, decided = addressed([warned, told.voided(warned)])
    assert [type(event) for event in decided] == [Notify, Withdraw]


def test_history_addresses_nobody_but_moves_the_ladder() -> None:
    old = [told.step(n, historic=True) for n in (1, 2)]
    case, decided = addressed([told.warned("resolution", historic=True), *old, told.step(3)], vacant(1))
    assert tiers(decided) == [3]
    assert isinstance(decided[0], Notify)
    assert decided[0].told_before == ()
    _, later = addressed([told.ended(3)], case=case)
    assert [event.notifications for event in later if isinstance(event, StandDown)] == [(decided[0].event_id,)]


def test_history_is_exhausted_in_silence() -> None:
    case, decided = addressed([*(told.step(n, historic=True) for n in range(1, 7)), told.exhausted(historic=True)])
    assert decided == []
    assert case.ladders[1, 1].state == "exhausted"


def test_a_ladder_nobody_has_stepped_on_has_nothing_upcoming() -> None:
    assert Ladder(1, 1).upcoming(nobody_vacant) is None
    assert Ladder(1, 1, held=True, next_at=START).upcoming(nobody_vacant) is None
