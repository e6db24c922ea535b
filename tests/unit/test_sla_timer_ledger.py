"""Why a deadline is what it is, as data and in words; and the time that is left."""

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from sla_timer.domain.clock import Clock, ClockOutcome
from sla_timer.domain.evaluate import evaluate
from sla_timer.domain.fact_log import FactLog
from sla_timer.domain.ledger import LIMIT, REMAINING_LIMIT, ledger, remaining_json
from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.simulate import SimulationRequest
from support.fake_timer import moment, numbered_fact, shipped_history
from support.random_stories import random_story, story_policy
from support.search_budget import tries
from support.stories import at
from tocsin.business_time import SECOND, micros
from tocsin.events import Fact


def account(*facts: Fact, until: str, clock: str = "resolution", cycle: int = 1) -> dict[str, Any]:
    timeline = evaluate(
        FactLog.of(facts, shipped_history(), channel="portal"), shipped_history(), micros(moment(until))
    )
    return next(one for one in ledger(timeline) if (one["clock"], one["cycle"]) == (clock, cycle))


def lines(one: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(interval["from"], interval["to"], interval["reason"]) for interval in one["intervals"]]


def test_a_business_clock_over_a_weekend_with_a_pause() -> None:
    found = account(
        numbered_fact(1, "opened", "06-12 19:00", severity=3),
        numbered_fact(2, "responded", "06-12 19:00"),
        numbered_fact(3, "paused", "06-12 20:00"),
        numbered_fact(4, "resumed", "06-12 20:30"),
        until="06-15 13:00",
    )
    assert lines(found) == [
        (at("06-12 19:00"), at("06-12 20:00"), "counted"),
        (at("06-12 20:00"), at("06-12 20:30"), "paused"),
        (at("06-12 20:30"), at("06-12 21:00"), "counted"),
        (at("06-12 21:00"), at("06-15 12:00"), "outside business hours"),
        (at("06-15 12:00"), at("06-15 13:00"), "counted"),
    ]
    assert (found["counted_seconds"], found["excluded_seconds"]) == (2.5 * 3600, 63.5 * 3600)
    assert (found["target"], found["measure"], found["truncated"]) == ("5 business days", "default", False)
    assert found["words"] == (
        "5 business days from 2026-06-12T19:00:00.000000Z, counted on the calendar default outside pauses and closed"
        f" times: due {found['due_at']}"
    )


def test_the_time_between_a_resolve_and_a_reopen_is_closed() -> None:
    found = account(
        numbered_fact(1, "opened", "06-08 12:00", severity=1),
        numbered_fact(2, "responded", "06-08 12:00"),
        numbered_fact(3, "resolved", "06-08 14:00"),
        numbered_fact(4, "reopened", "06-09 14:00"),
        until="06-09 15:00",
        cycle=2,
    )
    assert lines(found) == [
        (at("06-08 12:00"), at("06-08 14:00"), "counted"),
        (at("06-08 14:00"), at("06-09 14:00"), "closed"),
        (at("06-09 14:00"), at("06-09 15:00"), "counted"),
    ]
    assert found["counted_seconds"] == 3 * 3600


def test_a_pause_stops_the_resolution_clock_only() -> None:
    facts = [numbered_fact(1, "opened", "06-08 12:00", severity=1), numbered_fact(2, "paused", "06-08 12:10")]
    resolution = account(*facts, until="06-08 12:20")
    response = account(*facts, until="06-08 12:20", clock="response")
    assert [reason for _, _, reason in lines(resolution)] == ["counted", "paused"]
    assert lines(response) == [(at("06-08 12:00"), at("06-08 12:20"), "counted")]


def test_an_unknown_deadline_is_explained_and_the_open_pause_is_listed() -> None:
    found = account(
        numbered_fact(1, "opened", "06-08 12:00", severity=1),
        numbered_fact(2, "responded", "06-08 12:00"),
        numbered_fact(3, "paused", "06-08 13:00"),
        until="06-08 15:00",
    )
    assert found["due_at"] is None
    assert lines(found)[-1] == (at("06-08 13:00"), at("06-08 15:00"), "paused")
    assert found["words"].endswith("due unknown while the ticket waits for its customer")


def test_a_provisional_deadline_is_called_provisional() -> None:
    found = account(numbered_fact(1, "opened", "06-08 12:00", severity=1), until="06-08 12:30")
    assert found["words"].startswith("24 hours provisionally from the response deadline, counted around the clock")


