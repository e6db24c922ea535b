"""Deadlines ahead on the board: the time left as each clock counts, and who would be notified."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from board.domain.at_risk import (
    WITHIN_PATTERN,
    AtRiskState,
    BreachRecipient,
    at_risk,
    breach_recipients,
    coming_deadlines,
    parse_within,
)
from board.domain.board_ticket import BoardLadder, BoardTicket, ClockState, TicketPhase, UpcomingTier
from sla_timer.domain.clock import ClockOutcome
from sla_timer.domain.policy_history import PolicyHistory
from support.evaluated_board_tickets import board_ticket, evaluated
from support.fake_timer import moment, numbered_fact, shipped_history
from support.random_stories import random_story, story_policy
from support.search_budget import tries
from support.timer_world import facts_of, fields_of, ticket
from tocsin.directory import Directory, load_directory
from tocsin.events import Tier

NOW = moment("06-08 14:30")
HOUR = timedelta(hours=1)
DIRECTORY = load_directory(
    """
people:
  maya: { name: Maya Lindqvist, email: maya@example.com }
  ruth: { name: Ruth Adeyemi, email: ruth@example.com }
roles:
  service_desk_team_lead:
    - { person: maya, from: 2026-06-01T00:00:00Z, to: 2026-06-09T00:00:00Z }
  it_operations_director: [{ person: ruth }]