def test_a_ticket_that_is_open_for_years_lists_its_first_intervals() -> None:
    opened_at, until = micros(moment("06-08 12:00")), micros(datetime(2030, 1, 1, tzinfo=UTC))
    log = FactLog.of([numbered_fact(1, "opened", "06-08 12:00", severity=4)], shipped_history(), channel="portal")
    response, _ = ledger(evaluate(log, shipped_history(), until))
    assert (len(response["intervals"]), response["truncated"]) == (LIMIT, True)
    assert response["counted_seconds"] + response["excluded_seconds"] == (until - opened_at) / SECOND


def clock(*facts: Fact, until: str, name: str = "resolution", **request: Any) -> Clock:
    log = FactLog.of(facts, shipped_history(), channel="portal", **request)
    timeline = evaluate(log, shipped_history(), micros(moment(until)))
    return next(one for one in timeline.clocks if one.name == name)


def left(found: Clock) -> list[tuple[str, str]]:
    return [(interval["from"], interval["to"]) for interval in remaining_json(found)["remaining"]]


def test_the_time_left_of_a_business_clock_skips_the_weekend() -> None:
    opened = numbered_fact(1, "opened", "06-12 19:00", severity=4)
    found = clock(opened, until="06-12 20:00", name="response")
    assert left(found) == [(at("06-12 20:00"), at("06-12 21:00")), (at("06-15 12:00"), at("06-15 19:00"))]
    assert {name: value for name, value in remaining_json(found).items() if name != "remaining"} == {
        "target": "1 business day",
        "target_seconds": 9 * 3600.0,
        "measure": "default",
        "remaining_seconds": 8 * 3600.0,
        "remaining_truncated": False,
    }


@pytest.mark.parametrize(
    ("later", "until"),
    [
        ([], "06-09 13:00"),
        ([numbered_fact(3, "paused", "06-08 13:00")], "06-08 15:00"),
        ([numbered_fact(3, "resolved", "06-08 13:00")], "06-08 15:00"),
        ([numbered_fact(3, "cancelled", "06-08 13:00")], "06-08 15:00"),
        ([numbered_fact(3, "severity_changed", "06-09 13:00", severity=4)], "06-09 13:00"),
    ],
    ids=["overdue", "paused", "met", "cancelled", "breached before a later deadline"],
)
def test_a_clock_that_is_not_running_or_is_overdue_has_no_time_left(later: list[Fact], until: str) -> None:
    facts = [numbered_fact(1, "opened", "06-08 12:00", severity=1), numbered_fact(2, "responded", "06-08 12:10")]
    found = clock(*facts, *later, until=until)
    assert (left(found), remaining_json(found)["remaining_seconds"]) == ([], 0.0)


def test_the_time_left_until_a_start_months_ahead_lists_its_first_intervals() -> None:
    opened = numbered_fact(1, "opened", "06-08 12:00", severity=4)
    found = clock(opened, until="06-08 12:00", category="onboarding", starts_at=datetime(2027, 6, 8, 12, tzinfo=UTC))
    body = remaining_json(found)
    assert found.by_start
    assert (len(body["remaining"]), body["remaining_truncated"]) == (REMAINING_LIMIT, True)
    assert body["remaining_seconds"] > REMAINING_LIMIT * 9 * 3600


def test_net_and_remaining_time_of_a_running_clock_add_up_to_its_target_in_every_story() -> None:
    policies = PolicyHistory.of([story_policy()], None)
    running = 0
    for seed in range(tries(400)):
        request = SimulationRequest.model_validate(random_story(Random(seed)), strict=False)
        for found in evaluate(request.fact_log(policies), policies, micros(request.until)).clocks:
            if found.outcome is not ClockOutcome.RUNNING or found.by_start or found.provisional:
                continue
            if found.due_at is None or found.due_at <= found.end:
                continue
            running += 1
            body = remaining_json(found)
            lengths = [
                micros(datetime.fromisoformat(to)) - micros(datetime.fromisoformat(begin)) for begin, to in left(found)
            ]
            assert not body["remaining_truncated"]
            assert sum(lengths) == round(body["remaining_seconds"] * SECOND)
            assert found.net + sum(lengths) == found.target.due, f"story {seed}"
    assert running > 20