""",
    "directory.yaml",
)


def opened_at(when: str, severity: int = 1, external_id: str = "SR-1", until: datetime = NOW) -> BoardTicket:
    facts = [numbered_fact(1, "opened", when, severity=severity)]
    found = board_ticket(evaluated(facts, until, shipped_history()))
    return replace(found, ticket=ticket(external_id, facts))


@pytest.mark.parametrize(("text", "expected"), [("30m", HOUR / 2), ("4h", 4 * HOUR), ("2d", 48 * HOUR)])
def test_a_duration_is_in_minutes_hours_or_days(text: str, expected: timedelta) -> None:
    assert parse_within(text) == expected
    assert re.search(WITHIN_PATTERN, text)


@pytest.mark.parametrize(
    "text", ["", "4", "4 h", "0h", "-4h", "4.5h", "1000m", "32d", "4H", "4w", "PT4H", "4h\n", "٤h"]
)
def test_any_other_duration_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30m, 4h or 2d"):
        parse_within(text)


def test_the_time_left_is_what_the_clock_counts() -> None:
    """Opened on Friday at 16:00 New York time: one hour counts before the weekend, eight after it."""
    found = opened_at("06-12 20:00", severity=4, until=moment("06-12 20:00"))
    response = next(one for one in coming_deadlines(found, moment("06-12 20:30")) if one.clock.name == "response")
    assert (response.left, response.elapsed_left) == (8.5 * HOUR, 71.5 * HOUR)
    assert at_risk([found], moment("06-13 12:00"), 8 * HOUR)[0].left == 8 * HOUR
    assert at_risk([found], moment("06-12 20:30"), 8 * HOUR) == []


def test_deadlines_are_sorted_by_time_left_and_limited_by_it() -> None:
    tickets = [opened_at(when, external_id=when) for when in ("06-08 13:50", "06-08 13:40", "06-08 14:20")]
    found = at_risk(tickets, NOW, HOUR)
    assert [(one.ticket.ticket.external_id, one.clock.name, one.left) for one in found] == [
        ("06-08 13:40", "response", HOUR / 6),
        ("06-08 13:50", "response", HOUR / 3),
        ("06-08 14:20", "response", 5 * HOUR / 6),
    ]
    assert at_risk(tickets, NOW, HOUR / 6) == found[:1]
    assert {one.clock.name for one in at_risk(tickets, NOW, 48 * HOUR)} == {"response", "resolution"}


def test_a_clock_is_warned_from_the_instant_of_its_warning() -> None:
    found = opened_at("06-08 14:00")
    states = {at: next(iter(coming_deadlines(found, moment(at)))).state for at in ("06-08 14:44", "06-08 14:45")}
    assert states == {"06-08 14:44": AtRiskState.RUNNING, "06-08 14:45": AtRiskState.WARNED}


def test_a_deadline_is_ahead_up_to_its_instant() -> None:
    found = opened_at("06-08 14:00")
    assert next(iter(coming_deadlines(found, moment("06-08 15:00")))).left == timedelta(0)
    later = coming_deadlines(found, moment("06-08 15:00") + timedelta(microseconds=1))
    assert [one.clock.name for one in later] == ["resolution"]


@pytest.mark.parametrize("state", [ClockState.BREACHED, ClockState.PAUSED, ClockState.MET])
def test_a_clock_that_is_not_running_is_left_out(state: ClockState) -> None:
    found = opened_at("06-08 14:00")
    other = replace(found, clocks=tuple(replace(clock, state=state) for clock in found.clocks))
    assert list(coming_deadlines(other, NOW)) == []


def test_a_closed_ticket_is_left_out() -> None:
    assert list(coming_deadlines(replace(opened_at("06-08 14:00"), state=TicketPhase.RESOLVED), NOW)) == []


def test_the_time_left_of_an_old_response_is_that_of_a_new_one_in_every_story() -> None:
    policies, compared = PolicyHistory.of([story_policy()], None), 0
    for seed in range(tries(100)):
        random = Random(seed)
        drawn = random_story(random)
        facts = facts_of(drawn)
        known = max(fact.received_at for fact in facts)
        old = board_ticket(evaluated(facts, known, policies, **fields_of(drawn)))
        for at in (known + timedelta(microseconds=random.randrange(10 ** random.randrange(6, 13))) for _ in range(3)):
            new = evaluated(facts, at, policies, **fields_of(drawn)).timeline.clocks
            for deadline in coming_deadlines(old, at):
                clock = next(one for one in new if (one.cycle, one.name) == (deadline.clock.cycle, deadline.clock.name))
                assert timedelta(0) <= deadline.left <= deadline.elapsed_left
                if clock.outcome is ClockOutcome.RUNNING and not clock.by_start and not clock.provisional:
                    compared += 1
                    assert deadline.left == timedelta(microseconds=clock.target.due - clock.net), f"story {seed}"
    assert compared > 30


def recipients(
    found: BoardTicket, clock: str, directory: Directory | None = DIRECTORY, at: datetime = NOW
) -> list[BreachRecipient]:
    [one] = [clock_ for clock_ in found.clocks if clock_.name == clock]
    return list(breach_recipients(found, one, directory, at))


LEAD = BreachRecipient(1, "service_desk_team_lead", "Service Desk Team Lead", "Maya Lindqvist")
DIRECTOR = BreachRecipient(3, "it_operations_director", "IT Operations Director", "Ruth Adeyemi")


def test_a_missed_response_would_notify_the_roles_that_the_policy_names() -> None:
    found = opened_at("06-08 14:00")
    assert recipients(found, "response") == [replace(LEAD, tier=None)]
    assert recipients(found, "response", at=moment("06-10 12:00")) == [replace(LEAD, tier=None, name=None)]
    assigned = tuple(replace(clock, missed_roles=("assignee", "account_manager")) for clock in found.clocks)
    assert recipients(replace(found, clocks=assigned, assignee="Dana"), "response") == [
        BreachRecipient(None, "assignee", "Assignee", "Dana"),
        BreachRecipient(None, "account_manager", "Account Manager", None),
    ]


def test_a_missed_resolution_would_notify_the_first_tier_that_is_not_vacant() -> None:
    found = opened_at("06-08 14:00")
    assert recipients(found, "resolution") == [LEAD]
    assert recipients(found, "resolution", at=moment("06-10 12:00")) == [DIRECTOR]
    assert recipients(found, "resolution", None) == [replace(LEAD, name=None)]
    vacant = replace(found, tiers=(Tier(number=1, role="account_manager", title="Account Manager"),))
    assert recipients(vacant, "resolution") == []


def test_while_a_ladder_runs_its_next_tier_would_be_notified() -> None:
    ladder = BoardLadder(
        cycle=1, run=1, state="running", steps=(), next=UpcomingTier(NOW, 3, "it_operations_director"),
        acknowledgements=(), exhausted_at=None, ended_at=None,
    )  # fmt: skip
    found = opened_at("06-08 14:00")
    assert recipients(replace(found, ladder=ladder), "resolution") == [DIRECTOR]
    exhausted = replace(ladder, state="exhausted", next=None, exhausted_at=NOW)
    assert recipients(replace(found, ladder=exhausted), "resolution") == []
    ended = replace(ladder, state="ended", next=None, ended_at=NOW)
    assert recipients(replace(found, ladder=ended), "resolution") == [LEAD]
